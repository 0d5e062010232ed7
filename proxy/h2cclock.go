package proxy

import "time"

// responseClock ends an attempt to which no response comes. The stream's mu guards it.
type responseClock struct {
	waits   bool      // an attempt is under way, and its response has not begun
	on      *trunk    // where
	asked   time.Time // since when it may be answered, or has been given its time once more
	sending bool      // the kernel had some of the request to send when the response was last due
	left    int       // that much, and since when no less
	leftAt  time.Time
	slow    bool // it was not answered in time
	passing bool // a response is passed on
}

// begins says that an attempt begins.
func (s *stream) begins() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clock = responseClock{waits: true, on: s.trunk, asked: time.Now()}
}

// passes says that the response has begun. It reports false if it is late.
func (s *stream) passes() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clock.waits = false
	s.clock.passing = !s.clock.slow && s.over == nil
	return s.clock.passing
}

// prolongs gives the backend its time once more, for which it has asked (102).
func (s *stream) prolongs() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clock.asked = time.Now()
}

// slow reports whether the backend has taken too long to answer.
func (s *stream) slow() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.clock.slow
}

// check looks, now and then, whether the stream takes too long.
func (s *stream) check(now time.Time, tick uint64) {
	if d := s.cfg.Timeouts.Idle; d > 0 && tick > s.moved.Load()+ticks(d, 0) {
		if s.Carried(now, d) {
			s.Moved()
			return
		}
		s.idles()
		return
	}
	d := s.cfg.Timeouts.Response
	whole, ok := s.Body.Whole()
	if d <= 0 || !ok { // until the backend has all, its silence is no wonder
		return
	}
	s.mu.Lock()
	c := &s.clock
	due := c.waits && !c.slow && now.Sub(later(c.asked, whole)) >= d && s.due(now, d)
	c.slow = c.slow || due
	s.mu.Unlock()
	if due {
		s.News(nil)
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// idles ends the stream: nothing has moved.
func (s *stream) idles() {
	_, awaited := s.Body.Awaited()
	s.mu.Lock()
	passing := s.clock.passing
	s.mu.Unlock()
	if awaited && !s.grpc && !passing { // of a call nobody can tell whose turn it is
		s.end(errBodySlow, nil)
		return
	}
	s.end(errIdle, nil)
}

// due reports whether an attempt whose response is due is to end: not if the backend has
// not had the request for long. The caller holds mu.
func (s *stream) due(now time.Time, d time.Duration) bool {
	c := &s.clock
	switch {
	case !s.Body.None() && s.sends(now, d):
		return false
	case c.sending:
		c.sending, c.asked = false, now
		return false
	}
	return true
}

// sends reports whether the kernel still has some of the request to send, and the
// backend takes it.
func (s *stream) sends(now time.Time, d time.Duration) bool {
	c, n := &s.clock, s.clock.on.Unsent()
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
