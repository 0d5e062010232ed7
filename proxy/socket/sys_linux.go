package socket

import (
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
