package proxy

import (
	"io"
	"os"
	"syscall"

	"portside/proxy/socket"
)

// peek looks whether c has a byte to read or has ended, and takes nothing from it.
// It does not wait. Nil: there is a byte. [os.ErrDeadlineExceeded]: nothing yet.
// io.EOF or another error: c has ended.
func peek(c socket.Stream) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var seen error
	err = raw.Control(func(fd uintptr) {
		var b [1]byte
		n, errno := socket.Peek(fd, b[:])
		switch {
		case errno == syscall.EAGAIN:
			seen = os.ErrDeadlineExceeded
		case errno != 0:
			seen = os.NewSyscallError("recv", errno)
		case n == 0:
			seen = io.EOF
		}
	})
	if err != nil {
		return err
	}
	return seen
}
