package pool

import (
	"math/bits"
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
// same step is one fact shared by all cores, and this lock is how they share it.
// What it guards is dense and apart from the backends, since most of a pick's
// time goes to fetching what another core has written.
type leastConn struct {
	mu    sync.Mutex
	seed  uint64 // of ties
	floor rung   // below the lowest, always empty
	spare *rung  // emptied rungs, kept for their memory
	nodes []node
	owner []*Backend // of each node
	free  []uint32   // nodes of nobody

	ready   []*Backend // as set last told; guarded by pool.mu
	weights []float64  // of ready
}

// node is a backend's place on the ladder, and its work since it came to stand
// there.
type node struct {
	rung     *rung
	weight   float64
	leases   int64
	inFlight int32 // of before too
	at       uint32
}

// rung holds the nodes that are equally loaded.
type rung struct {
	load         float64
	members      []uint32
	above, below *rung
}

// newLeastConn's floor lies below every load.
func newLeastConn() *leastConn { return &leastConn{floor: rung{load: -1}, seed: rand.Uint64()} }

func (l *leastConn) pick(_ uint64, tried []*Backend) (*Backend, *cell) {
	l.mu.Lock()
	for r := l.floor.above; r != nil; r = r.above {
		i, ok := l.any(r, tried)
		if !ok {
			continue
		}
		n := &l.nodes[i]
		n.leases++
		n.inFlight++
		l.move(i)
		b := l.owner[i]
		l.mu.Unlock()
		return b, nil
	}
	l.mu.Unlock()
	return nil, nil
}

func (l *leastConn) take(b *Backend) {
	l.mu.Lock()
	if at := b.place.Load(); at > 0 {
		n := &l.nodes[at-1]
		n.leases++
		n.inFlight++
		l.move(at - 1)
	} else {
		b.started.Add(1)
	}
	l.mu.Unlock()
}

func (l *leastConn) release(b *Backend, _ *cell) {
	l.mu.Lock()
	if at := b.place.Load(); at > 0 {
		l.nodes[at-1].inFlight--
		l.move(at - 1)
	} else {
		b.ended.Add(1)
	}
	l.mu.Unlock()
}

// settle takes over what of b was counted past the ladder.
func (l *leastConn) settle(b *Backend) {
	l.mu.Lock()
	if at := b.place.Load(); at > 0 {
		l.absorb(b, at-1)
		l.move(at - 1)
	}
	l.mu.Unlock()
}

// absorb counts on node i what of b is in flight and counted elsewhere.
func (l *leastConn) absorb(b *Backend, i uint32) {
	started, ended := b.elsewhere()
	b.ended.Add(started - ended)
	l.nodes[i].inFlight += int32(started - ended)
}

// load is what one more would make of n: (in flight + 1) ÷ weight.
func (n *node) load() float64 {
	load := float64(n.inFlight + 1)
	if n.weight == 1 {
		return load
	}
	return load / n.weight
}

// any is a random node of r whose backend is not in tried.
func (l *leastConn) any(r *rung, tried []*Backend) (i uint32, ok bool) {
	n := len(r.members)
	at := 0
	if n > 1 {
		at = l.random(n)
	}
	if len(tried) == 0 {
		return r.members[at], true
	}
	for range n {
		if i := r.members[at]; !slices.Contains(tried, l.owner[i]) {
			return i, true
		}
		if at++; at == n {
			at = 0
		}
	}
	return 0, false
}

// random is uniform below n (SplitMix64, and Lemire's reduction).
func (l *leastConn) random(n int) int {
	l.seed += 0x9e3779b97f4a7c15
	x, _ := bits.Mul64(mix(l.seed), uint64(n))
	return int(x)
}
