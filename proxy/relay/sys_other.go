//go:build !linux

package relay

import (
	"errors"
	"syscall"
)

func recv(fd uintptr, p []byte) (int, syscall.Errno) {
	n, err := syscall.Read(int(fd), p)
	return n, errno(err)
}

func send(fd uintptr, p []byte) (int, syscall.Errno) {
	n, err := syscall.Write(int(fd), p)
	return n, errno(err)
}

func errno(err error) syscall.Errno {
	var e syscall.Errno
	errors.As(err, &e)
	return e
}

// unacknowledged is not known here: what waits for a peer that the relay resets
// may be lost.
func unacknowledged(uintptr) int { return 0 }

// isClosedTCP is not known here: a reset that a write met first may read like a
// clean end.
func isClosedTCP(uintptr) bool { return false }
