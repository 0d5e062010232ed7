package pool

import (
	"fmt"
	"slices"
)

// fault says what is wrong with what the pool keeps from view to view, which must
// be what a look at every backend would give.
func (p *Pool) fault() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var ready []*Backend
	var n [4]int
	for _, b := range p.backends {
		n[b.standing()]++
		if b.standing().inRotation() {
			ready = append(ready, b)
		}
		if b.changesWithTime() && !slices.Contains(p.timed, b) {
			return fmt.Errorf("%s is %s, doubted: %v, and time would not change it", b.address, b.state, b.doubted)
		}
	}
	t := &p.rotation
	switch {
	case len(t.touched) > 0:
		return fmt.Errorf("%d changes are not published", len(t.touched))
	case !slices.Equal(t.ready, ready):
		return fmt.Errorf("%d are in rotation, want the %d that are active or suspect, in order", len(t.ready), len(ready))
	case !slices.Equal(t.weights, weights(ready)):
		return fmt.Errorf("weights %v, want %v", t.weights, weights(ready))
	case [3]int(t.n[active:]) != [3]int(n[active:]):
		return fmt.Errorf("counted %v as active, kept and set aside, want %v", t.n[active:], n[active:])
	}
	v := p.view.Load()
	if v.in != len(ready) || v.out != n[setAside] || len(ready) > 0 && v.kept != n[keptOn] {
		return fmt.Errorf("the view has %d in, %d out and %d kept, want %d, %d and %d", v.in, v.out, v.kept, len(ready), n[setAside], n[keptOn])
	}
	return nil
}
