package pool

import (
	"slices"
	"time"
)

// view is what readers see: immutable, published whole behind one pointer.
type view struct {
	cfg      *Config
	ready    []*Backend // may be chosen
	trials   []*Backend // ejected, their time is up
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

// newPicker makes cfg's policy for ready; old is the one it replaces, or nil.
func (p *Pool) newPicker(old picker, ready []*Backend) picker {
	switch p.cfg.Balance {
	case LeastConn:
		// The count of each backend and its place in the order change under one
		// lock, so this picker lives as long as the pool and is told of the new set.
		p.ladder.set(ready, weights(ready))
		return p.ladder
	case EWMA:
		return &twoChoices{ready: ready, weights: weights(ready), mean: &p.latency}
	case Random:
		return newWeightedRandom(ready)
	case Hash:
		return newRendezvous(ready)
	default:
		rr, _ := old.(*roundRobin)
		return newRoundRobin(rr, ready, p.cores)
	}
}

// publish rebuilds the view from the backends. The caller holds p.mu.
func (p *Pool) publish() {
	v := &view{cfg: p.cfg, ready: make([]*Backend, 0, len(p.backends))}
	now := time.Now()
	for _, b := range p.backends {
		switch b.state {
		case Active, Suspect:
			v.in++
			v.ready = append(v.ready, b)
			if b.kept {
				v.kept++
			}
		case Ejected:
			v.out++
			if !b.unhealthy && !b.until.After(now) {
				v.trials = append(v.trials, b)
			}
		}
	}
	if len(v.ready) == 0 {
		// The good ones left while these were out. Ejection never empties a pool.
		v.ready = leastBad(p.backends)
		v.kept = len(v.ready)
	}
	v.failOpen = v.kept > 0 && v.kept == len(v.ready)
	var old picker
	if prev := p.view.Load(); prev != nil {
		old = prev.picker
	}
	v.picker = p.newPicker(old, v.ready)
	p.view.Store(v)
	if old == p.ladder && v.picker != old {
		// Only now: who still holds the old view would find nobody.
		p.ladder.set(nil, nil)
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

// weights are those of ready now. Pickers keep them, because a backend's own may
// change while they pick. The caller holds p.mu.
func weights(ready []*Backend) []float64 {
	ws := make([]float64, len(ready))
	for i, b := range ready {
		ws[i] = b.weight
	}
	return ws
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
	b.settle()
}

func (counting) release(b *Backend, c *cell) {
	if c != nil {
		c.done.Add(1)
	} else {
		b.ended.Add(1)
	}
	b.settle()
}

// settle tells the ladder of what was counted past it, by one who still holds the
// view from before least_conn.
func (b *Backend) settle() {
	if b.place.Load() > 0 {
		b.ladder.settle(b)
	}
}
