package pool

import (
	"slices"
	"strings"
)

// turnout is who may be chosen, kept from view to view: a change among thousands
// costs two copies of slices and looks at nobody else. pool.mu guards it.
type turnout struct {
	ready   []*Backend // in rotation, in order of address; never written to again
	weights []float64  // of ready
	n       [4]int     // backends, by standing
	touched []*Backend // whose standing or weight may be another since recount
}

// standing is how a view counts a backend.
type standing uint8

const (
	outside  standing = iota // draining, or not in the pool
	active                   // in rotation
	keptOn                   // in rotation, because too many are out
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

// touch notes that b is not what it was.
func (t *turnout) touch(b *Backend) {
	if !b.touched {
		b.touched = true
		t.touched = append(t.touched, b)
	}
}

// recount takes in the touched.
func (t *turnout) recount() {
	var moved, weighed []*Backend
	for _, b := range t.touched {
		was, is := b.counted, b.standing()
		t.n[was]--
		t.n[is]++
		b.counted, b.touched = is, false
		switch {
		case was.in() != is.in():
			moved = append(moved, b)
		case is.in():
			weighed = append(weighed, b)
		}
	}
	t.touched = nil
	t.splice(moved)
	t.weigh(weighed)
}

func (s standing) in() bool { return s == active || s == keptOn }

// place is where in ready, which is in order of address, the one at address is or
// should be.
func place(ready []*Backend, address string) (int, bool) {
	return slices.BinarySearchFunc(ready, address, func(b *Backend, a string) int { return strings.Compare(b.address, a) })
}

// weigh takes in the weights of those that stay in rotation.
func (t *turnout) weigh(backends []*Backend) {
	copied := false
	for _, b := range backends {
		i, _ := place(t.ready, b.address)
		if t.weights[i] == b.share() {
			continue
		}
		if !copied {
			t.weights, copied = slices.Clone(t.weights), true
		}
		t.weights[i] = b.share()
	}
}

// splice gives those of moved that came into rotation their place in it, and takes
// the others out.
func (t *turnout) splice(moved []*Backend) {
	if len(moved) == 0 {
		return
	}
	slices.SortFunc(moved, func(a, b *Backend) int { return strings.Compare(a.address, b.address) })
	old, was := t.ready, t.weights
	ready := make([]*Backend, 0, len(old)+len(moved))
	weights := make([]float64, 0, cap(ready))
	for _, b := range moved {
		i, there := place(old, b.address)
		ready, weights = append(ready, old[:i]...), append(weights, was[:i]...)
		if there {
			i++ // be it b or one who had its address
		}
		old, was = old[i:], was[i:]
		if b.standing().in() {
			ready, weights = append(ready, b), append(weights, b.share())
		}
	}
	t.ready, t.weights = append(ready, old...), append(weights, was...)
}
