package pool

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	deleted  = "deleted from the registry"
	replaced = "not among the endpoints that are followed now"
)

// depart lets gone, which the registry no longer lists, leave: at once, or as suspects if
// they are part of a mass. The registry had listed was backends; the last moment at which
// gone were among them for sure is since, or now if it was followed all the time. Depart
// reports whether a new view is needed.
func (p *Pool) depart(gone []*Backend, was int, since, now time.Time) (changed bool) {
	if len(gone) == 0 {
		return false
	}
	ds := &p.departures
	ds.late = slices.DeleteFunc(ds.late, func(d departure) bool {
		_, back := indexOf(p.backends, d.backend.address)
		i, again := indexOf(gone, d.backend.address)
		// It is gone again, so it had come back, unless it was doubted all the while.
		return back || again && (gone[i] != d.backend || !d.backend.doubted)
	})
	ds.expire(now.Add(-p.cfg.Guard.Window))
	var left, suspects []*Backend
	for _, b := range gone {
		switch {
		case b.doubted:
			suspects = append(suspects, b)
			continue
		case b.state == Draining || now.Sub(since) >= p.cfg.Guard.SuspectMax:
			p.moved(b, Gone, deleted, now)
			ds.announced(b)
			was--
		default:
			b.suspected = since // if it becomes a suspect
			left = append(left, b)
		}
		changed = true
	}
	if len(left) > 0 {
		ds.add(left, was, p.updates, now)
	}
	if missing, n, size := ds.missing(len(p.backends), p.cfg.Guard.MaxLeave); changed && n > 0 {
		within := "within " + p.cfg.Guard.Window.String()
		if since != now {
			within = "since " + since.Format(time.RFC3339)
		}
		reason := fmt.Sprintf("gone from the registry with %d of %d %s; in rotation while it answers", n, size, within)
		p.suspect(missing, reason, now)
	}
	for _, b := range left {
		if !b.doubted {
			p.moved(b, Gone, deleted, now)
		}
	}
	p.restore(suspects)
	return changed
}

// removeUndoubted lets gone, which discovery no longer lists, leave without a look at how
// many they are. It reports whether a new view is needed.
func (p *Pool) removeUndoubted(gone []*Backend, reason string, now time.Time) (changed bool) {
	p.departures = departures{} // those that left before count towards no mass either
	for _, b := range gone {
		p.moved(b, Gone, reason, now)
	}
	return len(gone) > 0
}

// suspect puts the backends of a mass back, as suspects. They still count as missing: in a
// pool that goes one by one, the last to go is not a single departure.
func (p *Pool) suspect(missing []*Backend, reason string, now time.Time) {
	var suspects []*Backend
	for _, b := range missing {
		if b.doubted {
			continue
		}
		suspects = append(suspects, b)
		b.doubted, b.doubt = true, reason
		b.probeAt = now
		if b.state != Ejected {
			p.moved(b, Suspect, reason, now)
		}
	}
	p.restore(suspects)
}

// restore puts backends that the registry no longer has back into the pool.
func (p *Pool) restore(backends []*Backend) {
	if len(backends) == 0 {
		return
	}
	p.backends = append(p.backends, backends...)
	slices.SortFunc(p.backends, func(a, b *Backend) int { return strings.Compare(a.address, b.address) })
}

// doubtReason is why b is doubted; empty when it is not.
func (b *Backend) doubtReason() string {
	if b.doubted {
		return b.doubt
	}
	return ""
}

// stateInRotation is the state that b has when it is neither ejected nor draining.
func (b *Backend) stateInRotation() State {
	if b.doubted {
		return Suspect
	}
	return Active
}

// remove takes b out of the pool for good. The caller holds p.mu and publishes.
func (p *Pool) remove(b *Backend, reason string, now time.Time) {
	p.moved(b, Gone, reason, now)
	p.backends = slices.DeleteFunc(p.backends, func(x *Backend) bool { return x == b })
}

// Forget lets a suspect go, or every suspect when address is empty. Error:
// [ErrNotFound].
func (p *Pool) Forget(address string) error {
	p.mu.Lock()
	defer p.unlock()
	now, n := time.Now(), 0
	for _, b := range slices.Clone(p.backends) {
		if b.doubted && (address == "" || b.address == address) {
			p.remove(b, "forgotten by hand", now)
			n++
		}
	}
	if n == 0 {
		return ErrNotFound
	}
	p.publish()
	return nil
}
