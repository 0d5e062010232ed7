package proxy

import (
	"errors"
	"io"
	"os"
	"syscall"
	"time"

	"portside/proxy/socket"
)

// peek waits until c has a byte to read, has ended, or wait is over, and takes
// nothing from it. Nil: there is a byte. [os.ErrDeadlineExceeded]: nothing yet.
// io.EOF or another error: c has ended. With no wait it does not block.
func peek(c socket.Stream, wait time.Duration) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	if wait > 0 {
		if err := c.SetReadDeadline(time.Now().Add(wait)); err != nil {
			return err
		}
		defer func() { _ = c.SetReadDeadline(time.Time{}) }()
	}
	var seen error
	err = raw.Read(func(fd uintptr) bool {
		var b [1]byte
		n, _, errno := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK)
		switch {
		case errors.Is(errno, syscall.EAGAIN):
			seen = os.ErrDeadlineExceeded
			return wait <= 0
		case errno != nil:
			seen = os.NewSyscallError("recv", errno)
		case n == 0:
			seen = io.EOF
		default:
			seen = nil
		}
		return true
	})
	if err != nil {
		return err
	}
	return seen
}
