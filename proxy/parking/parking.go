// Package parking watches over connections on which nothing happens, so that
// nobody has to wait for them: a goroutine with its stack costs more than all
// else that belongs to an idle connection.
//
//	var lot parking.Lot
//	err := lot.Start()
//	go lot.Run(ctx)
//	...
//	spot, ok := lot.Join(session, raw, nil)
//	news, asleep := lot.Sleep(spot, until) // and the goroutine ends
//
// Then session.Wake is called when there is something to read, or until has come,
// unless lot.Take(spot) was quicker. Awake, the session keeps its spot, and sleeps
// again or leaves. Nothing is read, written or closed. On Linux alone; elsewhere
// nobody is ever let in.
package parking

import (
	"math"
	"sync"
	"syscall"
	"time"
)

// Sleeper is who parks its connections.
type Sleeper interface {
	// Wake says what has happened. It must not wait for anything: others are woken
	// after it. What takes longer it does on another goroutine.
	Wake(News)
}

// News is what has happened on the two connections of a spot. Nothing: the time is
// up, or the lot closes.
type News [2]Event

// Event is what has happened on a connection since it was last told of: bits.
type Event uint8

const (
	// Readable says that there is something to read, be it an end or an error.
	Readable Event = 1 << iota
	// Ended says that the stream of the connection's peer has ended, or that the
	// connection has: that is found behind the last bytes.
	Ended
	// Urgent says that there is TCP's urgent data, at whose mark a read ends
	// though there is more.
	Urgent
	// Lost says that the connection has failed, such as by a reset. After the end
	// of the stream nobody would read that.
	Lost
)

// Spot is where somebody is parked. The zero Spot is nowhere.
type Spot struct{ number, turn uint32 }

// Lot is where connections are parked. The zero Lot is closed: [Lot.Start] opens it.
// Its methods may be called by many at once.
type Lot struct {
	poller poller

	mu     sync.Mutex // held for no longer than the system calls take that wait for nothing
	open   bool
	began  time.Time
	asleep int
	woken  uint64
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
	asleep  bool
	news    News // that came while it was awake
}

// page is how many spots are made at a time. They stay where they are.
type page [64]place

const (
	never = math.MaxInt64
	// maxTurn is the last turn before the first again.
	maxTurn = math.MaxInt32
	// glance is the shortest time between two looks whose time is up.
	glance = int64(50 * time.Millisecond)
)

// Size is how many are asleep.
func (l *Lot) Size() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asleep
}

// Woken is how many have been woken by what has happened, ever.
func (l *Lot) Woken() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.woken
}

// Join takes a spot for s, who is awake, and begins to watch a and b, unless nil.
// What is there already is news as well. False: the lot is closed or the system
// refuses, and nothing has been done.
//
// Both stay the caller's, and must not be closed behind a sleeper's back: a closed
// connection tells nobody anything.
func (l *Lot) Join(s Sleeper, a, b syscall.RawConn) (Spot, bool) {
	l.mu.Lock()
	if !l.open {
		l.mu.Unlock()
		return Spot{}, false
	}
	spot, p := l.take()
	p.sleeper, p.conns = s, [2]syscall.RawConn{a, b}
	l.mu.Unlock()
	for which, c := range [2]syscall.RawConn{a, b} {
		if c != nil && !l.poller.watch(c, spot, which) {
			l.Leave(spot, false)
			return Spot{}, false
		}
	}
	return spot, true
}

// Sleep puts who is at spot to sleep until then at the latest: it may be late by a
// twentieth of a second, and the zero time never comes. If something has happened
// meanwhile it stays awake, and that is returned; with no news the lot is closed.
//
// From then on either Wake is called, once, or [Lot.Take] answers true, once; Wake
// maybe even before Sleep has returned.
func (l *Lot) Sleep(spot Spot, until time.Time) (news News, asleep bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.at(spot)
	if p == nil {
		return news, false
	}
	news, p.news = p.news, News{}
	if news != (News{}) || !l.open {
		return news, false
	}
	p.asleep, p.until = true, l.since(until)
	l.asleep++
	l.expect(p.until)
	return news, true
}

// Take wakes who is at spot in Wake's place. False: it is not asleep.
func (l *Lot) Take(spot Spot) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.at(spot)
	if p == nil || !p.asleep {
		return false
	}
	l.rouse(p)
	return true
}

// Leave gives spot up, whose connections are no longer watched. With closing set they
// are not taken out of epoll: the caller is about to close them, which does that.
func (l *Lot) Leave(spot Spot, closing bool) {
	l.mu.Lock()
	p := l.at(spot)
	if p == nil {
		l.mu.Unlock()
		return
	}
	if p.asleep {
		l.rouse(p)
	}
	conns := p.conns
	*p = place{turn: (p.turn + 1) & maxTurn, next: l.free}
	l.free = spot.number
	l.mu.Unlock()
	if closing {
		return
	}
	for _, c := range conns {
		if c != nil {
			l.poller.forget(c)
		}
	}
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
	return spot, p
}

func (l *Lot) place(number uint32) *place {
	return &l.pages[(number-1)/uint32(len(page{}))][(number-1)%uint32(len(page{}))]
}

// at is what is known of spot; nil if its owner has left.
func (l *Lot) at(spot Spot) *place {
	if spot.number == 0 || spot.number > uint32(len(l.pages)*len(page{})) {
		return nil
	}
	if p := l.place(spot.number); p.sleeper != nil && p.turn == spot.turn {
		return p
	}
	return nil
}

// rouse notes that p's owner is awake.
func (l *Lot) rouse(p *place) Sleeper {
	p.asleep = false
	l.asleep--
	return p.sleeper
}

// happened takes an event in, and appends who is to be woken by it to some.
func (l *Lot) happened(spot Spot, which int, e Event, some []woken) []woken {
	p := l.at(spot)
	if p == nil {
		return some
	}
	if !p.asleep {
		p.news[which] |= e
		return some
	}
	l.woken++
	w := woken{sleeper: l.rouse(p)}
	w.news[which] = e
	return append(some, w)
}

// woken is who is to be woken.
type woken struct {
	sleeper Sleeper
	news    News
}

// expect sees to it that somebody looks when until has come.
func (l *Lot) expect(until int64) {
	if until = max(until, l.looked+glance); until < l.due {
		l.due = until
		l.poller.alarm(l.began.Add(time.Duration(until)))
	}
}

// overdue appends to some those whose time is up, or all.
func (l *Lot) overdue(some []woken, all bool) []woken {
	now := int64(time.Since(l.began))
	if now < l.due && !all {
		return some
	}
	l.looked = now
	next := int64(never)
	for _, page := range l.pages {
		for j := range page {
			switch p := &page[j]; {
			case !p.asleep:
			case all || p.until <= l.looked:
				some = append(some, woken{sleeper: l.rouse(p)})
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
