package pool

import (
	"fmt"
	"time"

	"portside/discovery"
)

// Known is what another pool needs to take this one's place, for [Pool.Restore]. Its
// endpoints are in order of address.
func (p *Pool) Known() discovery.Known {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := discovery.Known{At: p.restored, Endpoints: make([]discovery.Endpoint, 0, len(p.backends))}
	for _, b := range p.backends {
		if b.doubted {
			k.Lost = append(k.Lost, discovery.Lost{Endpoint: b.endpoint, At: b.suspected})
			continue
		}
		k.Endpoints = append(k.Endpoints, b.endpoint)
	}
	return k
}

// Restore has p, which is new, begin with what was known before. What was lost by then is
// suspect for what is left of [Guard]'s SuspectMax since it was lost. So is what the first
// Update shows to have been lost after k.At, if it is a mass.
func (p *Pool) Restore(k discovery.Known) {
	p.mu.Lock()
	defer p.unlock()
	now := time.Now()
	p.updates++
	p.match(k.Endpoints, now)
	p.restored = k.At
	var suspects []*Backend
	for _, l := range k.Lost {
		if l.At.After(now) { // the clock was set back
			l.At = now
		}
		if p.cfg.Guard.Off || now.Sub(l.At) >= p.cfg.Guard.SuspectMax || p.find(l.Address) != nil {
			continue
		}
		b := p.join(l.Endpoint, now)
		b.doubted, b.suspected, b.probeAt = true, l.At, now
		b.doubt = fmt.Sprintf("gone from the registry with others at %s; in rotation while it answers", l.At.Format(time.RFC3339))
		if b.state == Active {
			p.moved(b, Suspect, b.doubt, now)
		}
		p.noteTimed(b) // moved has not, where b is drained by hand
		suspects = append(suspects, b)
	}
	p.restore(suspects)
	p.listArrived(true)
}
