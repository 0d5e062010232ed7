package pool

import "slices"

// watch notes b if time will change it: if it is ejected or doubted.
func (p *Pool) watch(b *Backend) {
	if b.restless() && !b.watched {
		b.watched = true
		p.restless = append(p.restless, b)
	}
}

// troubled is the backends that time will change, longest troubled first: those
// that must be looked at now and then though nobody's health is checked.
func (p *Pool) troubled() []*Backend {
	p.restless = slices.DeleteFunc(p.restless, func(b *Backend) bool {
		b.watched = b.restless()
		return !b.watched
	})
	return p.restless
}

func (b *Backend) restless() bool {
	return b.state == Ejected || b.unreachable() || b.doubted && b.state != Gone
}
