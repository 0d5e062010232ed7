package http2

import "time"

// sender is a stream's body on its way out. The connection's mu guards it.
type sender struct {
	id      uint32
	window  int64
	ended   bool // all is put down
	waiting bool // for its own window
	queued  bool // in blocked: for the connection's window, or for room
	more    resumer
}

// resumer is told that more may be sent. It is called without any lock held, and must
// not wait.
type resumer interface{ resume(*Batch) }

// put puts down as much of p as may be sent now, and with the last of it the end. What is
// left is to be put again when s.more is told. It reports how much, and whether all is
// out. The caller holds mu.
func (c *conn) put(s *sender, p []byte, end bool) (n int, all bool) {
	for c.err == nil {
		left := len(p) - n
		if left == 0 && !end {
			return n, true
		}
		m := int(min(int64(left), c.window, s.window, int64(c.frames), int64(room-len(c.out))))
		if left == 0 {
			m = 0
		} else if m <= 0 {
			break
		}
		flags := byte(0)
		if end && m == left {
			flags = flagEndStream
		}
		c.widenOut(frameHead + m)
		c.out = append(appendHead(c.out, m, kindData, flags, s.id), p[n:n+m]...)
		n += m
		c.window -= int64(m)
		s.window -= int64(m)
		if m == left {
			s.ended = end
			return n, true
		}
	}
	switch {
	case c.err != nil:
	case s.window <= 0:
		s.waiting = true
	case !s.queued:
		s.queued = true
		c.blocked = append(c.blocked, s)
	}
	return n, false
}

// leave forgets a stream that may be waiting. The caller holds mu.
func (c *conn) leave(s *sender) {
	s.waiting = false
	if !s.queued {
		return
	}
	s.queued = false
	for i, b := range c.blocked {
		if b == s {
			c.blocked = append(c.blocked[:i], c.blocked[i+1:]...)
			return
		}
	}
}

// unblock has those go on, in turn, who wait for room or the connection's window, as long
// as there is some.
func (c *conn) unblock(by *Batch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for n := len(c.blocked); n > 0 && len(c.blocked) > 0 && c.window > 0 && len(c.out) < room; n-- {
		s := c.blocked[0]
		c.blocked = c.blocked[1:]
		s.queued = false
		c.mu.Unlock()
		s.more.resume(by)
		c.mu.Lock()
	}
}

// wider has those of streams go on who waited for their windows.
func (c *conn) wider(streams []*sender, by *Batch) {
	for _, s := range streams {
		c.mu.Lock()
		waits := s.waiting && s.window > 0
		s.waiting = s.waiting && !waits
		c.mu.Unlock()
		if waits {
			s.more.resume(by)
		}
	}
}

// carries reports whether s waits for room on a connection whose peer takes what there is,
// be it slowly: it has within d.
func (c *conn) carries(s *sender, now time.Time, d time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.creep(now)
	return s.queued && c.stuck && now.Sub(c.moved) < d
}

// receiver is a stream's body on its way in. The connection's mu guards it.
type receiver struct {
	credit, due, credits int64 // as the connection's
}

// received takes in that n bytes of a body have come. The caller holds mu.
func (c *conn) received(r *receiver, n int64) error {
	if c.credit -= n; c.credit < 0 {
		return fault(FlowControlError, "more than the connection's window")
	}
	if r == nil {
		c.giveBack(nil, 0, n)
		return nil
	}
	if r.credit -= n; r.credit < 0 {
		c.giveBack(nil, 0, n)
		return errOverflow
	}
	return nil
}

// errOverflow is more than a stream's window.
var errOverflow = &malformedError{"more than the stream's window"}

// giveBack has the peer send n bytes more, on the stream, if it goes on, and on the
// connection. It does so when there is something to it. The caller holds mu.
func (c *conn) giveBack(r *receiver, stream uint32, n int64) {
	if c.due += n; c.due >= min(c.credits/2, 64<<10) {
		c.out = appendWord(c.out, kindWindowUpdate, 0, uint32(c.due))
		c.credit, c.due = c.credit+c.due, 0
	}
	if r == nil {
		return
	}
	if r.due += n; r.due >= r.credits/2 {
		c.out = appendWord(c.out, kindWindowUpdate, stream, uint32(r.due))
		r.credit, r.due = r.credit+r.due, 0
	}
}

// widened takes in that more may be sent on the connection, or, if it is not nil, on s.
// The caller holds mu.
func (c *conn) widened(f *frame, s *sender) error {
	n := int64(f.word(0) & lastID)
	if n == 0 {
		return fault(ProtocolError, "a window of nothing")
	}
	window := &c.window
	if s != nil {
		window = &s.window
	}
	if *window += n; *window > lastID {
		return fault(FlowControlError, "a window that is too wide")
	}
	return nil
}
