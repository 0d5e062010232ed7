package proxy

import (
	"net"
	"sync"
	"sync/atomic"

	"portside/proxy/socket"
)

// link is the TCP connection under a trunk. It watches for the backend's greeting,
// a SETTINGS frame, which must come first (RFC 9113 3.4), and counts what is sent.
type link struct {
	socket.Stream
	sent   *atomic.Int64
	closed atomic.Bool

	once    sync.Once
	greeted chan struct{} // closed when the greeting is in, and taken in; or will not come
	refusal error         // why it will not; read after greeted is closed

	// Of whoever reads.
	head [frameHead]byte // of the first frame
	got  int             // bytes so far
	over bool
}

const (
	frameHead    = 9 // RFC 9113 4.1
	typeSettings = 4 // RFC 9113 6.5
)

func newLink(c socket.Stream, sent *atomic.Int64) *link {
	return &link{Stream: c, sent: sent, greeted: make(chan struct{})}
}

// Read reads. Whoever comes back for more has taken in what there was: then the
// backend's settings, the number of streams it allows among them, are in force.
func (l *link) Read(p []byte) (int, error) {
	if !l.over && l.got >= frameHead && l.got >= frameHead+l.length() {
		l.settle(nil)
	}
	n, err := l.Stream.Read(p)
	if l.over {
		return n, err
	}
	if l.got < frameHead {
		copy(l.head[l.got:], p[:n])
	}
	l.got += n
	switch {
	case l.got >= frameHead && l.head[3] != typeSettings:
		l.settle(errNotH2C)
	case err != nil:
		l.settle(err)
	}
	return n, err
}

// length is of the first frame's payload.
func (l *link) length() int { return int(l.head[0])<<16 | int(l.head[1])<<8 | int(l.head[2]) }

func (l *link) settle(refusal error) {
	l.over = true
	l.greet(refusal)
}

func (l *link) greet(refusal error) {
	l.once.Do(func() {
		l.refusal = refusal
		close(l.greeted)
	})
}

func (l *link) Write(p []byte) (int, error) {
	n, err := l.Stream.Write(p)
	l.sent.Add(int64(n))
	return n, err
}

// unsent is how much of what was written the backend has not acknowledged yet.
func (l *link) unsent() (n int) {
	if raw, err := l.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { n = socket.Unsent(fd) })
	}
	return n
}

func (l *link) Close() error {
	l.closed.Store(true)
	err := l.Stream.Close()
	l.greet(net.ErrClosed)
	return err
}
