package pool

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// Run blocks until ctx ends. Meanwhile it gives ejected backends their trials when they are
// due, and probes suspects and, with [Health], every backend. It returns ctx's error when
// all that it started has ended.
func (p *Pool) Run(ctx context.Context) error {
	var probes sync.WaitGroup
	defer probes.Wait()
	slots := make(chan struct{}, maxProbes)
	timer := time.NewTimer(0)
	defer timer.Stop()
	var last time.Time
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.wake:
			if early := minTick - time.Since(last); early > 0 {
				timer.Reset(early)
				continue
			}
		case <-timer.C:
		}
		last = time.Now()
		due, next := p.tick(last)
		for _, b := range due {
			probes.Go(func() { p.probe(ctx, b, slots) })
		}
		timer.Reset(max(next, minTick))
	}
}

const (
	// maxProbes is how many probes of one pool run at a time.
	maxProbes = 64
	// minTick is the least time between two looks at what is due: with thousands of
	// backends to check, what is due about the same time is done together.
	minTick = 10 * time.Millisecond
	// idleTick is how long Run sleeps when nothing is due.
	idleTick = time.Hour
)

// wakeRun has Run look again at what is due.
func (p *Pool) wakeRun() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// tick does what is due at now. It returns the backends to probe, and how long it is until
// something else is due.
func (p *Pool) tick(now time.Time) (probe []*Backend, next time.Duration) {
	p.mu.Lock()
	defer p.unlock()
	next = idleTick
	soon := func(t time.Time) { next = min(next, t.Sub(now)) }
	trials := 0
	var expired []*Backend
	among := p.timedBackends()
	if p.cfg.Health.Interval > 0 {
		among = p.backends
	}
	for _, b := range among {
		if b.doubted {
			expires := b.suspected.Add(p.cfg.Guard.SuspectMax)
			if !expires.After(now) {
				expired = append(expired, b)
				continue
			}
			soon(expires)
		}
		switch {
		case b.triable() && b.until.After(now):
			soon(b.until)
		case b.triable():
			trials++
		}
		if !p.probed(b) || b.probing {
			continue
		}
		if b.probeAt.After(now) {
			soon(b.probeAt)
			continue
		}
		b.probing = true
		probe = append(probe, b)
	}
	for _, b := range expired {
		p.remove(b, fmt.Sprintf("suspect for %s", p.cfg.Guard.SuspectMax), now)
	}
	if len(expired) > 0 || trials != len(p.view.Load().trials) {
		p.publish()
	}
	return probe, next
}

// probed reports whether b is to be probed at all.
func (p *Pool) probed(b *Backend) bool {
	return b.doubted || p.cfg.Health.Interval > 0 && b.state != Draining
}

// probe probes b once, when there is a slot for it, and applies the result.
func (p *Pool) probe(ctx context.Context, b *Backend, slots chan struct{}) {
	select {
	case slots <- struct{}{}:
		defer func() { <-slots }()
	case <-ctx.Done():
		return
	}
	p.mu.Lock()
	ask, timeout := p.cfg.Probe, p.cfg.Health.Timeout
	p.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := ask(ctx, b.address)
	if errors.Is(ctx.Err(), context.Canceled) { // Run is to end; a timeout is another error
		return
	}
	p.probeAnswered(b, err, time.Now())
}

// probeAnswered applies the result of b's probe, which came at now, and plans the next one.
func (p *Pool) probeAnswered(b *Backend, err error, now time.Time) {
	p.mu.Lock()
	defer p.unlock()
	b.probing = false
	every := p.cfg.Health.Interval
	if b.doubted {
		every = p.cfg.Guard.ProbeEvery
	}
	share := 0.9 + 0.2*rand.Float64()
	if b.checks == 0 && err == nil && !b.doubted { // the first was when all came: from then on they are spread
		share = rand.Float64()
	}
	b.probeAt = now.Add(time.Duration(float64(every) * share))
	p.wakeRun()
	switch {
	case b.Left(), OwnFault(err):
	case b.doubted && err != nil:
		p.remove(b, fmt.Sprintf("suspect failed its probe: %v", err), now)
		p.publish()
	case p.cfg.Health.Interval > 0:
		p.healthChecked(b, err, now)
	}
}
