package proxy

import (
	"time"

	"portside/proxy/parking"
	"portside/proxy/relay"
)

// A client on whose connections nothing moves has no goroutine: its relay rests,
// and the service's lot watches both connections. What comes is moved on a fresh
// goroutine, in a step, after which the relay rests on, for as long as that is
// enough: most short sessions never need more.

// tcpRestAfter is how long nothing has moved before a relay rests. To rest and to
// wake up costs some ten microseconds, about as much as to relay a message does.
const tcpRestAfter = 200 * time.Millisecond

// Wake goes on with the session, whose relay rests.
func (s *tcpSession) Wake(news parking.News) { go s.woken(news) }

func (s *tcpSession) woken(news parking.News) { s.goOn(s.relay.Step(news)) }

// goOn goes on with the session, whose relay has come to r, until it sleeps or ends.
func (s *tcpSession) goOn(r relay.Result) {
	awake := false
	for {
		switch r.End {
		case relay.Resting:
			s.relay = r.Rested
			if !s.judged.Load() && time.Since(s.start) >= early {
				s.succeeded() // it has not ended for so long
			}
			news, asleep := s.sleep()
			if asleep {
				return
			}
			awake = news == parking.News{} // there is nobody to wake it
			r = s.relay.Step(news)
		case 0:
			s.leave(false)
			r = s.relay.Resume(awake)
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
			s.leave(true)
			s.judge(r, time.Since(s.start))
			s.end()
			s.tcp.exit(s)
			return
		}
	}
}

// sleep parks the session, unless something has come that is to be done, or it is
// over, or the lot is closed.
func (s *tcpSession) sleep() (news parking.News, asleep bool) {
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
	return lot.Sleep(s.spot, s.relay.Until())
}

// leave gives its spot up.
func (s *tcpSession) leave(closing bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tcp.lot.Leave(s.spot, closing)
	s.spot = parking.Spot{}
}
