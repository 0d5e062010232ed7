package main

import (
	"context"
	"math"
	"slices"
	"sync"
	"time"

	"portside/discovery/etcd"
)

// announced is how long a record stays marked as draining before it is deleted, so that
// those who follow the prefix see both.
const announced = 100 * time.Millisecond

// leave marks the record as draining, where its format can say so, and deletes it. It waits
// for etcd as long as patience, but once the process drains no longer than etcdAnswers:
// after that the key expires with its lease. A key that was never written need not be
// deleted.
func (p *process) leave(r *registration, patience time.Duration) {
	defer r.stop()
	defer r.stopCheck()
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

// How long a registration waits for its heir. For one in another etcd it waits for ever: if
// the new address was mistyped, the server is still in the former etcd.
const (
	forever  = time.Duration(math.MaxInt64)
	moveWait = 10 * time.Second // for one under another key
)

// leaveToHeir returns a leave that waits, within patience, until r's heir is in etcd, or the
// heir's heir: those who follow the prefix are not to see a moment without the server. From
// now on, and until the wait is over, r may be recalled.
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

// wait waits until r's heir is in etcd, or ctx ends. It reports whether r is to leave, not
// having been recalled meanwhile.
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

// recall stops r, which waits for its heir, from leaving. It reports whether that was in
// time; then r's keeper is for another registration of the same key.
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

// stands waits until r, and not only a former registration of its key, is in etcd, or another
// holder has the key. It reports whether that is so.
func stands(ctx context.Context, r *registration) bool {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(r.keeperCtx, cancel)() // it is given up
	select {
	case <-r.passed:
	case <-ctx.Done():
		return false
	}
	return r.keeper.Stands(ctx) == nil && r.keeper.Status().State != etcd.Left
}

// withdraw lets r be offered no more, and reports whether it was.
func (r *registration) withdraw() (offered bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.leaving = true
	return r.offered
}

// etcdAnswers is how long a registration that is about to leave waits for etcd.
const etcdAnswers = 2 * time.Second

// leaveRegistry has every registration leave, and then waits for leave_delay, so that those
// who follow them see it before the server stops. Where it has died already, that is no use.
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

// recall makes a departing registration the holder of its key, where holders has none for it:
// the key is wanted again, and need not be deleted and written anew. The caller holds p.mu.
func (p *process) recall(holders map[string]*registration) {
	for _, r := range p.departing {
		if holder, wanted := holders[r.cfg.Key]; wanted && holder == nil && r.etcd == p.etcd && r.recall() {
			holders[r.cfg.Key] = r
		}
	}
}

// depart has r leave in the background. The end of the process, and that of r's connection to
// etcd, wait for it. The caller holds p.mu.
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
