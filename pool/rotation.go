package pool

import (
	"slices"
	"strings"
)

// rotation is the backends that may be chosen. It is kept from view to view, so that
// a change of one among thousands costs two copies of slices and a look at none of the
// others. pool.mu guards it.
type rotation struct {
	ready   []*Backend // in rotation, in order of address; never written to again
	weights []float64  // of ready
	n       [4]int     // backends, by standing
	touched []*Backend // their standing or weight may have changed since the last recount
}

// standing is how a view counts a backend.
type standing uint8

const (
	outside  standing = iota // draining, or not in the pool
	active                   // in rotation
	keptOn                   // in rotation though it fails, because too many are out
	setAside                 // ejected
)

func (b *Backend) standing() standing {
	switch {
	case b.state == Ejected:
		return setAside
	case b.state != Active && b.state != Suspect:
		return outside
	case b.kept:
		return keptOn
	}
	return active
}

// touch has the next recount look at b.
func (t *rotation) touch(b *Backend) {
	if !b.touched {
		b.touched = true
		t.touched = append(t.touched, b)
	}
}

// recount brings the rotation up to date with the backends touched since the last one.
func (t *rotation) recount() {
	var moved, weighed []*Backend
	for _, b := range t.touched {
		was, is := b.counted, b.standing()
		t.n[was]--
		t.n[is]++
		b.counted, b.touched = is, false
		switch {
		case was.inRotation() != is.inRotation():
			moved = append(moved, b)
		case is.inRotation():
			weighed = append(weighed, b)
		}
	}
	t.touched = nil
	t.splice(moved)
	t.weigh(weighed)
}

func (s standing) inRotation() bool { return s == active || s == keptOn }

// indexOf finds address in backends, which are in order of it: where it is, or would be.
func indexOf(backends []*Backend, address string) (i int, found bool) {
	return slices.BinarySearchFunc(backends, address, func(b *Backend, a string) int { return strings.Compare(b.address, a) })
}

// weigh updates the weights of backends that stay in rotation.
func (t *rotation) weigh(backends []*Backend) {
	copied := false
	for _, b := range backends {
		i, _ := indexOf(t.ready, b.address)
		if t.weights[i] == b.effectiveWeight() {
			continue
		}
		if !copied {
			t.weights, copied = slices.Clone(t.weights), true
		}
		t.weights[i] = b.effectiveWeight()
	}
}

// splice inserts those of moved that are in rotation now, and removes the others.
func (t *rotation) splice(moved []*Backend) {
	if len(moved) == 0 {
		return
	}
	slices.SortFunc(moved, func(a, b *Backend) int { return strings.Compare(a.address, b.address) })
	old, was := t.ready, t.weights
	ready := make([]*Backend, 0, len(old)+len(moved))
	weights := make([]float64, 0, cap(ready))
	for _, b := range moved {
		i, there := indexOf(old, b.address)
		ready, weights = append(ready, old[:i]...), append(weights, was[:i]...)
		if there {
			i++ // it is b, or a former backend of the same address
		}
		old, was = old[i:], was[i:]
		if b.standing().inRotation() {
			ready, weights = append(ready, b), append(weights, b.effectiveWeight())
		}
	}
	t.ready, t.weights = append(ready, old...), append(weights, was...)
}
