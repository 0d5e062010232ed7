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
	aside    []*Backend // wait for a trial that may bring them back
	trials   []*Backend // those of aside whose trial is due
	picker   picker     // chooses among ready
	in, out  int        // how many are in rotation, and ejected
	kept     int        // how many of ready fail, and are kept because too many are out
	failOpen bool       // all of ready are kept ones
}

// picker is a policy. It chooses among the backends it was made for, and counts
// what it chose, in one step.
type picker interface {
	// pick chooses a backend not in tried and counts one more on it; nil if there is
	// none. It also returns the cell in which it has counted, if it uses one. Only a
	// policy with affinity looks at key.
	pick(key uint64, tried []*Backend) (*Backend, *cell)
	// take counts one more on b, which need not be one that pick chooses among.
	take(b *Backend)
	// release counts one less on b. The cell is what pick returned, perhaps another
	// picker's pick; nil after take.
	release(b *Backend, c *cell)
}

// newPicker makes cfg's policy for v; old is the one it replaces, or nil.
func (p *Pool) newPicker(old picker, v *view) picker {
	switch p.cfg.Balance {
	case LeastConn:
		// A backend's count and its place in the order change under one lock, and must
		// outlive a view: so this picker lives as long as the pool and is given each set.
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
		// The good ones have left while these were out. Ejection never empties a pool.
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
		// Not before: a pick by the old view would find no backend.
		p.leastConn.set(nil, nil)
	}
}

// leastBad are the ejected backends that have failed the fewest trials.
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

// weights are the present weights of ready. The caller holds p.mu.
func weights(ready []*Backend) []float64 {
	ws := make([]float64, len(ready))
	for i, b := range ready {
		ws[i] = b.effectiveWeight()
	}
	return ws
}

// triable reports whether a trial may bring b back; health checks bring back what they have
// ejected.
func (b *Backend) triable() bool { return b.state == Ejected && !b.unhealthy || b.unreachable() }

// trial begins b's trial and counts its work; false if one is under way.
func (v *view) trial(b *Backend) bool {
	if b.trial.Load() || !b.trial.CompareAndSwap(false, true) {
		return false
	}
	v.picker.take(b)
	return true
}

// trialsAsked is how many due trials an Acquire looks at, at most: with thousands of
// backends that hang, most of their trials are under way.
const trialsAsked = 8

// dueTrial begins a trial that is due and returns its backend; nil if there is none, or
// others were faster.
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

// lastResort begins the trial of an ejected backend before its time, for a client that has
// tried all in rotation: it may be well again by now, and they are not.
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

// firstUntried is the first of ready that is not in tried, or nil: what a policy falls back
// on when its own choice keeps hitting tried ones.
func firstUntried(ready, tried []*Backend) *Backend {
	for _, b := range ready {
		if !slices.Contains(tried, b) {
			return b
		}
	}
	return nil
}

// counting is take and release for policies that do not choose by load on a ladder.
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
