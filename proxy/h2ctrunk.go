package proxy

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"portside/pool"
	"portside/proxy/http2"
	"portside/proxy/socket"
)

// trunk is a connection to a backend that a client's streams share.
type trunk struct {
	*http2.Client
	// blamed: one connection that breaks is one failure of its backend, however
	// many streams it had.
	blamed atomic.Bool
	// givenUp is how many streams on it were given up by those who had asked.
	givenUp atomic.Int64
	owner   *h2cClient // whose streams it carries, or did last; trunks.mu guards it
	made    time.Time
}

// trunks are the connections to one backend: one for each client that has streams
// there, as if they were connected to it themselves. On a shared one the uploads of
// all would wait for one that the backend does not take, and the calls that all give
// up would add up to what servers throw a client out for (CVE-2023-44487). A client
// has more than one where the backend allows few streams on each
// (SETTINGS_MAX_CONCURRENT_STREAMS).
type trunks struct {
	h2c     *h2c
	backend *pool.Backend
	spoke   atomic.Bool // it has spoken HTTP/2 before

	mu     sync.Mutex
	open   []*trunk
	coming map[*h2cClient]*coming
	owed   owed
	cut    time.Time // when a backend that left loses its streams; zero: it has not left
}

const (
	// maxOwn is how many connections to one backend there may be before clients
	// share them after all.
	maxOwn = 64
	// worn is how many streams may be given up on a connection for another client
	// to have it; Netty's servers bear 200 in half a minute.
	worn = 64
)

// coming is a connection being made for a client, and all of its that wait for one.
type coming struct {
	done    chan struct{}
	made    *trunk // with a stream reserved for who had it made
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
	// What a client does not read is kept, this much of each of its streams and this
	// much of all together. Less would slow down backends that are milliseconds away.
	unread    = 256 << 10
	allUnread = 64 << 20
)

var (
	errNoHello   = errors.New("it did not answer HTTP/2's preface in time")
	errNoStreams = errors.New("it takes no streams on new connections")
)

// ready takes a place for a stream on a connection, if there is one with room, or if
// nobody is to wait for another; else nil. Fresh is as stream has it.
func (t *trunks) ready(client *h2cClient, fresh time.Time) *trunk {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.have(client, fresh)
}

// take takes a place for a stream on a connection, and makes a new one where there
// is none with room. The outcome is what a failure taught; of those who waited for the
// same connection only one is told.
func (t *trunks) take(ctx context.Context, client *h2cClient, fresh time.Time) (*trunk, pool.Outcome, error) {
	for {
		c, wait, mine := t.find(client, fresh)
		if c != nil {
			return c, pool.Unknown, nil
		}
		select {
		case <-wait.done:
		case <-ctx.Done():
			if mine {
				t.leave(client, wait)
			}
			return nil, pool.Unknown, context.Cause(ctx)
		}
		switch {
		case wait.err != nil:
			// Some backends take only so many connections. One that hangs would hang on
			// those that there are, too.
			if wait.outcome != pool.Timeout && !errors.Is(wait.err, http2.ErrOther) {
				if c := t.spare(client); c != nil {
					return c, pool.Unknown, nil
				}
			}
			if !mine {
				return nil, pool.Unknown, wait.err
			}
			return nil, wait.outcome, wait.err
		case mine:
			return wait.made, pool.Unknown, nil
		}
	}
}

// leave says that who had that connection made does not wait for it any more.
func (t *trunks) leave(client *h2cClient, wait *coming) {
	t.mu.Lock()
	defer t.mu.Unlock()
	wait.untold = true
	switch {
	case t.coming[client] == wait:
	case wait.made != nil: // just now
		wait.made.Release()
	default:
		t.owe(wait)
	}
}

