package proxy

import (
	"context"
	"sync/atomic"
	"time"
)

// warden ends the waits of HTTP sessions that have lasted too long, and those
// whose client has left.
type warden struct {
	tick   atomic.Uint64 // milliseconds since it began to walk, as of the last walk
	limits atomic.Pointer[limits]
}

// set makes t the limits from now on.
func (w *warden) set(t Timeouts) {
	walk := tickFor(t)
	w.limits.Store(&limits{idle: ticks(t.Idle, walk), head: ticks(t.Head, walk), response: ticks(t.Response, walk), walk: walk})
}

// patrol walks past all sessions until ctx ends.
func (h *HTTP) patrol(ctx context.Context) {
	walk := h.warden.limits.Load().walk
	ticker := time.NewTicker(walk)
	defer ticker.Stop()
	start := time.Now()
	swept := start
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		t := time.Now()
		before, now := h.warden.tick.Load(), uint64(t.Sub(start)/time.Millisecond)
		h.warden.tick.Store(now)
		h.sessions.each(nil, func(s session) { s.(*httpSession).check(before, now) })
		if t.Sub(swept) >= time.Second {
			swept = t
			h.sweepAll(t, false)
			h.cfgLog().Flush()
		}
		if d := h.warden.limits.Load().walk; d != walk {
			walk = d
			ticker.Reset(walk)
		}
	}
}

// check looks at s at tick now; the last walk was at before.
func (s *httpSession) check(before, now uint64) {
	p, since := s.watch.load()
	if c := s.h2c.Load(); c != nil && p == phaseBusy {
		c.check(time.Now(), now)
		return
	}
	if p >= phaseEnding || p == phaseBusy {
		return
	}
	l := s.h.warden.limits.Load()
	if p == phaseResponse && l.response > 0 && s.watch.upload.Load() == forKernel {
		s.delivered(now)
	}
	if p == phaseBody || p == phaseResponse {
		still := max(since, s.watch.moved.Load())
		if limit := l.shortest(p); limit > 0 && now > still+limit/2 && s.trickles(still) {
			s.watch.moved.Store(now)
		}
	}
	why := l.overdue(p, since, s.watch.moved.Load(), now, s.watch.upload.Load())
	if why == nil && dueToLook(since, before, now) {
		why = s.look(p, since, before)
	}
	if why != nil && s.watch.end(p, since, why) {
		s.wake(why)
		return
	}
	switch {
	case !p.idle():
	case s.h.draining.Load():
		s.drain()
	case p == phaseIdle && now > since+restAfter:
		s.renew(since)
	}
}

// delivered takes in that the backend's kernel has the last of an upload: from then on
// the backend's silence is its own.
func (s *httpSession) delivered(now uint64) {
	if c := s.conn.Load(); c == nil || c.Unsent() > 0 {
		return
	}
	s.watch.moved.Store(now)
	s.watch.upload.CompareAndSwap(forKernel, nobody)
}

// trickle is how much the kernel had yet to send of what was written to both sides of a
// session, as of the warden's last look.
type trickle struct {
	unsent   int
	unsentOf uint64 // 1 + the tick since when nothing had moved then; 0: it never looked
}

// trickles reports whether what was written to either side moves on, though nothing
// more could be: the kernel says that there is room again only when a good part of
// megabytes has gone, for which a slow peer may take longer than the limit. Still is
// since when nothing else moves; the first look only notes what there is.
func (s *httpSession) trickles(still uint64) bool {
	was, compared := s.unsent, s.unsentOf == still+1
	s.unsentOf = still + 1
	s.unsent = s.client.Unsent()
	if c := s.conn.Load(); c != nil {
		s.unsent += c.Unsent()
	}
	return compared && s.unsent != was
}

// look looks whether those that s waits for are still there. A reader that does
// not ask before it waits may have missed an end that came just before: it is
// stirred, once where nothing new can have been missed.
func (s *httpSession) look(p phase, since, before uint64) error {
	switch {
	case p == phaseIdle && before-since < lookEvery:
		if s.client.Gone() {
			s.client.Stir()
		}
	case p >= phaseConnect && s.client.Gone():
		return errClientGone
	case p == phaseResponse:
		if c := s.conn.Load(); c != nil && c.Gone() {
			c.Stir()
		}
	}
	return nil
}

// past is a deadline that wakes whoever waits.
var past = time.Unix(1, 0)

// wake ends the system calls that s waits in. An answer can still be written to
// the client where one makes sense.
func (s *httpSession) wake(why error) {
	_ = s.client.SetReadDeadline(past)
	if why == errIdle || why == errClientGone || why == errDraining {
		_ = s.client.SetWriteDeadline(past)
	}
	if giveUp := s.giveUp.Load(); giveUp != nil {
		(*giveUp)()
	}
	if c := s.conn.Load(); c != nil {
		_ = c.SetDeadline(past)
	}
	s.watch.settle()
	s.unpark()
}
