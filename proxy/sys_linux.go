package proxy

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// userTimeout is how long sent bytes may stay unacknowledged before the
// connection is given up, in milliseconds. Without it a peer that lost its power
// while we were sending is noticed after some 15 minutes (tcp(7)).
const userTimeout = 30_000

func setUserTimeout(_, _ string, c syscall.RawConn) error {
	// A kernel that does not know the option is no reason not to connect.
	return c.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, userTimeout)
	})
}
