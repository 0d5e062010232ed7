package main

import (
	"context"
	"math"
	"slices"
	"sync"
	"time"

	"portside/discovery/etcd"
)

// announced is how long a draining mark stands before the record goes, so that
// those who follow the prefix see both.
const announced = 100 * time.Millisecond

// leave marks the record as draining, where it can say so, and deletes it. Etcd is
// waited for as long as patience, and once the process drains for etcdAnswers at the
// most: after that the key goes with its lease. What was never written has nothing to
// leave.
func (p *process) leave(r *registration, patience time.Duration) {
	defer r.stop()
	defer r.quiet()
	if !r.withdraw() || !r.keeper.Wrote() {
		return
	}
	marking, cancel := context.WithTimeout(p.ctx, etcdAnswers)
	err := r.keeper.Leave(marking)
	cancel()
	if err == nil && r.keeper.Status().State == etcd.Registered {
		pause(p.ctx, announced)
	}
	removing, cancel := context.WithTimeout(p.ctx, max(patience, etcdAnswers))
	defer cancel()
	defer context.AfterFunc(p.hurried, func() {
		pause(removing, etcdAnswers)
		cancel()
	})()
	err = r.keeper.Remove(removing)
	switch {
	case err == nil:
	case r.heir.Load() != nil:
		r.log.Info("could not leave the former etcd in time; the key there expires within its TTL", "ttl", r.cfg.TTL, "reason", r.keeper.Status().Reason)
	default:
		r.log.Warn("could not leave etcd in time; the key expires within its TTL", "ttl", r.cfg.TTL, "reason", r.keeper.Status().Reason)
	}
}

// How long a registration waits for its heir. One in another etcd may take for ever:
// that may have been mistyped, which is no reason to be in none.
const (
	forever = time.Duration(math.MaxInt64)
	moves   = 10 * time.Second
)

// leaveToHeir is a leave that waits until r's heir stands, in the next etcd or under
// another key, or that one's heir, within patience: who follows them is not to see a moment
// without either. R may be recalled from now on, and until that has happened.
func (p *process) leaveToHeir(r *registration, patience time.Duration) (leave func()) {
	ctx, cancel := context.WithTimeout(p.hurried, patience)
	r.mu.Lock()
	r.waits = cancel
	r.mu.Unlock()
	return func() {
		defer cancel()
		if r.wait(ctx) {
			p.leave(r, r.cfg.TTL)
		}
	}
}

// wait waits until r's heir stands, or ctx ends, and reports whether r was not recalled
// meanwhile.
func (r *registration) wait(ctx context.Context) (goes bool) {
	if heir := r.heir.Load(); heir != nil && r.keeper.Wrote() {
		r.log.Info("keeping the former registration until the new one is in etcd", "key", r.cfg.Key, "new_key", heir.cfg.Key)
	}
	for heir := r.heir.Load(); heir != nil && r.keeper.Wrote(); heir = heir.heir.Load() {
		if stands(ctx, heir) {
			break
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	goes = r.waits != nil
	r.waits = nil
	return goes
}

// recall has r, which was to leave, not do so, and reports whether that was in time: its
// keeper is then another's.
func (r *registration) recall() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.waits == nil {
		return false
	}
	r.waits()
	r.waits = nil
	return true
}

// stands waits until r is in etcd, by us or by another holder of its key, as it is and
// not as its former self was, and reports whether it is.
func stands(ctx context.Context, r *registration) bool {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(r.kept, cancel)() // it is given up
	select {
	case <-r.passed:
	case <-ctx.Done():
		return false
	}
	return r.keeper.Stands(ctx) == nil && r.keeper.Status().State != etcd.Left
}

// withdraw has no check offer the server any more, and reports whether one did.
func (r *registration) withdraw() (offered bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.leaving = true
	return r.offered
}

// etcdAnswers is how long etcd is waited for by one who is about to leave.
const etcdAnswers = 2 * time.Second

// leaveRegistry has every registration leave, and gives those who follow them
// the time to see it. Where the server has died already there is nothing to spare.
func (p *process) leaveRegistry(died bool) {
	var wait sync.WaitGroup
	delay := time.Duration(0)
	p.mu.Lock()
	leaving := p.registrations
	p.mu.Unlock()
	for _, r := range leaving {
		if r.withdraw() {
			delay = max(delay, r.cfg.LeaveDelay)
		}
		wait.Go(func() { p.leave(r, etcdAnswers) })
	}
	wait.Wait()
	p.leaving.Wait()
	if !died {
		pause(p.ctx, delay)
	}
}

// recall puts who is departing among holders, by key, where the key is wanted again and
// nobody has it: there is nothing to take out and put in again. The caller holds p.mu.
func (p *process) recall(holders map[string]*registration) {
	for _, r := range p.departing {
		if holder, wanted := holders[r.cfg.Key]; wanted && holder == nil && r.etcd == p.etcd && r.recall() {
			holders[r.cfg.Key] = r
		}
	}
}

// depart has r leave, beside all else. Who ends the process, or r's connection to
// etcd, waits for it. The caller holds p.mu.
func (p *process) depart(r *registration, leave func()) {
	p.leaving.Add(1)
	r.etcd.leaving.Add(1)
	p.departing = append(p.departing, r)
	p.group.Go(func() error {
		defer p.leaving.Done()
		defer r.etcd.leaving.Done()
		leave()
		p.mu.Lock()
		defer p.mu.Unlock()
		p.departing = slices.DeleteFunc(p.departing, func(other *registration) bool { return other == r })
		return nil
	})
}
