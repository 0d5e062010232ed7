package proxy

import (
	"context"
	"net/http"
	"sync"
	"time"

	"portside/proxy/http2"
)

// streamClock ends a stream in which nothing moves, and an attempt to which no response
// comes.
type streamClock struct {
	s    *stream
	idle *time.Timer // nil: no limit

	mu      sync.Mutex
	attempt context.CancelCauseFunc // ends the one under way; nil: there is none
	link    *http2.Link             // that it is made on
	head    *time.Timer             // of its response; nil: no limit, or not yet
	sending bool                    // the kernel had some of the request to send when head was last due
	left    int                     // that much, and since when no less
	leftAt  time.Time
	slow    bool // head has ended the attempt
	passing bool // the head of the response is out, or about to be
	writing bool // the client is waited for, to take more of it
	ended   bool // the stream, by the clock
	over    bool
}

func (c *streamClock) start(s *stream) {
	c.s = s
	if d := s.cfg.Timeouts.Idle; d > 0 {
		c.idle = time.AfterFunc(d, c.idles)
	}
}

// idles ends the stream: nothing has moved. One whose response has begun may be waiting
// for its client to take more of it: that is ended too.
func (c *streamClock) idles() {
	why := errIdle
	_, slow := c.s.body.Awaited()
	slow = slow && !c.s.grpc // of a call nobody can tell whose turn it is
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return
	}
	if slow && !c.passing {
		why = errBodySlow
	}
	c.ended = true
	c.s.end(why)
	c.s.body.Stop() // which net/http's transport reads without an eye on its context
	if c.writing {  // which nothing else ends, and then there is nothing more to be said
		_ = http.NewResponseController(c.s.w).SetWriteDeadline(past)
	}
}

// write has write, which may wait for the client, be ended with the stream. It reports
// false if that has been ended before.
func (c *streamClock) write(write func() error) (ok bool, err error) {
	c.mu.Lock()
	if c.ended {
		c.mu.Unlock()
		return false, nil
	}
	c.writing = true
	c.mu.Unlock()
	err = write()
	c.mu.Lock()
	c.writing = false
	c.mu.Unlock()
	return true, err
}

// moves says that bytes have moved.
func (c *streamClock) moves() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.idle != nil && !c.over {
		c.idle.Reset(c.s.cfg.Timeouts.Idle)
	}
}

// begins says that an attempt begins on l, which end ends.
func (c *streamClock) begins(end context.CancelCauseFunc, l *http2.Link) {
	_, whole := c.s.body.Whole() // else it is for who reads it to say
	c.mu.Lock()
	c.attempt, c.link, c.sending, c.slow = end, l, false, false
	c.mu.Unlock()
	if whole {
		c.responds()
	}
}

// responds says that the backend has the whole request, so that it is its turn. Until
// then its silence is no wonder.
func (c *streamClock) responds() {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.s.cfg.Timeouts.Response
	if d <= 0 || c.passing || c.over || c.attempt == nil || c.head != nil {
		return
	}
	var head *time.Timer
	head = time.AfterFunc(d, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.head == head && !c.passing && !c.over {
			c.due(d)
		}
	})
	c.head = head
}

// glances is how often it is looked, within timeouts.response, whether the kernel still
// has some of the request to send: what it has, the backend has not.
const glances = 8

// due ends an attempt whose response is due, unless the backend has not had the request
// for long. The caller holds mu.
func (c *streamClock) due(d time.Duration) {
	switch {
	case c.s.body != nil && c.sends(d):
		c.head.Reset(max(d/glances, time.Millisecond))
	case c.sending:
		c.sending = false
		c.head.Reset(d)
	default:
		c.slow = true
		c.attempt(errNoResponse)
		c.s.body.Stop()
	}
}

// sends reports whether the kernel still has some of the request to send, and the
// backend takes it.
func (c *streamClock) sends(d time.Duration) bool {
	n, now := c.link.Unsent(), time.Now()
	if n == 0 {
		return false
	}
	if !c.sending || n < c.left {
		c.leftAt = now
	}
	c.sending, c.left = true, n
	if now.Sub(c.leftAt) > d+max(d, 3*time.Second) { // as limits.stall
		c.sending = false
		return false
	}
	return true
}

// prolongs gives the backend its time once more, for which it has asked (102).
func (c *streamClock) prolongs() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.head != nil && !c.over && !c.slow {
		c.head.Reset(c.s.cfg.Timeouts.Response)
	}
}

// fails says that the attempt is over without a response.
func (c *streamClock) fails() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unwatch()
	c.attempt = nil
}

// unwatch gives up the limit of the response. The caller holds mu.
func (c *streamClock) unwatch() {
	if c.head != nil {
		c.head.Stop()
		c.head = nil
	}
}

// passes says that the response has begun. It reports false if it is late.
func (c *streamClock) passes() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.slow {
		return false
	}
	c.passing = true
	c.unwatch()
	return true
}

// stop ends the watch: afterwards nothing of net/http's is touched.
func (c *streamClock) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	c.unwatch()
	if c.idle != nil {
		c.idle.Stop()
	}
}
