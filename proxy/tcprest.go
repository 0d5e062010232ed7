package proxy

import (
	"log/slog"
	"time"

	"portside/proxy/parking"
	"portside/proxy/relay"
)

// A client on whose connections nothing moves has no goroutine: its relay rests,
// and the service's lot watches both connections. What comes is moved in a step by
// the goroutine that watches, and the relay rests on: for several clients that takes
// a quarter to a third less than goroutines of their own, which the scheduler spreads
// over all cores, and their sockets with them. What takes more than a step is done on
// a goroutine of the session's.
//
// A client that is alone at work is served faster by goroutines of its own. So one
// of a service's may have them, as long as no other is at work.

const (
	// tcpRestAfter is how long nothing has moved before a relay rests. To rest and
	// to wake up costs some ten microseconds, about as much as to relay a message.
	tcpRestAfter = 200 * time.Millisecond
	// A client is at work if soloSteps steps take no longer than soloTime, and alone
	// if the others are woken no more than some times meanwhile.
	soloSteps = 32
	soloTime  = soloSteps * 5 * time.Millisecond
	some      = soloSteps / 4
)

// resting is what a session needs to rest and to be woken.
type resting struct {
	relay     *relay.Rested // at rest, or woken up
	sleepless bool          // there is nobody to wake it
	steps     int
	counted   time.Time
	woken     uint64
}

// Wake does what there is to do for the session, whose relay rests. It does not
// wait: whatever might is done on another goroutine.
func (s *tcpSession) Wake(news parking.News) {
	const rounds = 3 // there are others
	r := s.step(news)
	for i := 0; i < rounds && r.End == relay.Resting; i++ {
		var asleep bool
		if news, asleep = s.sleep(); asleep {
			return
		}
		r = s.step(news)
	}
	if r.End == relay.Done && s.judged.Load() {
		s.ended(r)
		return
	}
	go s.goOn(r)
}

// goOn goes on with the session, whose relay has come to r, until it sleeps or ends.
func (s *tcpSession) goOn(r relay.Result) {
	for {
		switch r.End {
		case relay.Resting:
			s.relay = r.Rested
			news, asleep := s.sleep()
			if asleep {
				return
			}
			s.sleepless = news == parking.News{}
			r = s.step(news)
		case 0:
			s.leave(false)
			r = s.relay.Resume(s.sleepless)
			s.tcp.solo.CompareAndSwap(s, nil)
		case relay.Early:
			s.leave(false)
			s.report(endOutcome(r.Err))
			s.end()
			var err error
			if r, err = s.join(r.Unsent, r.Err); err != nil {
				s.fail(err)
				return
			}
		default:
			s.ended(r)
			return
		}
	}
}

// step takes a step, unless the session has goroutines of its own from now on.
func (s *tcpSession) step(news parking.News) relay.Result {
	if s.steps++; s.steps%soloSteps == 0 && s.alone() && s.tcp.solo.CompareAndSwap(nil, s) {
		return relay.Result{}
	}
	if news == (parking.News{}) && s.stays() {
		return relay.Result{End: relay.Resting, Rested: s.relay}
	}
	return s.relay.Step(news)
}

// stays reports whether the session was woken for a backend that has not answered
// yet, and has now been there for long enough.
func (s *tcpSession) stays() bool {
	if s.judged.Load() || time.Since(s.start) < early {
		return false
	}
	s.succeeded()
	return true
}

// alone reports whether the session, and no other, has been at work.
func (s *tcpSession) alone() bool {
	now := time.Now()
	quick := now.Sub(s.counted) < soloTime
	s.counted = now
	return s.others() < soloSteps+some && quick
}

// others is how often anybody has been woken since it was asked last.
func (s *tcpSession) others() uint64 {
	before := s.woken
	s.woken = s.tcp.lot.Woken()
	return s.woken - before
}

// crowded reports whether a session with goroutines of its own is to give them up.
func (s *tcpSession) crowded() bool { return s.tcp.solo.Load() == s && s.others() > some }

// ended ends the session, whose relay has ended.
func (s *tcpSession) ended(r relay.Result) {
	s.leave(true)
	took := time.Since(s.start)
	s.judge(r, took)
	if log := s.tcp.config().Log; log.Enabled(s.ctx, slog.LevelDebug) {
		log.Debug("client served", "client", s.client.RemoteAddr(), "backend", s.lease.Backend().Address(), "attempts", s.nTried,
			"took", took, "to_backend", r.ToBackend, "to_client", r.ToClient, "end", r.End, "error", r.Err)
	}
	s.end()
	s.tcp.exit(s)
}

// sleep parks the session, unless something has come that is to be done, or it is
// over, or the lot is closed.
func (s *tcpSession) sleep() (news parking.News, asleep bool) {
	until := s.relay.Until()
	if !s.judged.Load() && !s.stays() {
		if stays := s.start.Add(early); until.IsZero() || stays.Before(until) {
			until = stays
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return news, false
	}
	lot := &s.tcp.lot
	if s.spot == (parking.Spot{}) {
		client, backend := s.relay.Sources()
		s.spot, _ = lot.Join(s, client, backend)
	}
	return lot.Sleep(s.spot, until)
}

// leave gives its spot up.
func (s *tcpSession) leave(closing bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tcp.lot.Leave(s.spot, closing)
	s.spot = parking.Spot{}
}
