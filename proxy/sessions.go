package proxy

import (
	"sync"
	"sync/atomic"
	"time"

	"portside/pool"
)

// session is one client's connection, and the backend it is joined to now.
type session interface {
	// backend is nil between two backends.
	backend() *pool.Backend
	// drain asks the session to end when its work is done.
	drain()
	// cut ends the session at once.
	cut()
	// idle reports whether that would end no work.
	idle() bool
	// liftUserTimeout is [socket.LiftUserTimeout] of the connection to the backend.
	liftUserTimeout()
	// among is its place among the others, which theirs guard.
	among() *place
}

// place is a session's place among the others: whom it stands between.
type place struct{ next, prev session }

func (p *place) among() *place { return p }

// sessions are those of one service. They are few enough to be walked through
// when a backend leaves, and counted so that Serve can wait for them.
type sessions struct {
	mu    sync.Mutex
	first session
	done  sync.WaitGroup
	cuts  atomic.Int64
}

func (ss *sessions) add(s session) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if *s.among() = (place{next: ss.first}); ss.first != nil {
		ss.first.among().prev = s
	}
	ss.first = s
	ss.done.Add(1)
}

func (ss *sessions) remove(s session) {
	ss.mu.Lock()
	p := s.among()
	if p.next != nil {
		p.next.among().prev = p.prev
	}
	if p.prev != nil {
		p.prev.among().next = p.next
	} else {
		ss.first = p.next
	}
	*p = place{}
	ss.mu.Unlock()
	ss.done.Done()
}

// each calls f for every session of those that b, or every backend when nil,
// serves now.
func (ss *sessions) each(b *pool.Backend, f func(session)) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	for s := ss.first; s != nil; s = s.among().next {
		if b == nil || s.backend() == b {
			f(s)
		}
	}
}

// of are those that b, or every backend when nil, serves now: for what takes long.
// One may end meanwhile.
func (ss *sessions) of(b *pool.Backend) (all []session) {
	ss.each(b, func(s session) { all = append(all, s) })
	return all
}

// finish, once no more are added, gives the sessions timeout to end, cuts the rest
// after a call of abandon, and returns when all have ended, with the number it cut.
func (ss *sessions) finish(timeout time.Duration, abandon func()) int64 {
	ss.each(nil, session.drain)
	timer := time.AfterFunc(timeout, func() {
		abandon()
		ss.cutAll()
	})
	ss.done.Wait()
	timer.Stop()
	return ss.cuts.Load()
}

func (ss *sessions) cutAll() {
	for _, s := range ss.of(nil) {
		if !s.idle() {
			ss.cuts.Add(1)
		}
		s.cut()
	}
}
