package pool

import (
	"math/rand/v2"
	"slices"
	"time"
)

// twoChoices draws two distinct backends and takes the one that is expected to
// answer sooner: latency × (in flight + 1) ÷ weight, the latency a peak-sensitive
// moving average (peak EWMA, as Finagle and linkerd). With replacement a hung
// backend would in time absorb everything (envoyproxy/envoy#39737).
type twoChoices struct {
	counting
	ready   []*Backend
	weights []float64 // of ready: a backend's own may change under the pool's lock
	mean    *average  // of the pool: what is assumed where nothing was measured
}

func (t *twoChoices) pick(_ uint64, tried []*Backend) (*Backend, *cell) {
	b := t.choose()
	if len(tried) > 0 {
		for tries := 0; b != nil && slices.Contains(tried, b); tries++ {
			if tries == 4 {
				b = firstUntried(t.ready, tried)
				break
			}
			b = t.choose()
		}
	}
	if b != nil {
		t.take(b)
	}
	return b, nil
}

func (t *twoChoices) choose() *Backend {
	n := uint32(len(t.ready))
	switch n {
	case 0:
		return nil
	case 1:
		return t.ready[0]
	}
	i := rand.Uint32N(n)
	j := rand.Uint32N(n - 1)
	if j >= i {
		j++
	}
	now := t.mean.stamp.Load() // the last answer of anybody: near enough, and free
	if t.cost(j, now) < t.cost(i, now) {
		return t.ready[j]
	}
	return t.ready[i]
}

// penalty is the latency that a failure of b counts as: twice that of the pool, whose
// average stays near the slowest of late. By their own latency failures, which are fast,
// would draw traffic. (In linkerd a rate limit counts as 5 s; here one failure is not to
// keep traffic away for so long.)
func penalty(b *Backend, pool *average) time.Duration {
	return time.Duration(max(2*pool.seconds(), b.latency.seconds()) * float64(time.Second))
}

func (t *twoChoices) cost(i uint32, now int64) float64 {
	b := t.ready[i]
	latency := b.latency.faded(now)
	if latency == 0 {
		latency = t.mean.seconds()
	}
	started, ended := b.workOffLadder()
	// The least latency is above zero, so that in-flight decides before anything was measured.
	return max(latency, 1e-6) * float64(started-ended+1) / t.weights[i]
}
