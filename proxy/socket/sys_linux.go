package socket

import (
	"net/netip"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls below are told to the scheduler as plain computation: on a
// non-blocking socket they return within microseconds, less than its bookkeeping
// around a system call is worth. A call that a signal interrupted is made again.

// Recv is recv(2). p must not be empty.
func Recv(fd uintptr, p []byte) (int, syscall.Errno) { return recvfrom(fd, p, 0) }

// Peek is recv(2) that leaves the bytes where they are. p must not be empty.
func Peek(fd uintptr, p []byte) (int, syscall.Errno) { return recvfrom(fd, p, unix.MSG_PEEK) }

// Send is send(2), without the signal. p must not be empty.
func Send(fd uintptr, p []byte) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO, fd, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), unix.MSG_NOSIGNAL, 0, 0)
		if errno != syscall.EINTR {
			return int(n), errno
		}
	}
}

// noDelay sets TCP_NODELAY.
func noDelay(fd uintptr) {
	on := int32(1)
	_, _, _ = syscall.RawSyscall6(unix.SYS_SETSOCKOPT, fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, uintptr(unsafe.Pointer(&on)), unsafe.Sizeof(on), 0)
}

// localAddr is getsockname(2), of a TCP socket. It is invalid if that fails.
func localAddr(fd uintptr) netip.AddrPort {
	var sa unix.RawSockaddrInet6
	n := uint32(unsafe.Sizeof(sa))
	if _, _, errno := syscall.RawSyscall(unix.SYS_GETSOCKNAME, fd, uintptr(unsafe.Pointer(&sa)), uintptr(unsafe.Pointer(&n))); errno != 0 {
		return netip.AddrPort{}
	}
	return addrPort(&sa)
}

// addrPort is an address in the kernel's form, of IPv4 or IPv6.
func addrPort(sa *unix.RawSockaddrInet6) netip.AddrPort {
	port := sa.Port<<8 | sa.Port>>8 // which is in the byte order of the network
	if sa.Family == unix.AF_INET {
		return netip.AddrPortFrom(netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(sa)).Addr), port)
	}
	return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), port)
}

// shutdown is shutdown(2).
func shutdown(fd uintptr, how int) error {
	if _, _, errno := syscall.RawSyscall(unix.SYS_SHUTDOWN, fd, uintptr(how), 0); errno != 0 {
		return errno
	}
	return nil
}

// closeRaw is close(2). It may send an end, which on a connection within the host
// takes some ten microseconds.
func closeRaw(fd uintptr) error {
	if _, _, errno := syscall.RawSyscall(unix.SYS_CLOSE, fd, 0, 0); errno != 0 {
		return os.NewSyscallError("close", errno)
	}
	return nil
}

func recvfrom(fd uintptr, p []byte, flags uintptr) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), flags, 0, 0)
		if errno != syscall.EINTR {
			return int(n), errno
		}
	}
}

// hungUp asks poll(2), which, unlike a peek, sees an end behind unread bytes.
func hungUp(fd uintptr) bool {
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
	n, err := unix.Poll(p, 0)
	return err == nil && n > 0 && p[0].Revents != 0
}

// Unsent is how many bytes of what was written to a TCP socket its peer has not
// acknowledged yet.
func Unsent(fd uintptr) int {
	n, _ := unix.IoctlGetInt(int(fd), unix.SIOCOUTQ)
	return n
}

// Unread reports whether there are bytes to be read from a TCP socket. Unlike a
// peek it takes no error away, which is for whoever reads next.
func Unread(fd uintptr) bool {
	n, err := unix.IoctlGetInt(int(fd), unix.SIOCINQ)
	return err == nil && n > 0
}
