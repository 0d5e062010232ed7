package http2

import (
	"errors"
	"io"
	"math"
	"net"
	"sync/atomic"
	"time"

	"portside/proxy/socket"
)

// ClientConfig says how a connection to a backend is used.
type ClientConfig struct {
	Window int64 // of each stream's response, in bytes
	All    int64 // of all responses, in bytes
	Head   int   // the largest head, or trailers, in bytes
}

// Client is a connection to a backend.
type Client struct {
	conn
	cfg ClientConfig

	greeted chan struct{} // closed when the backend's greeting is in force, or will not come
	refusal error         // why it will not
	closed  atomic.Bool
	unheard atomic.Bool // see Unheard

	// Under mu.
	streams  map[uint32]*ClientStream
	next     uint32 // stream's number
	reserved int    // streams that are about to be opened
	limit    uint32 // of streams, the backend's
	going    bool   // the backend is ending the connection
	code     Code   // and why
	quiet    time.Time
}

// NewClient is a connection to a backend, to which nothing has been written yet. It adds
// to sent what is.
func NewClient(sock *socket.Conn, sent *atomic.Int64, cfg ClientConfig) *Client {
	c := &Client{cfg: cfg, greeted: make(chan struct{}), streams: map[uint32]*ClientStream{}, next: 1, limit: math.MaxUint32, quiet: time.Now()}
	c.init(sock, sent, nil, cfg.Head, cfg.All)
	c.out = append(c.out, Preface...)
	c.out = appendSettings(c.out, setting{settingPush, 0}, setting{settingWindow, uint32(cfg.Window)}, setting{settingListSize, uint32(cfg.Head)})
	c.out = appendWord(c.out, kindWindowUpdate, 0, uint32(cfg.All-65535))
	return c
}

// Run reads the connection until it ends. Then all its streams are over.
func (c *Client) Run() {
	err := c.run()
	c.mu.Lock()
	broken := c.err // in sending: then we have closed it, which says less
	c.mu.Unlock()
	switch {
	case c.closed.Swap(true):
		err = net.ErrClosed
	case broken != nil:
		err = broken
	}
	c.end(0, err)
	c.greet(err)
	c.mu.Lock()
	if c.going {
		err = &goneError{c.code, err}
	}
	streams := c.streams
	c.streams = nil
	c.mu.Unlock()
	for _, cs := range streams {
		cs.ends(err, nil)
	}
}

func (c *Client) run() error {
	head, err := c.in.need(frameHead)
	if err == nil && !Greets(head) {
		err = ErrOther
	}
	for err == nil {
		var f frame
		if f, err = c.in.next(); err == nil {
			if c.unheard.Load() {
				c.unheard.Store(false)
			}
			err = c.handle(&f)
		}
	}
	return err
}

// greet says that the backend has greeted, or why it will not.
func (c *Client) greet(refusal error) {
	select {
	case <-c.greeted:
	default:
		c.refusal = refusal
		close(c.greeted)
	}
}

// Greeted is closed when the backend's greeting is in force, or will not come.
func (c *Client) Greeted() <-chan struct{} { return c.greeted }

// Refusal is why no greeting came, such as [ErrOther]; nil: it did. It may be called when
// Greeted is closed.
func (c *Client) Refusal() error { return c.refusal }

// Close ends the connection, and with it its streams.
func (c *Client) Close() error {
	c.closed.Store(true)
	return c.sock.Close()
}

// Closed reports whether the connection takes no more streams, and has none.
func (c *Client) Closed() bool {
	if c.closed.Load() {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err != nil
}

// laden is how much may lie about for a backend that is to be sent more requests.
const laden = 1 << 20

// Reserve takes a place for a stream, if there is one.
func (c *Client) Reserve() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil || c.closed.Load() || c.going || c.next > lastID-2*uint32(c.reserved) || uint32(c.inFlight()) >= c.limit || len(c.out) > laden {
		return ErrClosed
	}
	if c.next > 1 && c.inFlight() == 0 {
		c.unheard.Store(true)
	}
	c.reserved++
	return nil
}

// Unheard reports whether the backend has said nothing since the connection, which had
// been used before, had been idle: if it has ended, it may have been as good as ended then.
func (c *Client) Unheard() bool { return c.unheard.Load() }

// Release gives a reserved place back.
func (c *Client) Release() {
	c.mu.Lock()
	c.reserved--
	c.rest()
	c.mu.Unlock()
}

// InFlight is how many streams there are, and are about to be.
func (c *Client) InFlight() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.inFlight()
}

func (c *Client) inFlight() int { return len(c.streams) + c.reserved }

// Going reports whether the backend has said that it ends the connection.
func (c *Client) Going() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.going
}

// Quiet is since when there is no stream; zero: there are some.
func (c *Client) Quiet() (since time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inFlight() == 0 {
		since = c.quiet
	}
	return since
}

