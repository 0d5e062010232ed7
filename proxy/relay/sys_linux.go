package relay

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// recv and send are recv(2) and send(2) on a non-blocking socket, told to the
// scheduler as plain computation: they return within microseconds, less than
// its bookkeeping around a system call is worth. p is never empty and never
// longer than a buffer.

func recv(fd uintptr, p []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), 0, 0, 0)
	return int(n), errno
}

func send(fd uintptr, p []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO, fd, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), syscall.MSG_NOSIGNAL, 0, 0)
	return int(n), errno
}

func unacknowledged(fd uintptr) int {
	n, err := unix.IoctlGetInt(int(fd), unix.SIOCOUTQ)
	if err != nil {
		return 0
	}
	return n
}

func isClosedTCP(fd uintptr) bool {
	info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	return err == nil && info.State == unix.BPF_TCP_CLOSE
}

// spliceFds moves up to n bytes between a pipe and a socket, waiting for
// neither. A whole pipe takes a few tenths of a millisecond, for which a garbage
// collection may have to wait; yet telling the scheduler costs a third more.
func spliceFds(from, to, n int) (int, syscall.Errno) {
	m, _, errno := syscall.RawSyscall6(syscall.SYS_SPLICE, uintptr(from), 0, uintptr(to), 0, uintptr(n), unix.SPLICE_F_NONBLOCK|unix.SPLICE_F_MOVE)
	return int(m), errno
}
