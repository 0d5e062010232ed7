package pool

import (
	"math/rand/v2"
	"slices"
)

// roundRobin is weighted, smooth and starts at random. It is a static stride
// scheduler (grpc-go, balancer/weightedroundrobin): one counter walks the
// backends round after round, and a backend of weight w out of a top weight of
// strideTop takes its turn in w of every strideTop rounds, evenly spread. A pick
// costs one atomic addition and, on average, top weight ÷ mean weight steps.
type roundRobin struct {
	counting
	ready   []*Backend
	strides []uint64 // nil: all weights are equal
	turns   *turns
}

const strideTop = 1<<16 - 1

// newRoundRobin goes on where old has got to; nil: at a random place.
func newRoundRobin(old *roundRobin, ready []*Backend, weights []float64, cores int) *roundRobin {
	if old != nil {
		return &roundRobin{ready: ready, strides: strides(weights), turns: old.turns}
	}
	// Many portsides start together; none should start with the same backend.
	return &roundRobin{ready: ready, strides: strides(weights), turns: newTurns(uint64(rand.Uint32()), cores)}
}

// strides are weights scaled so that the greatest is strideTop; nil if all are equal.
func strides(weights []float64) []uint64 {
	if len(weights) == 0 {
		return nil
	}
	top := slices.Max(weights)
	if top == slices.Min(weights) {
		return nil
	}
	s := make([]uint64, len(weights))
	for i, w := range weights {
		s[i] = max(uint64(w/top*strideTop+0.5), 1)
	}
	return s
}

func (r *roundRobin) pick(_ uint64, tried []*Backend) (*Backend, *cell) {
	if len(r.ready) == 0 {
		return nil, nil
	}
	s := r.turns.borrow()
	b := r.next(s, tried)
	var c *cell
	if b != nil {
		c = b.takeIn(s.core)
	}
	r.turns.giveBack(s)
	return b, c
}

// next is the backend whose turn it is, of those not in tried; nil if there is none.
func (r *roundRobin) next(s *stripe, tried []*Backend) *Backend {
	n := uint64(len(r.ready))
	// A backend of full weight comes within one round; the bound is only reached by a
	// caller who has tried those.
	for range 2*n + 2 {
		turn := r.turns.take(s, n)
		i := turn % n
		if r.strides != nil && !takesTurn(r.strides[i], turn/n, i) {
			continue
		}
		if b := r.ready[i]; len(tried) == 0 || !slices.Contains(tried, b) {
			return b
		}
	}
	// From a place that moves: else most second tries would go to the same backend.
	at := int(r.turns.take(s, n) % n)
	if b := firstUntried(r.ready[at:], tried); b != nil {
		return b
	}
	return firstUntried(r.ready[:at], tried)
}

// takesTurn reports whether the i-th backend, of this stride, is chosen in this
// round: when its line of slope stride/strideTop crosses a whole number. Lines start
// apart, in steps of the golden ratio, so that equals take their turns in different
// rounds, however many they are (Knuth, TAOCP 3, 6.4: Fibonacci hashing).
func takesTurn(stride, round, i uint64) bool {
	const apart = 40503 // the golden ratio, of 65536
	return (stride*round+i*apart)%strideTop >= strideTop-stride
}
