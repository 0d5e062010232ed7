package proxy

import (
	"time"

	"portside/proxy/relay"
)

// A client on whose connections nothing moves has no goroutine: its relay rests,
// and the service's lot watches both connections. It goes on, on a fresh
// goroutine, when there is something to read, when its time is up, or when it is
// cut, whichever comes first.

// tcpRestAfter is how long nothing has moved before a relay rests. To rest and to
// go on costs some ten microseconds, about as much as to relay a message does.
const tcpRestAfter = 200 * time.Millisecond

// rest parks the session, whose relay rests.
func (s *tcpSession) rest() {
	if !s.park() {
		go s.goOn(true)
	}
}

// park reports false if there is nobody to wake the session.
func (s *tcpSession) park() (ok bool) {
	client, backend := s.rested.Sources()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return false
	}
	s.spot, ok = s.tcp.lot.Park(s, s.rested.Until(), client, backend)
	return ok
}

// Wake goes on with the session.
func (s *tcpSession) Wake() { go s.goOn(false) }

// goOn goes on with a session that has rested, until it ends or rests again.
func (s *tcpSession) goOn(awake bool) {
	if r := s.rested.Resume(awake); r.End == relay.Resting {
		s.rest()
		return
	}
	s.end()
	s.tcp.stats.Active.Add(-1)
	s.tcp.sessions.remove(s)
}
