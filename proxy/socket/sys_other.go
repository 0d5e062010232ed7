//go:build !linux

package socket

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// Recv is recv(2). p must not be empty.
func Recv(fd uintptr, p []byte) (int, syscall.Errno) { return recvfrom(fd, p, 0) }

// Peek is recv(2) that leaves the bytes where they are. p must not be empty.
func Peek(fd uintptr, p []byte) (int, syscall.Errno) { return recvfrom(fd, p, unix.MSG_PEEK) }

// Send is send(2). p must not be empty.
func Send(fd uintptr, p []byte) (int, syscall.Errno) {
	for {
		n, err := unix.Write(int(fd), p)
		if e := errno(err); e != syscall.EINTR {
			return max(n, 0), e
		}
	}
}

func recvfrom(fd uintptr, p []byte, flags int) (int, syscall.Errno) {
	for {
		n, _, err := unix.Recvfrom(int(fd), p, flags)
		if e := errno(err); e != syscall.EINTR {
			return max(n, 0), e
		}
	}
}

func errno(err error) syscall.Errno {
	var e syscall.Errno
	if errors.As(err, &e) {
		return e
	}
	if err != nil {
		return syscall.EIO
	}
	return 0
}

// hungUp sees an end only when what came before it has been read.
func hungUp(fd uintptr) bool {
	var b [1]byte
	n, errno := Peek(fd, b[:])
	return n == 0 && errno == 0 || errno != 0 && errno != syscall.EAGAIN
}

// Unsent is not known here: 0. What waits for a peer that a relay resets may be lost.
func Unsent(uintptr) int { return 0 }

// Unread reports whether there are bytes to be read. It may take an error away.
func Unread(fd uintptr) bool {
	var b [1]byte
	n, _ := Peek(fd, b[:])
	return n > 0
}
