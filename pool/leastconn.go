package pool

import (
	"math/rand/v2"
	"slices"
	"sync"
)

// leastConn picks the backend with the fewest in flight for its weight, exactly,
// and a random one among equals.
//
// Backends stand on a ladder, a rung for each distinct load, ascending. A pick
// takes a random backend of the lowest rung and moves it up; a release moves it
// down. Both cost a few steps however many backends there are.
//
// Law 1 asks that picking take no lock. An exact minimum that is counted in the
// same step is one fact shared by all cores, and this lock is how they share it:
// it is held for some 30 ns. Its in-flight counts change under it alone.
type leastConn struct {
	mu    sync.Mutex
	floor rung  // below the lowest, always empty
	spare *rung // emptied rungs, kept for their memory
	round int   // of set
}

// newLeastConn's floor lies below every load.
func newLeastConn() *leastConn { return &leastConn{floor: rung{load: -1}} }

// rung holds the backends that are equally loaded.
type rung struct {
	load         float64
	members      []*Backend
	above, below *rung
}

// leastNode is a backend's place on the ladder; no rung, not on it.
type leastNode struct {
	rung   *rung
	place  int
	weight float64
	round  int
}

// set makes ready the backends to choose among.
func (l *leastConn) set(ready []*Backend) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.round++
	for _, b := range ready {
		n := &b.least
		n.round = l.round
		if n.rung != nil && n.weight == b.weight && n.rung.load == b.load() {
			continue // else, just after a change of policy, one who held the old view counted
		}
		if n.rung != nil {
			l.leave(b)
		}
		n.weight = b.weight
		l.stand(b, b.load(), &l.floor)
	}
	for r := l.floor.above; r != nil; {
		above := r.above
		for i := len(r.members) - 1; i >= 0; i-- {
			if b := r.members[i]; b.least.round != l.round {
				r.drop(b)
			}
		}
		l.sweep(r)
		r = above
	}
}

func (l *leastConn) pick(_ uint64, tried []*Backend) *Backend {
	l.mu.Lock()
	for r := l.floor.above; r != nil; r = r.above {
		if b := r.any(tried); b != nil {
			b.inFlight.Add(1)
			l.move(b)
			l.mu.Unlock()
			return b
		}
	}
	l.mu.Unlock()
	return nil
}

func (l *leastConn) take(b *Backend)    { l.count(b, 1) }
func (l *leastConn) release(b *Backend) { l.count(b, -1) }

func (l *leastConn) count(b *Backend, by int64) {
	l.mu.Lock()
	b.inFlight.Add(by)
	if b.least.rung != nil {
		l.move(b)
	}
	l.mu.Unlock()
}

// load is what one more would make of b: (in flight + 1) ÷ weight.
func (b *Backend) load() float64 {
	return float64(b.inFlight.Load()+1) / b.least.weight
}

// move puts b where its load belongs, looking from where it stood.
func (l *leastConn) move(b *Backend) {
	from, load := b.least.rung, b.load()
	from.drop(b)
	at := from
	for at.load > load {
		at = at.below
	}
	l.stand(b, load, at)
	l.sweep(from)
}

// stand puts b on the rung of load, looking upward from at, which must not be
// above it.
func (l *leastConn) stand(b *Backend, load float64, at *rung) {
	for at.above != nil && at.above.load <= load {
		at = at.above
	}
	if at.load != load {
		at = l.insert(at, load)
	}
	b.least.rung, b.least.place = at, len(at.members)
	at.members = append(at.members, b)
}

// leave takes b off the ladder.
func (l *leastConn) leave(b *Backend) {
	r := b.least.rung
	r.drop(b)
	l.sweep(r)
}

// drop takes b off the rung; the last member fills its place.
func (r *rung) drop(b *Backend) {
	last := len(r.members) - 1
	moved := r.members[last]
	r.members[b.least.place] = moved
	moved.least.place = b.least.place
	r.members[last] = nil
	r.members = r.members[:last]
	b.least.rung = nil
}

// insert adds a rung for load just above at.
func (l *leastConn) insert(at *rung, load float64) *rung {
	r := l.spare
	if r == nil {
		r = &rung{}
	} else {
		l.spare = r.above
	}
	r.load, r.below, r.above = load, at, at.above
	if at.above != nil {
		at.above.below = r
	}
	at.above = r
	return r
}

// sweep removes r if nobody stands on it.
func (l *leastConn) sweep(r *rung) {
	if len(r.members) > 0 {
		return
	}
	r.below.above = r.above
	if r.above != nil {
		r.above.below = r.below
	}
	r.below, r.above = nil, l.spare
	l.spare = r
}

// any returns a random member that is not in tried, or nil.
func (r *rung) any(tried []*Backend) *Backend {
	n := len(r.members)
	if n == 1 && len(tried) == 0 {
		return r.members[0]
	}
	at := int(rand.Uint32N(uint32(n)))
	for range n {
		if b := r.members[at]; len(tried) == 0 || !slices.Contains(tried, b) {
			return b
		}
		if at++; at == n {
			at = 0
		}
	}
	return nil
}
