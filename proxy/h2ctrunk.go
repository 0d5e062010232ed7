package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"portside/pool"
)

// trunk is a connection to a backend that many streams share.
type trunk struct {
	*http.ClientConn
	link *link
	// blamed: one connection that breaks is one failure of its backend, however
	// many streams it had.
	blamed atomic.Bool
}

// trunks are the connections to one backend: one, unless it allows too few
// streams on it (SETTINGS_MAX_CONCURRENT_STREAMS).
type trunks struct {
	h2c     *h2c
	backend *pool.Backend
	spoke   atomic.Bool // it has spoken HTTP/2 before

	mu     sync.Mutex
	open   []*trunk
	coming *coming
	owed   owed
	cut    time.Time // when a backend that left loses its streams; zero: it has not left
}

// coming is a connection being made, for all who wait for one.
type coming struct {
	done    chan struct{}
	outcome pool.Outcome
	err     error
	untold  bool // who had it made has left
}

// owed is what a connection taught that could not be made, and whose maker had left
// before: the next one is told. Otherwise a backend that hangs would never be found
// out by clients who are less patient than we are.
type owed struct {
	outcome pool.Outcome
	at      time.Time
}

// owedFor is how long it is of interest.
const owedFor = 10 * time.Second

const (
	// trunkIdle is how long a connection without streams is kept.
	trunkIdle = 90 * time.Second
	// responseHead bounds the fields of a response, trailers among them: gRPC
	// puts the details of errors there.
	responseHead = 1 << 20
)

var (
	errNotH2C    = errors.New("it speaks HTTP/1, not HTTP/2 with prior knowledge (h2c)")
	errNoHello   = errors.New("it did not answer HTTP/2's preface in time")
	errNoStreams = errors.New("it takes no streams on new connections")
)

// take reserves a stream on a connection, and makes a new one where there is none
// with room. The outcome is what a failure taught; of those who waited for the
// same connection only one is told.
func (t *trunks) take(ctx context.Context) (*trunk, pool.Outcome, error) {
	for made := 0; made < transparent; {
		c, wait, mine := t.find()
		if c != nil {
			return c, pool.Unknown, nil
		}
		select {
		case <-wait.done:
		case <-ctx.Done():
			if mine {
				t.leave(wait)
			}
			return nil, pool.Unknown, context.Cause(ctx)
		}
		switch {
		case mine && wait.err != nil:
			return nil, wait.outcome, wait.err
		case wait.err != nil:
			return nil, pool.Unknown, wait.err
		case mine:
			made++
		}
	}
	return nil, t.blame(pool.Gateway), errNoStreams
}

// leave says that who had that connection made does not wait for it any more.
func (t *trunks) leave(wait *coming) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if wait.untold = true; t.coming != wait { // it has come to an end just now
		t.owe(wait)
	}
}

// owe notes what nobody was told. The caller holds mu.
func (t *trunks) owe(wait *coming) {
	if wait.untold && wait.err != nil {
		t.owed = owed{wait.outcome, time.Now()}
	}
}

// learn is what nobody was told yet, once.
func (t *trunks) learn() pool.Outcome {
	t.mu.Lock()
	defer t.mu.Unlock()
	o := t.owed
	if o.outcome == pool.Unknown || time.Since(o.at) > owedFor {
		return pool.Unknown
	}
	t.owed = owed{}
	return o.outcome
}

// find reserves a stream, or says whom to wait for, and whether it was the caller
// who had that connection made.
func (t *trunks) find() (c *trunk, wait *coming, mine bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.open = slices.DeleteFunc(t.open, (*trunk).isClosed)
	for _, c := range t.open {
		if c.Reserve() == nil {
			return c, nil, false
		}
	}
	if t.coming != nil {
		return nil, t.coming, false
	}
	t.coming = &coming{done: make(chan struct{})}
	t.h2c.own.Go(t.grow)
	return nil, t.coming, true
}