// rest takes in that a stream is over. The caller holds mu.
func (c *Client) rest() {
	if c.inFlight() > 0 {
		return
	}
	c.quiet = time.Now()
	if c.going {
		_ = c.sock.Close()
	}
}

// Unsent is how much the backend has not acknowledged yet, in bytes.
func (c *Client) Unsent() int { return c.unsent() }

// LiftUserTimeout is [socket.LiftUserTimeout] of the connection.
func (c *Client) LiftUserTimeout() { c.sock.LiftUserTimeout() }

// Stuck is since when the backend takes nothing of what there is; zero: it takes it.
func (c *Client) Stuck(now time.Time) time.Time { return c.stuckSince(now) }

func (c *Client) handle(f *frame) error {
	if err := c.order(f); err != nil {
		return err
	}
	switch f.kind {
	case kindData:
		return c.data(f)
	case kindHeaders, kindContinuation:
		done, err := c.head(f)
		if done && err == nil {
			err = c.headed(f.stream)
		}
		return err
	case kindReset:
		return c.reset(f)
	case kindSettings:
		return c.set(f)
	case kindPing:
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.ping(f)
	case kindGoAway:
		c.goAway(f)
	case kindWindowUpdate:
		return c.widen(f)
	case kindPushPromise:
		return fault(ProtocolError, "a backend that pushes")
	}
	return nil
}

// find is a stream that goes on; nil: it is over. The caller holds mu.
func (c *Client) find(id uint32) (*ClientStream, error) {
	if cs := c.streams[id]; cs != nil {
		return cs, nil
	}
	if id >= c.next || id%2 == 0 {
		return nil, fault(ProtocolError, "a stream that nobody has begun")
	}
	return nil, nil
}

func (c *Client) data(f *frame) error {
	all := int64(len(f.payload))
	if err := f.unpad(); err != nil {
		return err
	}
	n := int64(len(f.payload))
	c.mu.Lock()
	cs, err := c.find(f.stream)
	if err != nil || cs == nil {
		err = errors.Join(err, c.received(nil, all))
		c.mu.Unlock()
		return err
	}
	if err = c.received(&cs.receiver, all); err == nil {
		c.giveBack(&cs.receiver, f.stream, all-n)
	}
	c.mu.Unlock()
	switch {
	case errors.Is(err, errOverflow):
		cs.fail(err, FlowControlError, &c.batch)
		return nil
	case err != nil:
		return err
	}
	cs.push(f.payload, f.has(flagEndStream), &c.batch)
	return nil
}

func (c *Client) headed(id uint32) error {
	c.mu.Lock()
	cs, err := c.find(id)
	c.mu.Unlock()
	if cs == nil {
		return err
	}
	cs.headed(c.dec, c.block.end, &c.batch)
	return nil
}

func (c *Client) reset(f *frame) error {
	c.mu.Lock()
	cs, err := c.find(f.stream)
	c.mu.Unlock()
	if cs != nil {
		cs.ends(&ResetError{Code(f.word(0))}, &c.batch)
	}
	return err
}

func (c *Client) set(f *frame) error {
	if f.has(flagAck) {
		return nil
	}
	err := c.resize(f, &c.limit, func(yield func(*sender) bool) {
		for _, cs := range c.streams {
			if !yield(&cs.sender) {
				return
			}
		}
	})
	if err == nil {
		c.greet(nil)
	}
	return err
}

func (c *Client) widen(f *frame) error {
	c.mu.Lock()
	var cs *ClientStream
	var s *sender
	if f.stream != 0 {
		var err error
		if cs, err = c.find(f.stream); cs == nil {
			c.mu.Unlock()
			return err
		}
		s = &cs.sender
	}
	err := c.widened(f, s)
	c.mu.Unlock()
	switch {
	case cs == nil:
		c.unblock(&c.batch)
		return err
	case err != nil:
		cs.fail(&malformedError{err.Error()}, codeOf(err), &c.batch)
	default:
		c.wider([]*sender{s}, &c.batch)
	}
	return nil
}

// goAway takes in that the backend ends the connection (RFC 9113 6.8).
func (c *Client) goAway(f *frame) {
	last, why := f.word(0)&lastID, errWentAway
	if Code(f.word(4)) == EnhanceYourCalm {
		why = errCalm // others would say the same
	}
	c.mu.Lock()
	c.going, c.code = true, Code(f.word(4))
	var untaken []*ClientStream
	for id, cs := range c.streams {
		if id > last {
			untaken = append(untaken, cs)
		}
	}
	c.mu.Unlock()
	for _, cs := range untaken {
		cs.ends(&goneError{Code(f.word(4)), why}, &c.batch)
	}
	c.mu.Lock()
	c.rest()
	c.mu.Unlock()
}

var _ io.Closer = (*Client)(nil)
