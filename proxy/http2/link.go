package http2

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"

	"portside/proxy/socket"
)

// Link is the TCP connection to a backend under one of HTTP/2. It watches for the backend's
// greeting, a SETTINGS frame, which must come first (RFC 9113 3.4), and counts what is
// sent. It is as concurrent as its connection.
type Link struct {
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

// ErrOther is a backend that does not begin as HTTP/2 has it.
var ErrOther = errors.New("it speaks HTTP/1, not HTTP/2 with prior knowledge (h2c)")

// NewLink watches over c, to which nothing has been written yet, and adds to sent what is.
func NewLink(c socket.Stream, sent *atomic.Int64) *Link {
	return &Link{Stream: c, sent: sent, greeted: make(chan struct{})}
}

// Read reads. Whoever comes back for more has taken in what there was: then the
// backend's settings, the number of streams it allows among them, are in force.
func (l *Link) Read(p []byte) (int, error) {
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
		l.settle(ErrOther)
	case err != nil:
		l.settle(err)
	}
	return n, err
}

// length is of the first frame's payload.
func (l *Link) length() int { return int(l.head[0])<<16 | int(l.head[1])<<8 | int(l.head[2]) }

func (l *Link) settle(refusal error) {
	l.over = true
	l.greet(refusal)
}

func (l *Link) greet(refusal error) {
	l.once.Do(func() {
		l.refusal = refusal
		close(l.greeted)
	})
}

// Write writes, and counts.
func (l *Link) Write(p []byte) (int, error) {
	n, err := l.Stream.Write(p)
	l.sent.Add(int64(n))
	return n, err
}

// Greeted is closed when the backend's greeting is in force, or will not come.
func (l *Link) Greeted() <-chan struct{} { return l.greeted }

// Refusal is why no greeting came, such as [ErrOther]; nil: it did. It may be called when
// Greeted is closed.
func (l *Link) Refusal() error { return l.refusal }

// Closed reports whether the connection has been closed from our side.
func (l *Link) Closed() bool { return l.closed.Load() }

// Unsent is how much of what was written the backend has not acknowledged yet, in bytes.
func (l *Link) Unsent() (n int) {
	if raw, err := l.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { n = socket.Unsent(fd) })
	}
	return n
}

// Close closes the connection: a greeting that has not come will not.
func (l *Link) Close() error {
	l.closed.Store(true)
	err := l.Stream.Close()
	l.greet(net.ErrClosed)
	return err
}
