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
// What it guards is dense and apart from the backends, and picks that follow one
// another keep near one another, since most of a pick's time goes to fetching what
// another core has written.
type leastConn struct {
	mu   sync.Mutex
	seed uint64   // of ties
	at   uint32   // where to look first among equals
	run  uint32   // so many more times
	_    [40]byte // what follows is written seldom

	floor   rung       // below the lowest, always empty
	nodes   []node     // a backend keeps its own while it stands on the ladder
	weight  []float64  // of each node
	owner   []*Backend // of each node
	free    []uint32   // nodes of nobody
	empty   *rung      // the one that may be on the ladder and empty
	spare   *rung      // emptied rungs, kept for their memory
	leaves  []*leaf    // of rungs, empty
	ready   []*Backend // as set last told; guarded by pool.mu
	weights []float64  // of ready
}

// node is a backend's place on the ladder, and its work since it came to stand
// there.
type node struct {
	rung     *rung
	inFlight int32 // of before too
	leases   uint32
}

// newLeastConn's floor lies below every load.
func newLeastConn() *leastConn { return &leastConn{floor: rung{load: -1}, seed: rand.Uint64()} }

// lock takes l.mu. Who finds it taken lets the other core go on for some
// microseconds: what it has in its cache is worth dozens of picks, and fetching it
// for each pick would cost both of them more than the wait. Only then it parks.
func (l *leastConn) lock() {
	if !l.mu.TryLock() {
		l.wait()
	}
}

func (l *leastConn) wait() {
	for range 8 {
		for range 20_000 { // about 5 µs
		}
		if l.mu.TryLock() {
			return
		}
	}
	l.mu.Lock()
}

func (l *leastConn) pick(_ uint64, tried []*Backend) (*Backend, *cell) {
	l.lock()
	for r := l.floor.above; r != nil; r = r.above {
		if r.count == 0 {
			continue
		}
		i, ok := l.any(r, tried)
		if !ok {
			continue
		}
		l.begin(i)
		b := l.owner[i]
		l.mu.Unlock()
		return b, nil
	}
	l.mu.Unlock()
	return nil, nil
}

func (l *leastConn) take(b *Backend) {
	l.lock()
	if at := b.place.Load(); at > 0 {
		l.begin(at - 1)
	} else {
		b.started.Add(1)
	}
	l.mu.Unlock()
}

// begin counts one more on node i.
func (l *leastConn) begin(i uint32) {
	n := &l.nodes[i]
	n.inFlight++
	n.leases++
	if n.leases == 1<<31 {
		l.unload(i)
	}
	l.move(i)
}

// unload has the backend of node i count the leases that the node counted.
func (l *leastConn) unload(i uint32) {
	n, b := &l.nodes[i], l.owner[i]
	b.started.Add(int64(n.leases))
	b.ended.Add(int64(n.leases))
	n.leases = 0
}

func (l *leastConn) release(b *Backend, _ *cell) {
	l.lock()
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
	l.lock()
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

// load is what one more would make of node i: (in flight + 1) ÷ weight.
func (l *leastConn) load(i uint32) float64 {
	load := float64(l.nodes[i].inFlight + 1)
	if w := l.weight[i]; w != 1 {
		load /= w
	}
	return load
}

// any is a random node of r whose backend is not in tried: the next after the last
// one, and now and then from anywhere. Neighbours share cache lines.
func (l *leastConn) any(r *rung, tried []*Backend) (i uint32, ok bool) {
	if l.run == 0 {
		l.at, l.run = l.anywhere(r), runLength
	}
	l.run--
	i = r.from(l.at)
	for range min(r.count, uint32(len(tried))+1) {
		if len(tried) == 0 || !slices.Contains(tried, l.owner[i]) {
			l.at = i + 1
			return i, true
		}
		i = r.from(i + 1)
	}
	return 0, false
}

// runLength is how many picks go on from one random place.
const runLength = 16

// anywhere is a random node of r.
func (l *leastConn) anywhere(r *rung) uint32 {
	for range 8 {
		if i := l.random(uint32(len(l.nodes))); r.has(i) {
			return i
		}
	}
	return r.nth(l.random(r.count))
}

// random is uniform below n (SplitMix64, and Lemire's reduction).
func (l *leastConn) random(n uint32) uint32 {
	l.seed += 0x9e3779b97f4a7c15
	x, _ := bits.Mul64(mix(l.seed), uint64(n))
	return uint32(x)
}
