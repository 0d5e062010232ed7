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
	writing bool // the client is waited for, to take more of it
	ended   bool // by the clock
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
	// Of a call nobody can tell whose turn it is.
	slow := why == errIdle && !c.s.grpc && c.s.body.awaited()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over || c.passing && why == errNoResponse {
		return
	}
	if slow && !c.passing {
		why = errBodySlow
	}
	c.ended = true
	c.s.end(why)
	c.s.body.stop() // which net/http's transport reads without an eye on its context
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
