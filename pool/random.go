package pool

import (
	"math/rand/v2"
	"slices"
	"sort"
)

// weightedRandom chooses at random, by weight.
type weightedRandom struct {
	counting
	ready []*Backend
	upTo  []float64 // sum of the weights up to and with each
}

func newWeightedRandom(ready []*Backend, weights []float64) *weightedRandom {
	w := &weightedRandom{ready: ready, upTo: make([]float64, len(ready))}
	sum := 0.0
	for i, weight := range weights {
		sum += weight
		w.upTo[i] = sum
	}
	return w
}

func (w *weightedRandom) pick(_ uint64, tried []*Backend) (*Backend, *cell) {
	if len(w.ready) == 0 {
		return nil, nil
	}
	b := w.draw()
	for tries := 0; len(tried) > 0 && b != nil && slices.Contains(tried, b); tries++ {
		if tries == 4 {
			b = firstUntried(w.ready, tried)
			break
		}
		b = w.draw()
	}
	if b != nil {
		w.take(b)
	}
	return b, nil
}

func (w *weightedRandom) draw() *Backend {
	last := len(w.upTo) - 1
	x := rand.Float64() * w.upTo[last]
	i := sort.SearchFloat64s(w.upTo, x)
	return w.ready[min(i, last)]
}
