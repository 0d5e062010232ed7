package proxy

import (
	"runtime"
	"sync"
	"syscall"
	"time"

	"portside/proxy/parking"
	"portside/proxy/socket"
)

// A goroutine's stack that has grown to serve a request stays that large while it
// waits for the next. So a client that has been idle for a while gives its
// goroutine up: it is parked, and goes on on a fresh one when it sends something or
// is ended. The warden wakes the old one by a deadline, in two steps, so that the
// deadline is never left behind. Where nobody can be parked, the client goes on on
// a fresh goroutine at once, whose stack has the smallest size.
//
// At first a client is parked at once, be it before or after its first request: it
// may not send another for long, or ever, and to have the runtime's poller watch it
// costs more.

// restAfter is how long a client is idle before it rests, in ticks. Since they are
// read off a clock that steps, it is between a step less and a step more.
const restAfter = 300

// promptRests is how often a client rests at once.
const promptRests = 2

// idling is what a session needs to wait for requests.
type idling struct {
	renewed    bool // it gives its goroutine up
	rests      int  // how often it has done so
	parking    sync.Mutex
	spot       parking.Spot // where it is parked, or was; parking guards it
	onReadable func(fd uintptr) bool
	readErr    error
}

// run serves the client until it ends, or rests.
func (s *httpSession) run() {
	for s.serveOne() {
	}
	if !s.renewed {
		s.close()
		s.h.exit(s)
		return
	}
	s.rests++
	if !s.park() {
		go s.rest()
	}
}

// park reports false if the session is to go on on its own.
func (s *httpSession) park() (ok bool) {
	s.parking.Lock()
	defer s.parking.Unlock()
	_, since := s.watch.load()
	if !s.watch.turn(phaseRenewed, phaseParked, since) {
		return false
	}
	if s.spot, ok = s.h.lot.Join(s, s.client.Raw(), nil); ok {
		if _, ok = s.h.lot.Sleep(s.spot, time.Time{}); ok {
			return true
		}
		s.h.lot.Leave(s.spot, false)
	}
	s.watch.turn(phaseParked, phaseResting, since)
	return false
}

// Wake goes on with a parked session.
func (s *httpSession) Wake(parking.News) { go s.rest() }

// unpark goes on with a session that has been ended, if it is parked.
func (s *httpSession) unpark() {
	s.parking.Lock()
	defer s.parking.Unlock()
	if s.h.lot.Take(s.spot) {
		go s.rest()
	}
}

// renew wakes a session that has been idle since then. Only the warden calls it.
func (s *httpSession) renew(since uint64) {
	if !s.watch.turn(phaseIdle, phaseRenewing, since) {
		return
	}
	_ = s.client.SetReadDeadline(past)
	s.watch.turn(phaseRenewing, phaseRenewed, since)
}

// rest goes on with a session on a fresh goroutine. Serve waits for sessions, not
// for goroutines.
func (s *httpSession) rest() {
	s.parking.Lock() // whoever parked it has gone
	s.h.lot.Leave(s.spot, false)
	_, since := s.watch.load()
	s.watch.turn(phaseParked, phaseIdle, since)
	s.parking.Unlock()
	s.run()
}

// awaitRequest waits for a request that has to be read to be served, and serves
// those before it that have not. It reports false if none will come, or if the
// session has to go on on a fresh goroutine: then renewed is set.
func (s *httpSession) awaitRequest() bool {
	if !s.renewed && !s.enter(phaseIdle) {
		return false
	}
	if s.renewed = false; s.ended() {
		return false
	}
	if s.rests < promptRests {
		switch done, tried := s.client.Try(s.onReadable); {
		case done:
			return s.mayRead()
		case tried && s.leave():
			return false
		}
	}
	err := s.client.ReadRaw(s.onReadable)
	if err == nil {
		return s.mayRead()
	}
	if p, _ := s.watch.load(); p == phaseRenewing || p == phaseRenewed {
		s.renewed = true
		s.undisturbed()
	}
	return false
}

// mayRead reports whether a request has begun that has to be read.
func (s *httpSession) mayRead() bool { return s.readErr == nil && s.x != nil && !s.ended() }

// leave gives the goroutine up at once. It reports false if the session has been
// ended.
func (s *httpSession) leave() bool {
	_, since := s.watch.load()
	s.renewed = s.watch.turn(phaseIdle, phaseRenewed, since)
	return s.renewed
}

// rouse begins a head.
func (s *httpSession) rouse() bool {
	p, since := s.watch.load()
	if (p == phaseIdle || p == phaseResting) && s.watch.word.CompareAndSwap(since<<8|uint64(p), s.h.warden.tick.Load()<<8|uint64(phaseHead)) {
		return true
	}
	if p, _ = s.watch.load(); p == phaseRenewing || p == phaseRenewed {
		s.undisturbed()
	}
	return s.enter(phaseHead)
}

// undisturbed undoes what renew did, once it has done it.
func (s *httpSession) undisturbed() {
	for p, _ := s.watch.load(); p == phaseRenewing; p, _ = s.watch.load() {
		runtime.Gosched()
	}
	_ = s.client.SetReadDeadline(time.Time{})
}

// nothing looks whether there is still nothing to read, which takes less of a
// stack than to read.
func (s *httpSession) nothing(fd uintptr) bool {
	if p, _ := s.watch.load(); p != phaseResting {
		return false
	}
	var b [1]byte
	_, errno := socket.Peek(fd, b[:])
	return errno == syscall.EAGAIN
}
