package relay

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// recv and send are read(2) and write(2) on a non-blocking socket, told to the
// scheduler as plain computation: they return within microseconds, and its
// bookkeeping around a system call costs a twentieth of a small message.
// len(p) is never 0 and at most a buffer.

func recv(fd uintptr, p []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall(syscall.SYS_READ, fd, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
	return int(n), errno
}

func send(fd uintptr, p []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, fd, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
	return int(n), errno
}

func unacknowledged(fd uintptr) int {
	n, err := unix.IoctlGetInt(int(fd), unix.SIOCOUTQ)
	if err != nil {
		return 0
	}
	return n
}
