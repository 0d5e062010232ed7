package proxy

import (
	"context"
	"sync/atomic"
	"time"
)

// warden ends the waits of HTTP sessions that have lasted too long, and those
// whose client has left.
type warden struct {
	tick   atomic.Uint64
	limits atomic.Pointer[limits]
	every  atomic.Int64 // a tick's length, in nanoseconds
}

// set makes t the limits from now on.
func (w *warden) set(t Timeouts) {
	every := tickFor(t)
	w.every.Store(int64(every))
	w.limits.Store(&limits{idle: ticks(t.Idle, every), head: ticks(t.Head, every), response: ticks(t.Response, every)})
}

// run walks past all sessions every tick until ctx ends.
func (h *HTTP) patrol(ctx context.Context) {
	every := time.Duration(h.warden.every.Load())
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	swept := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := h.warden.tick.Add(1)
		h.sessions.each(nil, func(s session) { s.(*httpSession).check(now) })
		if t := time.Now(); t.Sub(swept) >= time.Second {
			swept = t
			h.sweepAll(t, false)
			h.cfgLog().flush()
		}
		if d := time.Duration(h.warden.every.Load()); d != every {
			every = d
			ticker.Reset(every)
		}
	}
}

// check looks at s at tick now.
func (s *httpSession) check(now uint64) {
	p, since := s.watch.load()
	if p == phaseEnded || p == phaseBusy {
		return
	}
	why := s.h.warden.limits.Load().overdue(p, since, s.watch.moved.Load(), now)
	if why == nil && p == phaseIdle && s.h.draining.Load() {
		why = errDraining
	}
	if why == nil && (p == phaseResponse || p == phaseBody) && now > since+1 && s.clientGone() {
		why = errClientGone
	}
	if why != nil && s.watch.end(p, since, why) {
		s.wake(why)
	}
}

// clientGone reports whether the client has ended its side while it waits. What
// an upload reads, it sees for itself.
func (s *httpSession) clientGone() bool {
	if s.watch.up.Load() {
		return false
	}
	_, err := s.client.Alive()
	return err != nil
}

// past is a deadline that wakes whoever waits.
var past = time.Unix(1, 0)

// wake ends the system calls that s waits in. An answer can still be written to
// the client where one makes sense.
func (s *httpSession) wake(why error) {
	_ = s.client.SetReadDeadline(past)
	if why == errIdle || why == errClientGone {
		_ = s.client.SetWriteDeadline(past)
	}
	if c := s.conn.Load(); c != nil {
		_ = c.SetDeadline(past)
	}
}