// spare reserves a stream on any connection with room; nil if there is none.
func (t *trunks) spare(client *h2cClient) *trunk {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.share(client)
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
func (t *trunks) find(client *h2cClient, fresh time.Time) (c *trunk, wait *coming, mine bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c = t.have(client, fresh); c != nil {
		return c, nil, false
	}
	if wait = t.coming[client]; wait != nil {
		return nil, wait, false
	}
	if len(t.open)+len(t.coming) >= maxOwn {
		for _, wait = range t.coming { // another's: there may be room on it
			return nil, wait, false
		}
	}
	wait = &coming{done: make(chan struct{})}
	t.coming[client] = wait
	t.h2c.own.Go(func() { t.grow(client, wait) })
	return nil, wait, true
}

// have takes a place for a stream on a connection with room: one of the client's own, a
// free one, or, where there may be no more of them, another client's. The caller holds mu.
func (t *trunks) have(client *h2cClient, fresh time.Time) *trunk {
	for _, c := range t.open {
		if c.owner == client && c.made.Before(fresh) && c.InFlight() == 0 {
			_ = c.Close() // the other one had ended without a word, and so may this have
		}
	}
	t.open = slices.DeleteFunc(t.open, (*trunk).isOver)
	// One on which others wait for its first word is no better.
	doubtful := func(c *trunk) bool { return c.made.Before(fresh) && c.Unheard() }
	if c := t.reserve(func(c *trunk) bool { return c.owner == client && !doubtful(c) }); c != nil {
		return c
	}
	if t.coming[client] != nil {
		return nil
	}
	if c := t.reserve(func(c *trunk) bool { return !c.made.Before(fresh) && c.isFree() }); c != nil {
		c.owner = client
		return c
	}
	if len(t.open)+len(t.coming) >= maxOwn {
		return t.share(client)
	}
	return nil
}

// share reserves a stream on a connection of another client's: the one that this client
// had before, or else the quietest with room. The caller holds mu.
func (t *trunks) share(client *h2cClient) *trunk {
	if c, ok := client.shared.Load(t); ok && c.(*trunk).Reserve() == nil {
		return c.(*trunk)
	}
	quietest := slices.SortedFunc(slices.Values(t.open), func(a, b *trunk) int { return a.InFlight() - b.InFlight() })
	for _, c := range quietest {
		if c.Reserve() == nil {
			client.remember(t, c)
			return c
		}
	}
	return nil
}

// reserve reserves a stream on a connection that suits, if one has room. The caller
// holds mu.
func (t *trunks) reserve(suits func(*trunk) bool) *trunk {
	for _, c := range t.open {
		if suits(c) && c.Reserve() == nil {
			return c
		}
	}
	return nil
}

// isFree reports whether another client may have c. A worn one is closed instead.
func (c *trunk) isFree() bool {
	if c.InFlight() > 0 {
		return false
	}
	if c.givenUp.Load() >= worn {
		_ = c.Close()
		return false
	}
	return true
}

func (c *trunk) isOver() bool { return c.Closed() }

// grow makes a connection for a client. It belongs to none of its streams: one that
// ends must not take it from the others.
func (t *trunks) grow(client *h2cClient, wait *coming) {
	c, outcome, err := t.fresh()
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case err != nil:
	case t.h2c.ctx.Err() != nil: // nobody would close it
		_ = c.Close()
		outcome, err = pool.Unknown, context.Cause(t.h2c.ctx)
	default:
		c.owner = client
		t.open, t.owed = append(t.open, c), owed{} // what it failed at before is over
		if wait.untold {
			c.Release()
		} else {
			wait.made = c
		}
	}
	wait.outcome, wait.err = outcome, err
	t.owe(wait)
	close(wait.done)
	delete(t.coming, client)
}

// fresh makes a connection, with a stream reserved. One that ends before it is used, as
// those of limited age do now and then, is replaced: that is no refusal.
func (t *trunks) fresh() (*trunk, pool.Outcome, error) {
	for range transparent {
		c, outcome, err := t.connect()
		if err != nil || c.Reserve() == nil {
			return c, outcome, err
		}
		going := c.Going()
		_ = c.Close()
		if !going {
			break
		}
	}
	return nil, t.blame(pool.Gateway), errNoStreams
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
	var sock socket.Conn
	if err := sock.Init(conn); err != nil {
		_ = conn.Close()
		return nil, pool.Unknown, err
	}
	cc := http2.NewClient(&sock, &t.h2c.h.stats.Bytes.ToBackend, http2.ClientConfig{Window: unread, All: allUnread, Head: responseHead})
	t.h2c.own.Go(cc.Run)
	select {
	case <-cc.Greeted():
		err = cc.Refusal()
	case <-ctx.Done():
		err = errNoHello
	}
	if err != nil {
		_ = cc.Close()
		if errors.Is(err, http2.ErrOther) {
			t.h2c.h.hints.say(t.h2c.h.config().Log, hintHTTP2)
		}
		return nil, t.blame(helloOutcome(err)), err
	}
	t.spoke.Store(true)
	return &trunk{Client: cc, made: time.Now()}, pool.Unknown, nil
}

// helloOutcome says what it was when a backend that accepted did not greet.
func helloOutcome(err error) pool.Outcome {
	switch {
	case errors.Is(err, http2.ErrOther):
		return pool.Unknown
	case errors.Is(err, errNoHello):
		return pool.Timeout
	case errors.Is(err, io.EOF):
		return pool.Closed
	case http2.Malformed(err):
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

// leaves says that the backend leaves now, be it for the second time.
func (t *trunks) leaves() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cut = time.Time{}
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
		c.LiftUserTimeout()
		quiet := c.Quiet()
		stuck, idle := c.Stuck(now), t.h2c.h.config().Timeouts.Idle
		if all || !quiet.IsZero() && (left || now.Sub(quiet) > trunkIdle) || idle > 0 && !stuck.IsZero() && now.Sub(stuck) > idle {
			_ = c.Close()
		}
	}
	t.open = slices.DeleteFunc(t.open, (*trunk).isOver)
	return len(t.open) == 0 && len(t.coming) == 0
}
