package pool

import "time"

// Lease is one piece of work on a backend, from [Pool.Acquire] to
// [Lease.Release]. It belongs to one goroutine at a time.
type Lease struct {
	pool     *Pool
	backend  *Backend
	cell     *cell  // where pick has counted it; nil: in no cell
	life     uint32 // the backend's life in which it began
	trial    bool
	reported bool
	stayed   bool // a trial that has readmitted its backend by going on; see Stays
}

// Backend is the one that was chosen.
func (l *Lease) Backend() *Backend { return l.backend }

// Trial reports whether this work decides if an ejected backend comes back.
func (l *Lease) Trial() bool { return l.trial }

// Report says what the work taught about the backend, as soon as it is known.
// The first report counts; later ones are ignored, but for one after [Lease.Stays]. A
// report that changes the backend's state waits for the pool's lock, and calls
// [Config.OnEvent]. It has no effect if the backend has left and come back since, with a
// clean record.
func (l *Lease) Report(o Outcome) {
	if l.outdated() {
		return
	}
	if l.stayed && o != Unknown {
		if l.stayed = false; l.backend.proven.Load() {
			// Others have had answers meanwhile: this is one piece of work among many.
			l.learned(o)
			return
		}
		l.pool.trialSettled(l.backend, o, o.failure(l.pool.view.Load().cfg.Eject.On))
		return
	}
	if l.reported || o == Unknown {
		return
	}
	l.reported = true
	l.learned(o)
	if l.trial {
		// The work may go on for hours; the next trial need not wait for its end.
		l.backend.trial.Store(false)
	}
}

// Stays says that a trial's work goes on without an answer, and that the backend may well
// be silent in it for hours. That readmits the backend. A failure reported later, before
// it has answered anybody, ejects it again, as a failed trial.
func (l *Lease) Stays() {
	if !l.trial || l.reported || l.outdated() {
		return
	}
	l.reported, l.stayed = true, true
	l.pool.trialStays(l.backend)
	l.backend.trial.Store(false)
}

// learned applies what the work taught.
func (l *Lease) learned(o Outcome) {
	b := l.backend
	v := l.pool.view.Load()
	if !o.failure(v.cfg.Eject.On) {
		if b.streak.Load() != 0 {
			b.streak.Store(0)
		}
		if !b.proven.Load() {
			b.proven.Store(true)
		}
		if l.trial || v.kept > 0 {
			l.pool.succeeded(b, l.trial)
		}
		return
	}
	b.failures.Add(1)
	if !o.answer() {
		b.proven.Store(false)
	}
	b.streak.Add(1)
	if v.cfg.Balance == EWMA {
		b.latency.observe(penalty(b, &l.pool.latency), time.Now().UnixNano())
	}
	l.pool.failed(b, o, l.trial)
}

// Latency reports how long the backend took to its first byte, which came at now.
func (l *Lease) Latency(d time.Duration, now time.Time) {
	if l.outdated() {
		return
	}
	n := now.UnixNano()
	l.backend.latency.observe(d, n)
	if l.pool.view.Load().cfg.Balance == EWMA {
		l.pool.latency.observe(d, n)
	}
}

// outdated reports whether the lease began in a former life of the backend.
func (l *Lease) outdated() bool { return l.life != l.backend.life.Load() }

// Release ends the work. It must be called exactly once.
func (l *Lease) Release() {
	l.pool.view.Load().picker.release(l.backend, l.cell)
	if l.trial && !l.reported && !l.outdated() {
		l.pool.trialUndecided(l.backend)
	}
}