func (c *trunk) isClosed() bool { return c.link.closed.Load() }

// grow makes a connection. It belongs to none of those who wait: one who leaves
// must not take it from the others.
func (t *trunks) grow() {
	c, outcome, err := t.connect()
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil {
		t.open, t.owed = append(t.open, c), owed{} // what it failed at before is over
	}
	t.coming.outcome, t.coming.err = outcome, err
	t.owe(t.coming)
	close(t.coming.done)
	t.coming = nil
}

// connect connects, and waits until the backend has shown that it speaks HTTP/2:
// until then nothing is sent, so that what fails can be tried elsewhere, whatever
// its method.
func (t *trunks) connect() (*trunk, pool.Outcome, error) {
	ctx, cancel := context.WithTimeout(t.h2c.ctx, t.h2c.h.config().Timeouts.Connect)
	defer cancel()
	deadline, _ := ctx.Deadline()
	conn, outcome, err := t.h2c.h.dial(ctx, t.backend, time.Until(deadline), false)
	if err != nil {
		return nil, outcome, err
	}
	l := newLink(conn, &t.h2c.h.stats.Bytes.ToBackend)
	cc, err := newTransport(l).NewClientConn(ctx, "http", t.backend.Address())
	if err != nil {
		_ = conn.Close()
		return nil, t.blame(pool.Reset), err
	}
	select {
	case <-l.greeted:
		err = l.refusal
	case <-ctx.Done():
		err = errNoHello
	}
	if err != nil {
		_ = cc.Close()
		if errors.Is(err, errNotH2C) {
			t.h2c.h.hints.say(t.h2c.h.config().Log, hintHTTP2)
		}
		return nil, t.blame(helloOutcome(err)), err
	}
	t.spoke.Store(true)
	return &trunk{ClientConn: cc, link: l}, pool.Unknown, nil
}

// newTransport has net/http speak HTTP/2 on l, and nothing else.
func newTransport(l *link) *http.Transport {
	tr := &http.Transport{
		DialContext:            func(context.Context, string, string) (net.Conn, error) { return l, nil },
		Protocols:              new(http.Protocols),
		DisableCompression:     true,
		IdleConnTimeout:        trunkIdle,
		MaxResponseHeaderBytes: responseHead,
		HTTP2:                  &http.HTTP2Config{MaxReceiveBufferPerStream: streamWindow},
	}
	tr.Protocols.SetUnencryptedHTTP2(true)
	return tr
}

// helloOutcome says what it was when a backend that accepted did not greet.
func helloOutcome(err error) pool.Outcome {
	switch {
	case errors.Is(err, errNotH2C):
		return pool.Unknown
	case errors.Is(err, errNoHello):
		return pool.Timeout
	case errors.Is(err, io.EOF):
		return pool.Closed
	case errors.Is(err, net.ErrClosed): // by net/http, which did not like what came
		return pool.Malformed
	}
	return pool.Reset
}

// blame is o, unless the backend serves others well and may just not know HTTP/2:
// one client with the wrong protocol must not have it set aside.
func (t *trunks) blame(o pool.Outcome) pool.Outcome {
	if t.backend.Proven() && !t.spoke.Load() {
		return pool.Unknown
	}
	return o
}

// sweep closes connections to a backend that left: those without a stream, and
// when its time is up all of them. It reports whether none is left.
func (t *trunks) sweep(now time.Time, all bool) (none bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	left := t.backend.Left()
	switch {
	case !left: // or called back
		t.cut = time.Time{}
	case t.cut.IsZero():
		t.cut = t.h2c.cutFrom(now)
	}
	all = all || left && !now.Before(t.cut)
	for _, c := range t.open {
		if all || left && c.InFlight() == 0 {
			_ = c.Close()
		}
	}
	t.open = slices.DeleteFunc(t.open, (*trunk).isClosed)
	return len(t.open) == 0 && t.coming == nil
}
