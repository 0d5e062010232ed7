package pool

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// departure is an unannounced one, of late.
type departure struct {
	backend *Backend
	at      time.Time
}

const (
	deleted  = "deleted from the registry"
	replaced = "not among the endpoints that are followed now"
)

// depart takes in that the registry no longer has gone, which are in no list any
// more. Most leave at once; those of a mass become suspects. It reports whether a
// new view is needed.
func (p *Pool) depart(gone []*Backend, now time.Time) (changed bool) {
	if len(gone) == 0 {
		return false
	}
	p.departed = slices.DeleteFunc(p.departed, func(d departure) bool {
		_, back := place(p.backends, d.backend.address)
		i, again := place(gone, d.backend.address) // it had come back, unless it was doubted all the while
		return back || again && (gone[i] != d.backend || !d.backend.doubted) || now.Sub(d.at) > p.cfg.Guard.Window
	})
	present := len(p.backends)
	var suspects []*Backend
	for _, b := range gone {
		switch {
		case b.doubted:
			suspects = append(suspects, b)
		case b.state == Draining:
			p.moved(b, Gone, deleted, now)
			changed = true
		default:
			p.departed = append(p.departed, departure{b, now})
			changed = true
		}
	}
	if mass(len(p.departed), present, p.cfg.Guard.MaxLeave) {
		p.suspect(now, present)
		changed = true
	}
	for _, d := range p.departed {
		if !d.backend.Left() && !d.backend.doubted {
			p.moved(d.backend, Gone, deleted, now)
		}
	}
	p.restore(suspects)
	return changed
}

// dismiss has gone, which are in no list any more, leave undoubted. It reports
// whether a new view is needed.
func (p *Pool) dismiss(gone []*Backend, reason string, now time.Time) (changed bool) {
	p.departed = nil // nor is what left before a part of any mass
	for _, b := range gone {
		p.moved(b, Gone, reason, now)
	}
	return len(gone) > 0
}

// mass reports whether left departures beside present others are more than may
// leave undoubted. One is never a mass.
func mass(left, present int, maxLeave float64) bool {
	return left > 1 && float64(left) > maxLeave*float64(left+present)
}

// suspect puts all of the late departures back, under suspicion. They stay counted
// among those: of a pool that goes one by one the last is not a single departure.
func (p *Pool) suspect(now time.Time, present int) {
	reason := fmt.Sprintf("gone from the registry with %d of %d within %s; in rotation while it answers",
		len(p.departed), len(p.departed)+present, p.cfg.Guard.Window)
	var suspects []*Backend
	for _, d := range p.departed {
		if d.backend.doubted {
			continue
		}
		suspects = append(suspects, d.backend)
		d.backend.doubted = true
		d.backend.suspected = now
		d.backend.probeAt = now
		if d.backend.state != Ejected {
			p.moved(d.backend, Suspect, reason, now)
		}
	}
	p.restore(suspects)
}

// restore puts backends that the registry no longer has back among the rest.
func (p *Pool) restore(backends []*Backend) {
	if len(backends) == 0 {
		return
	}
	p.backends = append(p.backends, backends...)
	slices.SortFunc(p.backends, func(a, b *Backend) int { return strings.Compare(a.address, b.address) })
}

// home is the state of b when nothing is wrong with it.
func (b *Backend) home() State {
	if b.doubted {
		return Suspect
	}
	return Active
}

// leave lets b go for good. The caller holds p.mu and publishes.
func (p *Pool) leave(b *Backend, reason string, now time.Time) {
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
			p.leave(b, "forgotten by hand", now)
			n++
		}
	}
	if n == 0 {
		return ErrNotFound
	}
	p.publish()
	return nil
}
