package proxy

import (
	"net/http"
	"sync"
	"time"
)

// streamClock ends a stream in which nothing moves, or to which no response comes.
type streamClock struct {
	s          *stream
	idle, head *time.Timer // nil: no limit

	mu      sync.Mutex
	passing bool // the head of the response is out, or about to be
	over    bool
}

func (c *streamClock) start(s *stream) {
	c.s = s
	if d := s.cfg.Timeouts.Idle; d > 0 {
		c.idle = time.AfterFunc(d, func() { c.end(errIdle) })
	}
	if s.body == nil {
		c.responds()
	}
}

// end ends the stream. One whose response has begun may be waiting for its client
// to take more of it: that is ended too.
func (c *streamClock) end(why error) {
	// Of a call nobody can tell whose turn it is. The body's lock is taken before c's,
	// by who reads.
	slow := why == errIdle && !c.s.grpc && c.s.body.awaited()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over || c.passing && why == errNoResponse {
		return
	}
	if slow && !c.passing {
		why = errBodySlow
	}
	c.s.end(why)
	if c.passing {
		_ = http.NewResponseController(c.s.w).SetWriteDeadline(past)
	}
}

// moves says that bytes have moved.
func (c *streamClock) moves() {
	if c.idle != nil {
		c.idle.Reset(c.s.cfg.Timeouts.Idle)
	}
}

// responds says that the request has come whole, so that it is the backend's turn.
// Until then its silence is no wonder.
func (c *streamClock) responds() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if d := c.s.cfg.Timeouts.Response; d > 0 && !c.passing && !c.over {
		c.head = time.AfterFunc(d, func() { c.end(errNoResponse) })
	}
}

// passes says that the response has begun.
func (c *streamClock) passes() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.passing = true
	if c.head != nil {
		c.head.Stop()
	}
}

// stop ends the watch: afterwards nothing of net/http's is touched.
func (c *streamClock) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	for _, t := range []*time.Timer{c.idle, c.head} {
		if t != nil {
			t.Stop()
		}
	}
}
