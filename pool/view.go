package pool

import (
	"math/rand/v2"
	"slices"
	"time"
)

// view is what readers see: immutable, published whole behind one pointer.
type view struct {
	cfg      *Config
	ready    []*Backend // may be chosen, in order of address
	weights  []float64  // of ready
	trials   []*Backend // of aside: their time is up
	aside    []*Backend // for a trial to bring back, in its time
	picker   picker     // chooses among ready
	in, out  int        // in rotation, and ejected
	kept     int        // of ready: failing, kept because too many are out
	failOpen bool       // nothing but kept ones is ready
}

// picker is a policy. It chooses among the backends it was made for, and counts
// what it chose, in one step.
type picker interface {
	// pick chooses a backend not in tried and counts it, in the cell if it says
	// one; nil if there is none. Backends equal under the policy may be told
	// apart by key.
	pick(key uint64, tried []*Backend) (*Backend, *cell)
	// take counts one more on b, which need not be among the chosen-from.
	take(b *Backend)
	// release counts one less on b. The cell is the one that pick said, which may
	// have been another picker's.
	release(b *Backend, c *cell)
}

// newPicker makes cfg's policy for v; old is the one it replaces, or nil.
func (p *Pool) newPicker(old picker, v *view) picker {
	switch p.cfg.Balance {
	case LeastConn:
		// The count of each backend and its place in the order change under one
		// lock, so this picker lives as long as the pool and is told of the new set.
		p.leastConn.set(v.ready, v.weights)
		return p.leastConn
	case EWMA:
		return &twoChoices{ready: v.ready, weights: v.weights, mean: &p.latency}
	case Random:
		return newWeightedRandom(v.ready, v.weights)
	case Hash:
		rv, _ := old.(*rendezvous)
		return newRendezvous(rv, v.ready, v.weights)
	default:
		rr, _ := old.(*roundRobin)
		return newRoundRobin(rr, v.ready, v.weights, p.cores)
	}
}

// publish makes a view of what has changed since the last. The caller holds p.mu.
func (p *Pool) publish() {
	t := &p.rotation
	t.recount()
	v := &view{cfg: p.cfg, ready: t.ready, weights: t.weights, in: len(t.ready), out: t.n[setAside], kept: t.n[keptOn]}
	now := time.Now()
	for _, b := range p.timedBackends() {
		if b.triable() {
			v.aside = append(v.aside, b)
			if !b.until.After(now) {
				v.trials = append(v.trials, b)
			}
		}
	}
	if len(v.ready) == 0 {
		// The good ones left while these were out. Ejection never empties a pool.
		v.ready = leastBad(p.backends)
		v.weights = weights(v.ready)
		v.kept = len(v.ready)
	}
	v.failOpen = v.kept > 0 && v.kept == len(v.ready)
	old := p.view.Load()
	if old == nil {
		old = &view{cfg: &Config{}}
	}
	if v.failOpen != old.failOpen {
		p.noteFailOpen(v, now)
	}
	v.picker = old.picker
	if v.cfg.Balance != old.cfg.Balance || !sameSlice(v.ready, old.ready) || !sameSlice(v.weights, old.weights) {
		v.picker = p.newPicker(old.picker, v)
	}
	p.view.Store(v)
	if old.picker == p.leastConn && v.picker != p.leastConn {
		// Only now: who still holds the old view would find nobody.
		p.leastConn.set(nil, nil)
	}
}

// leastBad returns those of the ejected that have failed the fewest trials.
func leastBad(backends []*Backend) (least []*Backend) {
	for _, b := range backends {
		if b.state != Ejected {
			continue
		}
		if len(least) > 0 && b.level < least[0].level {
			least = least[:0]
		}
		if len(least) == 0 || b.level == least[0].level {
			least = append(least, b)
		}
	}
	return least
}

// weights are those of ready now. The caller holds p.mu.
func weights(ready []*Backend) []float64 {
	ws := make([]float64, len(ready))
	for i, b := range ready {
		ws[i] = b.effectiveWeight()
	}
	return ws
}

// triable reports whether a trial is to bring b back: no health check's to do so.
func (b *Backend) triable() bool { return b.state == Ejected && !b.unhealthy || b.unreachable() }

// trial has b tried by one more, if it is not already.
func (v *view) trial(b *Backend) bool {
	if b.trial.Load() || !b.trial.CompareAndSwap(false, true) {
		return false
	}
	v.picker.take(b)
	return true
}

// trialsAsked is how many of those whose trial is due an Acquire asks: with thousands
// that hang, most trials are under way.
const trialsAsked = 8

// dueTrial is one whose trial is due, and now begun; nil if there is none, or others
// were faster.
func (v *view) dueTrial() *Backend {
	n, first := len(v.trials), 0
	if n > trialsAsked {
		first = rand.IntN(n)
	}
	for i := range min(n, trialsAsked) {
		if b := v.trials[(first+i)%n]; v.trial(b) {
			return b
		}
	}
	return nil
}

// lastResort is an ejected backend to try before its time, for who has tried all
// that are in rotation: it may be well again by now, and they are not.
func (v *view) lastResort(tried []*Backend) *Backend {
	if len(tried) == 0 || len(v.aside) == 0 {
		return nil
	}
	first := rand.IntN(len(v.aside))
	for i := range v.aside {
		b := v.aside[(first+i)%len(v.aside)]
		if !slices.Contains(tried, b) && v.trial(b) {
			return b
		}
	}
	return nil
}

// firstUntried is the last resort of every policy.
func firstUntried(ready, tried []*Backend) *Backend {
	for _, b := range ready {
		if !slices.Contains(tried, b) {
			return b
		}
	}
	return nil
}

// counting is the take and release of policies that need no order.
type counting struct{}

func (counting) take(b *Backend) {
	b.started.Add(1)
	b.reconcileLadder()
}

func (counting) release(b *Backend, c *cell) {
	if c != nil {
		c.done.Add(1)
	} else {
		b.ended.Add(1)
	}
	b.reconcileLadder()
}

// reconcileLadder has b's ladder, if it stands on one, take in what was counted off it: by
// somebody who still holds a view from before the policy was least_conn.
func (b *Backend) reconcileLadder() {
	if d := b.lockLadder(); d != nil {
		b.absorbOffLadder()
		d.move(b)
		d.unlock()
	}
}
