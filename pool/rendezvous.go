package pool

import (
	"math"
	"slices"

	"github.com/cespare/xxhash/v2"
	lru "github.com/hashicorp/golang-lru/v2"
)

// rendezvous sends a key to the backend whose weighted hash with it is highest
// (Thaler and Ravishankar; weights after Schindelhauer and Schomaker), so that a
// backend that comes or goes moves only the keys it gains or loses. Every
// portside computes the same.
//
// Scoring looks at every backend, so this is the one policy whose pick takes longer in a
// larger pool. The results for the latest keys are remembered, behind a lock. A ring would
// look at fewer backends, and spread the keys less evenly.
type rendezvous struct {
	counting
	ready   []*Backend
	weights []float64
	seeds   []uint64
	memory  *lru.Cache[uint64, *Backend]
}

// affinities is for how many keys the backend is remembered; for others it is computed
// again, some 5 ns a backend.
const affinities = 4096

// newRendezvous takes the seeds of backends that stay from old, which may be nil.
func newRendezvous(old *rendezvous, ready []*Backend, weights []float64) *rendezvous {
	if old == nil {
		old = &rendezvous{}
	}
	r := &rendezvous{ready: ready, weights: weights, seeds: make([]uint64, len(ready))}
	k := 0 // of old; both are in order of address
	for i, b := range ready {
		for k < len(old.ready) && old.ready[k] != b && old.ready[k].address <= b.address {
			k++
		}
		if k < len(old.ready) && old.ready[k] == b {
			r.seeds[i] = old.seeds[k]
			k++
			continue
		}
		r.seeds[i] = xxhash.Sum64String(b.address)
	}
	r.memory, _ = lru.New[uint64, *Backend](affinities) // errs only for a size < 1
	return r
}

func (r *rendezvous) pick(key uint64, tried []*Backend) (*Backend, *cell) {
	if len(tried) > 0 {
		// The next best for this key, so that retries too have affinity.
		b := r.highest(key, tried)
		if b != nil {
			r.take(b)
		}
		return b, nil
	}
	b, ok := r.memory.Get(key)
	if !ok {
		if b = r.highest(key, nil); b == nil {
			return nil, nil
		}
		r.memory.Add(key, b)
	}
	r.take(b)
	return b, nil
}

func (r *rendezvous) highest(key uint64, tried []*Backend) *Backend {
	var best *Backend
	top := math.Inf(-1)
	for i, b := range r.ready {
		if len(tried) > 0 && slices.Contains(tried, b) {
			continue
		}
		// u is uniform in (0, 1); -w/ln(u) is the weighted score.
		u := (float64(mix(key^r.seeds[i])>>11) + 0.5) / (1 << 53)
		if s := -r.weights[i] / math.Log(u); s > top || best == nil {
			best, top = b, s
		}
	}
	return best
}

// mix spreads x over all bits (SplitMix64's finaliser).
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}
