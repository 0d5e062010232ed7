package pool

import "slices"

// noteTimed has Run look at b, if b changes with time.
func (p *Pool) noteTimed(b *Backend) {
	if b.changesWithTime() && !b.timed {
		b.timed = true
		p.timed = append(p.timed, b)
	}
}

// timedBackends are the backends that change with time, those that began to first: all
// that Run has to look at where no health is checked.
func (p *Pool) timedBackends() []*Backend {
	p.timed = slices.DeleteFunc(p.timed, func(b *Backend) bool {
		b.timed = b.changesWithTime()
		return !b.timed
	})
	return p.timed
}

// changesWithTime reports whether b has a trial, a probe or an end to wait for.
func (b *Backend) changesWithTime() bool {
	return b.state == Ejected || b.unreachable() || b.doubted && b.state != Gone
}
