package proxy

import (
	"time"

	"portside/proxy/http1"
)

// proxy serves the parsed request of x. It reports whether another may follow on
// the client's connection.
func (s *httpSession) proxy() (again bool) {
	cfg := s.h.config()
	if !s.prepare(cfg) {
		return false
	}
	var last error
	s.x.since = s.x.began
	for {
		c, err := s.connect(cfg, last)
		if err != nil {
			return s.failed(err)
		}
		var how proof
		how, again, err = s.attempt(c, cfg)
		s.finish()
		if err == nil || s.x == nil {
			return again
		}
		if how == served || s.x.up.lost() != nil || s.ended() && !s.slow(cfg) {
			return s.abort(err)
		}
		if !s.mayRetry(how, cfg) || s.ended() && !s.revive() {
			return s.failed(err)
		}
		last = err
	}
}

// prepare builds what is sent to whichever backend it will be: the head, and
// what has come of the body.
func (s *httpSession) prepare(cfg *Config) bool {
	x := s.x
	if x.req.Host == nil {
		// An HTTP/1.0 client that named none: ours is the only one it can mean.
		x.req.Host = []byte(s.client.LocalAddr().String())
	}
	s.mend(cfg.HTTP.Forwarded)
	x.out = x.req.AppendHead(x.out[:0])
	x.out = s.appendForwarded(x.out, cfg.HTTP.Forwarded)
	if upgrades(&x.req) {
		x.out = append(x.out, "Connection: Upgrade\r\n"...)
		x.out = http1.AppendField(x.out, "Upgrade", x.req.Upgrade)
	}
	x.out = http1.AppendEnd(x.out)
	x.up.reset(x.req.Framing)
	if err := x.up.takeBuffered(x); err != nil {
		s.refuse(err)
		return false
	}
	x.closes = !x.req.KeepAlive || s.h.draining.Load()
	return true
}

// upgrades reports whether r asks for another protocol that we can pass through. HTTP/2
// is never among them: see [http1.Request].
func upgrades(r *http1.Request) bool { return r.Upgrade != nil && r.Empty() }

// slow reports whether the session has been ended because a backend took longer than
// one may: another may still be tried.
func (s *httpSession) slow(cfg *Config) bool {
	return s.watch.why() == errNoResponse && cfg.Timeouts.Response > 0
}

// revive has a session go on that has been ended for its backend's slowness. It
// reports false if the service has ended.
func (s *httpSession) revive() bool {
	_ = s.client.SetReadDeadline(time.Time{})
	s.watch.revive(s.h.warden.tick.Load())
	return s.ctx.Err() == nil // it ends first, and then its sessions are cut
}

// ended reports whether the session has been ended, by the warden or by a cut.
func (s *httpSession) ended() bool {
	_, is := s.watch.ended()
	return is
}

// repeatable reports whether the request may be acted upon twice.
func (s *httpSession) repeatable() bool {
	r := &s.x.req
	return r.MethodID.Idempotent() || r.Has(http1.IdempotencyKey) || r.Has(http1.XIdempotencyKey)
}

// mayRetry reports whether the request may be tried on another backend after an
// attempt that failed with that proof (RFC 9110 9.2.2).
func (s *httpSession) mayRetry(how proof, cfg *Config) bool {
	x := s.x
	forgive := s.forgivable(cfg)
	tries := x.nTry
	if forgive {
		tries--
	}
	switch {
	case !mayTry(x.tried[:], tries, cfg), !x.up.replayable(), s.ctx.Err() != nil:
		return false
	case how == unknown && !s.repeatable():
		return false
	}
	affords, paid := s.h.affords(how, cfg)
	if x.paid = paid; !affords {
		return false
	}
	if forgive {
		x.forgiven = true
		x.nTry--
		x.stale.sweep(time.Now(), true)
	}
	return true
}
