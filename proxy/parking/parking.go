// Package parking watches over connections on which nothing happens, so that
// nobody has to wait for them: a goroutine with its stack costs more than all
// else that belongs to an idle connection.
//
//	var lot parking.Lot
//	err := lot.Start()
//	go lot.Run(ctx)
//	...
//	spot, ok := lot.Park(session, until, raw, nil) // and the goroutine ends
//
// Then session.Wake is called when there is something to read, or until has come,
// unless lot.Take(spot) was quicker. Nothing is read, written or closed. On Linux
// alone; elsewhere nobody is ever parked.
package parking

import (
	"math"
	"sync"
	"syscall"
	"time"
)

// Sleeper is who parks its connections.
type Sleeper interface {
	// Wake says that a connection can be read from, that the stream of one or
	// the connection itself has ended, or that the time is up. It must not
	// block: what there is to do, it does on another goroutine.
	Wake()
}

// Spot is where somebody is parked. The zero Spot is nowhere.
type Spot struct{ number, turn uint32 }

// Lot is where connections are parked. The zero Lot is closed: [Lot.Start] opens it.
// Its methods may be called by many at once.
type Lot struct {
	poller poller

	mu     sync.Mutex // held for no longer than the system calls take that wait for nothing
	open   bool
	began  time.Time
	parked int
	pages  []*page
	free   uint32 // the number of the first free spot; zero: none
	due    int64  // when to look next whose time is up, since began
	looked int64  // when that was last done
}

// place is what is known of one spot.
type place struct {
	sleeper Sleeper // nil: free
	conns   [2]syscall.RawConn
	until   int64  // since began
	turn    uint32 // of the sleepers; an event for an earlier one is none
	next    uint32 // the next free spot's number
}

// page is how many spots are made at a time. They stay where they are.
type page [64]place

const (
	never = math.MaxInt64
	// glance is the shortest time between two looks whose time is up.
	glance = int64(50 * time.Millisecond)
)

// Size is how many are parked.
func (l *Lot) Size() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.parked
}

// Park watches a and b, unless nil, for s, until then at the latest: it may be
// late by a twentieth of a second, and the zero time never comes. From then on
// either s.Wake is called, once, or [Lot.Take] answers true, once; Wake maybe even
// before Park has returned. False: the lot is closed or the system refuses, and
// nothing has been done.
//
// Both stay the caller's. Who closes them takes them back as well: a closed
// connection tells nobody anything.
func (l *Lot) Park(s Sleeper, until time.Time, a, b syscall.RawConn) (Spot, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.open {
		return Spot{}, false
	}
	spot, p := l.take()
	p.sleeper, p.conns, p.until = s, [2]syscall.RawConn{a, b}, l.since(until)
	for _, c := range p.conns {
		if c != nil && !l.poller.watch(c, spot) {
			l.leave(spot.number)
			return Spot{}, false
		}
	}
	l.expect(p.until)
	return spot, true
}

// Take takes back who was parked at spot. False: Wake has been called, or is about
// to be, or somebody else has taken it back.
func (l *Lot) Take(spot Spot) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.at(spot)
	if p == nil {
		return false
	}
	l.leave(spot.number)
	return true
}

// What follows is called with mu held.

// since is t as the lot reckons.
func (l *Lot) since(t time.Time) int64 {
	if t.IsZero() {
		return never
	}
	return int64(t.Sub(l.began))
}

// take takes a free spot. Numbers begin at one.
func (l *Lot) take() (Spot, *place) {
	if l.free == 0 {
		first := uint32(len(l.pages)*len(page{})) + 1
		fresh := new(page)
		l.pages = append(l.pages, fresh)
		for i := range fresh {
			fresh[i].next = first + uint32(i) + 1
		}
		fresh[len(fresh)-1].next = 0
		l.free = first
	}
	spot := Spot{number: l.free}
	p := l.place(spot.number)
	spot.turn, l.free = p.turn, p.next
	l.parked++
	return spot, p
}

func (l *Lot) place(number uint32) *place {
	return &l.pages[(number-1)/uint32(len(page{}))][(number-1)%uint32(len(page{}))]
}

// at is where spot's owner is parked; nil if it no longer is.
func (l *Lot) at(spot Spot) *place {
	if spot.number == 0 || spot.number > uint32(len(l.pages)*len(page{})) {
		return nil
	}
	if p := l.place(spot.number); p.sleeper != nil && p.turn == spot.turn {
		return p
	}
	return nil
}

// leave frees a spot, and returns who was there.
func (l *Lot) leave(number uint32) Sleeper {
	p := l.place(number)
	s := p.sleeper
	for _, c := range p.conns {
		if c != nil {
			l.poller.forget(c)
		}
	}
	*p = place{turn: p.turn + 1, next: l.free}
	l.free = number
	l.parked--
	return s
}

// expect sees to it that somebody looks when until has come.
func (l *Lot) expect(until int64) {
	if until = max(until, l.looked+glance); until < l.due {
		l.due = until
		l.poller.alarm(l.began.Add(time.Duration(until)))
	}
}

// overdue frees the spots of those whose time is up, or of all, and appends them
// to some.
func (l *Lot) overdue(some []Sleeper, all bool) []Sleeper {
	l.looked = int64(time.Since(l.began))
	next := int64(never)
	for i, page := range l.pages {
		for j := range page {
			switch p := &page[j]; {
			case p.sleeper == nil:
			case all || p.until <= l.looked:
				some = append(some, l.leave(uint32(i*len(page)+j)+1))
			default:
				next = min(next, p.until)
			}
		}
	}
	l.due = never
	if next == never {
		l.poller.alarm(time.Time{})
		return some
	}
	l.expect(next)
	return some
}
