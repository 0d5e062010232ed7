package pool

import "time"

// Gone is the state of a backend that is not in the pool: before it joins and
// after it has left. It appears in events only.
const Gone State = "gone"

// FailOpen is the state of a pool in which every backend left in rotation is
// failing. It appears in events only.
const FailOpen State = "fail_open"

// Event is one change of one backend's state; or, where Backend is nil, of the pool's own,
// between [Active] and [FailOpen].
type Event struct {
	Time     time.Time
	Backend  *Backend
	From, To State
	Reason   string
}

// noteFailOpen notes the event that the pool, with v, has begun to fail open or no longer
// does. The caller holds p.mu.
func (p *Pool) noteFailOpen(v *view, now time.Time) {
	if p.cfg.OnEvent == nil {
		return
	}
	e := Event{Time: now, From: Active, To: FailOpen, Reason: "every backend left in rotation is failing"}
	switch {
	case v.failOpen:
	case len(v.ready) == 0:
		e.From, e.To, e.Reason = FailOpen, Active, "no backend is left"
	default:
		e.From, e.To, e.Reason = FailOpen, Active, "a backend is well"
	}
	p.events = append(p.events, e)
}

// moved sets b's state and notes the event. The caller holds p.mu and publishes.
func (p *Pool) moved(b *Backend, to State, reason string, now time.Time) {
	from := b.state
	if from == "" {
		from = Gone
	}
	b.state, b.reason, b.since = to, reason, now
	b.left.Store(to == Gone)
	if to == Gone {
		p.away[b.address] = b
	}
	b.kept, b.unhealthy = false, false
	p.rotation.touch(b)
	p.noteTimed(b)
	if p.cfg.OnEvent != nil {
		p.events = append(p.events, Event{Time: now, Backend: b, From: from, To: to, Reason: reason})
	}
}

// unlock ends a change: it unlocks p.mu and tells OnEvent what has happened, in order and
// one event at a time even if several goroutines change the pool at once.
func (p *Pool) unlock() {
	tell := p.cfg.OnEvent
	if tell == nil {
		p.events = nil // noted before Reconfigure took OnEvent away
	}
	pending := len(p.events) > 0
	p.mu.Unlock()
	if !pending {
		return
	}
	p.telling.Lock()
	defer p.telling.Unlock()
	p.mu.Lock()
	events := p.events
	p.events = nil
	p.mu.Unlock()
	for _, e := range events {
		tell(e)
	}
}
