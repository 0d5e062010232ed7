package relay

import (
	"sync/atomic"
	"syscall"
	"time"

	"portside/proxy/socket"
)

// side is one conn of a relay.
type side struct {
	Conn
	raw  syscall.RawConn // nil when the conn is no socket
	gone atomic.Bool     // lost in both directions
}

func (s *side) set(c Conn) {
	s.Conn, s.raw = c, rawOf(c)
}

// unsent is how much of what was written to s its peer has not acknowledged; 0 also
// where that is not known, as of a closed conn.
func (s *side) unsent() int { return unsent(s.raw) }

func unsent(raw syscall.RawConn) (n int) {
	if raw != nil {
		_ = raw.Control(func(fd uintptr) { n = socket.Unsent(fd) })
	}
	return n
}

// close closes s when the relay is over: after the loss of the other side, after
// a clean end of the stream toward s, or with that stream cut off.
//
// A reset is passed on only where the stream toward s had not ended: after a
// clean end it could but destroy what s has yet to receive (envoy#45190).
func (s *side) close(otherGone, clean, cut bool) {
	if otherGone && !s.gone.Load() {
		s.settle()
	}
	if !clean && (otherGone || cut) {
		s.reset()
		return
	}
	s.Close()
}

// reset closes s so that its peer sees a reset, where the conn can do that.
func (s *side) reset() {
	if l, ok := s.Conn.(interface{ SetLinger(int) error }); ok {
		l.SetLinger(0)
	}
	s.Close()
}

const (
	// stall is how long settle waits for a peer that takes nothing.
	stall = 5 * time.Second
	// glance is how often it looks: the kernel tells nobody.
	glance = 5 * time.Millisecond
)

// settle waits until the peer's kernel has all that was written to s, because a
// reset, and a close with bytes still unread, throw away what waits there. It
// gives up on a peer that takes nothing for a while, and when s is closed.
func (s *side) settle() {
	left := s.unsent()
	if left == 0 {
		return
	}
	ticker := time.NewTicker(glance)
	defer ticker.Stop()
	since := time.Now()
	for now := range ticker.C {
		n := s.unsent()
		if n == 0 || n == left && now.Sub(since) > stall {
			return
		}
		if n != left {
			left, since = n, now
		}
	}
}

// disconnected reports whether s, a TCP conn, has no connection any more.
func (s *side) disconnected() (yes bool) {
	if s.raw == nil {
		return false
	}
	return s.raw.Control(func(fd uintptr) { yes = isClosedTCP(fd) }) == nil && yes
}
