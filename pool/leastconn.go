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
// and a random one among equals. Where weights differ, the fewest is not one
// backend: a request more on a light one is a larger step than on a heavy one, and
// if each went to where the step ends lowest, the heaviest would get everything as
// long as there is little to do. So all who stand below the lowest such end are as
// good, and one of them is chosen by weight.
//
// Law 1 asks that picking take no lock. An exact minimum that is counted in the
// same step is one fact shared by all cores, and most of a pick's time goes to
// fetching what another core has written. So many backends are spread over
// several ladders, each with its lock, and a core stays at one of them for a
// while, as long as there is no lower load elsewhere.
type leastConn struct {
	ladders  []ladder
	lows     []atomic.Uint64                // what each shows
	byWeight atomic.Pointer[weightedRandom] // nil: all weigh the same
	seats    sync.Pool                      // of *seat: what a core puts back it mostly gets again

	// Guarded by pool.mu.
	ready   []*Backend // as set last told
	weights []float64  // of ready
	spread  bool       // over all ladders, not all on the first
}

// seat is where one who picks last found the lowest load. It fills a cache line.
type seat struct {
	at   int    // which ladder
	left int    // picks there, before another is as good
	seed uint64 // of ties
	_    [40]byte
}

const (
	// laddersPerCore are enough for a core to find one where no other is.
	laddersPerCore = 4
	maxLadders     = 16
	// crowd is how many backends a ladder is for, if there are several.
	crowd = 64
	// sitting is the number of picks for each of the equals on a ladder before
	// another's have their turn.
	sitting = 4
	// patience is how often a pick looks for the lowest load before it stops all
	// others to find it.
	patience = 4
)

// newLeastConn is for so many cores that pick at once.
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
		d.low, d.shown = nobody, &l.lows[i]
		d.shown.Store(nobody)
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

// draws are how often one is drawn by weight. If none of them stands low, few do, and
// then it matters little which.
const draws = 6

// pickByWeight picks one of those who stand below where the next step could end at
// the least; nil if none was found.
func (l *leastConn) pickByWeight(w *weightedRandom, tried []*Backend) *Backend {
	for range draws {
		b := w.draw()
		if len(tried) > 0 && slices.Contains(tried, b) {
			continue
		}
		d := b.hold()
		if d == nil {
			continue // it has left
		}
		stands := math.Float64bits(float64(b.footing.inFlight) / b.footing.weight)
		if !l.lower(stands + 1) {
			d.count(b, 1)
			d.unlock()
			return b
		}
		d.unlock()
	}
	return nil
}

// sampler draws of ready by weight; nil if all weigh the same.
func sampler(ready []*Backend, weights []float64) *weightedRandom {
	for _, w := range weights {
		if w != weights[0] {
			return newWeightedRandom(ready, weights)
		}
	}
	return nil
}

// pickAt picks from the ladder at s, or from where s finds a lower load. It is
// nil if there was none, or others were always faster.
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
		if d.low == nobody || l.lower(d.low) {
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

// lower reports whether a ladder shows a load below low.
func (l *leastConn) lower(low uint64) bool {
	for i := range l.lows {
		if l.lows[i].Load() < low {
			return true
		}
	}
	return false
}

// lowest is one of the ladders that show the lowest load, at random.
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

// pickOther picks the least loaded that is not in tried, with everybody else
// stopped.
func (l *leastConn) pickOther(tried []*Backend) *Backend {
	s := seat{seed: rand.Uint64()}
	l.lock()
	defer l.unlock()
	var best *Backend
	var from *ladder
	start := s.random(len(l.ladders))
	for i := range l.ladders {
		d := &l.ladders[(start+i)%len(l.ladders)]
		for r := d.floor.above; r != nil && (best == nil || r.load < best.footing.rung.load); r = r.above {
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
	if d := b.hold(); d != nil {
		d.count(b, 1)
		d.unlock()
		return
	}
	counting{}.take(b)
}

func (l *leastConn) release(b *Backend, c *cell) {
	if d := b.hold(); d != nil {
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
