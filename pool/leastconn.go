package pool

import (
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
)

// leastConn picks the backend with the fewest in flight for its weight, exactly,
// and a random one among equals.
//
// Where weights differ, one more request adds more load to a light backend than to a
// heavy one. If each went where the load after it is lowest, the heaviest backend would
// get everything as long as there is little to do. So every backend that now has less in
// flight for its weight than the lowest load after a pick is as good as any, and one of
// them is drawn by weight.
//
// Picking is to take no lock, but an exact minimum that is counted in the same step is
// one fact shared by all cores, and most of a pick's time goes to fetching what another
// core has written. So many backends are spread over several ladders, each with its own
// lock, and a core stays at one of them for a while, as long as no other shows a lower
// load.
type leastConn struct {
	ladders  []ladder
	lows     []atomic.Uint64                // the lowest load that each ladder shows
	byWeight atomic.Pointer[weightedRandom] // nil: all weigh the same
	seats    sync.Pool                      // of *seat: what a core puts back it mostly gets again

	// Guarded by pool.mu.
	ready   []*Backend // as given to set
	weights []float64  // of ready
	spread  bool       // they are on all ladders, not only on the first
}

// seat is where a core last found the lowest load. It fills a cache line.
type seat struct {
	at   int    // index of the ladder
	left int    // picks still to make there before looking for another
	seed uint64 // of the draw among equals
	_    [40]byte
}

const (
	// laddersPerCore are enough for a core to find a ladder at which no other core is.
	laddersPerCore = 4
	maxLadders     = 16
	// crowd is how many backends there are for each ladder before several are used.
	crowd = 64
	// sitting is how many picks a core makes at a ladder, for each backend on its lowest
	// rung, before it looks for another.
	sitting = 4
	// patience is how often a pick looks for the lowest load before it locks all ladders
	// to find it.
	patience = 4
)

// newLeastConn returns a picker for as many cores that pick at once.
func newLeastConn(cores int) *leastConn {
	n := 1
	if cores > 1 {
		n = min(cores*laddersPerCore, maxLadders)
	}
	l := &leastConn{ladders: make([]ladder, n), lows: make([]atomic.Uint64, n)}
	l.seats.New = func() any { return &seat{seed: rand.Uint64()} }
	for i := range l.ladders {
		d := &l.ladders[i]
		d.floor.load = -1 // below every load
		d.low, d.shown = noLoad, &l.lows[i]
		d.shown.Store(noLoad)
	}
	return l
}

func (l *leastConn) pick(_ uint64, tried []*Backend) (*Backend, *cell) {
	if w := l.byWeight.Load(); w != nil {
		if b := l.pickByWeight(w, tried); b != nil {
			return b, nil
		}
	}
	if len(tried) > 0 {
		return l.pickOther(tried), nil
	}
	s := l.seats.Get().(*seat)
	b := l.pickAt(s)
	l.seats.Put(s)
	if b == nil {
		b = l.pickOther(nil)
	}
	return b, nil
}

// draws is how often a backend is drawn by weight. If the load of none of them is low
// enough, few backends' is, and then it matters little which one is taken.
const draws = 6

// pickByWeight draws a backend that now has less in flight for its weight than any would
// have after one more; nil if none was found.
func (l *leastConn) pickByWeight(w *weightedRandom, tried []*Backend) *Backend {
	for range draws {
		b := w.draw()
		if len(tried) > 0 && slices.Contains(tried, b) {
			continue
		}
		d := b.lockLadder()
		if d == nil {
			continue // it has left the ladders since
		}
		stands := math.Float64bits(float64(b.place.inFlight) / b.place.weight)
		if !l.lower(stands + 1) {
			d.count(b, 1)
			d.unlock()
			return b
		}
		d.unlock()
	}
	return nil
}

// sampler draws from ready by weight. It is nil if all weigh the same.
func sampler(ready []*Backend, weights []float64) *weightedRandom {
	for _, w := range weights {
		if w != weights[0] {
			return newWeightedRandom(ready, weights)
		}
	}
	return nil
}

// pickAt picks from the ladder of s, or moves s to one with a lower load. It returns nil
// if there is no backend, or other cores were always faster.
func (l *leastConn) pickAt(s *seat) *Backend {
	for tries := range patience {
		if s.left == 0 {
			s.at = l.lowest(s)
		}
		d := &l.ladders[s.at]
		if !d.mu.TryLock() {
			if tries < patience/2 {
				s.left = 0
				continue
			}
			d.mu.Lock()
		}
		if d.low == noLoad || l.lower(d.low) {
			d.unlock()
			s.left = 0
			continue
		}
		equals := d.floor.above.members
		if s.left == 0 {
			s.left = sitting * len(equals)
		}
		s.left--
		b := equals[s.random(len(equals))]
		d.count(b, 1)
		d.unlock()
		return b
	}
	return nil
}

// lower reports whether any ladder shows a load below low.
func (l *leastConn) lower(low uint64) bool {
	for i := range l.lows {
		if l.lows[i].Load() < low {
			return true
		}
	}
	return false
}

// lowest is the index of a ladder that shows the lowest load, a random one among equals.
func (l *leastConn) lowest(s *seat) int {
	from := s.random(len(l.lows))
	best := from
	for i := range l.lows {
		if i += from; i >= len(l.lows) {
			i -= len(l.lows)
		}
		if l.lows[i].Load() < l.lows[best].Load() {
			best = i
		}
	}
	return best
}

// pickOther picks the least loaded backend that is not in tried, with all ladders locked.
func (l *leastConn) pickOther(tried []*Backend) *Backend {
	s := seat{seed: rand.Uint64()}
	l.lock()
	defer l.unlock()
	var best *Backend
	var from *ladder
	start := s.random(len(l.ladders))
	for i := range l.ladders {
		d := &l.ladders[(start+i)%len(l.ladders)]
		for r := d.floor.above; r != nil && (best == nil || r.load < best.place.rung.load); r = r.above {
			if b := r.untried(s.random(len(r.members)), tried); b != nil {
				best, from = b, d
			}
		}
	}
	if best != nil {
		from.count(best, 1)
	}
	return best
}

// lock locks every ladder.
func (l *leastConn) lock() {
	for i := range l.ladders {
		l.ladders[i].mu.Lock()
	}
}

func (l *leastConn) unlock() {
	for i := range l.ladders {
		l.ladders[i].unlock()
	}
}

func (l *leastConn) take(b *Backend) {
	if d := b.lockLadder(); d != nil {
		d.count(b, 1)
		d.unlock()
		return
	}
	counting{}.take(b)
}

func (l *leastConn) release(b *Backend, c *cell) {
	if d := b.lockLadder(); d != nil {
		d.count(b, -1)
		d.unlock()
		return
	}
	counting{}.release(b, c)
}

// random is uniform below n (SplitMix64, and Lemire's reduction).
func (s *seat) random(n int) int {
	s.seed += 0x9e3779b97f4a7c15
	x, _ := bits.Mul64(mix(s.seed), uint64(n))
	return int(x)
}
