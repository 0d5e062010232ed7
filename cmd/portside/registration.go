package main

import (
	"cmp"
	"context"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"portside/cmd/portside/admin"
	"portside/cmd/portside/config"
	"portside/discovery"
	"portside/discovery/etcd"
	"portside/discovery/record"
	"portside/pool/health"
)

// registration is one server that is kept in etcd while it can serve.
type registration struct {
	cfg    config.Registration
	entry  etcd.Registration // what it is in etcd
	etcd   *registry
	keeper *etcd.Keeper
	log    *slog.Logger
	stop   context.CancelFunc // ends the keeper
	kept   context.Context    // ends with that
	quiet  context.CancelFunc // ends the check

	heir   atomic.Pointer[registration] // is to stand before this one leaves
	passed chan struct{}                // closed when its server is first offered
	once   sync.Once

	mu      sync.Mutex
	sick    string // what its check last said; empty while healthy
	offered bool   // etcd may have had it
	leaving bool   // and is not to have it any more
	waits   func() // ends its waiting for its heir; nil: it does not wait, or no more
}

// startRegistration keeps rc in etcd until it leaves. With a command that begins
// once it runs: who answers before is somebody else. Former, if not nil, had its
// key. In the same etcd its record stands until rc's check has said something; in
// another, what it had yielded stays yielded. The caller holds p.mu.
func (p *process) startRegistration(rc config.Registration, former *registration, sameEtcd bool) *registration {
	log := p.log.With("registration", rc.Name)
	entry, err := recordOf(rc)
	if err != nil {
		// load has tried the same.
		log.Error("cannot be registered", "error", err)
		return nil
	}
	ctx, quiet := context.WithCancel(p.ctx)
	r := &registration{cfg: rc, entry: entry, log: log, quiet: quiet, sick: "its check has not passed yet", passed: make(chan struct{})}
	if rc.Check == nil {
		r.sick = "its command does not run yet"
	}
	if former != nil && sameEtcd {
		r.etcd, r.keeper, r.stop, r.kept, r.offered = former.etcd, former.keeper, former.stop, former.kept, former.withdraw()
		former.quiet()
		former.heir.Store(r)
	} else {
		r.entry.Yields = former != nil && former.keeper.Status().State == etcd.Taken
		p.startKeeper(r)
	}
	p.registrations = append(p.registrations, r)
	p.group.Go(func() error {
		select {
		case <-ctx.Done():
			return nil
		case <-p.begun:
		}
		if rc.Check == nil {
			r.offer(nil) // nobody asks: always in etcd
			return nil
		}
		r.monitor().Run(ctx, func(err error) { r.checked(err, &p.events) })
		return nil
	})
	return r
}

// startKeeper has r's key kept, once r is offered.
func (p *process) startKeeper(r *registration) {
	ctx, stop := context.WithCancel(p.ctx)
	r.etcd, r.keeper, r.stop, r.kept = p.etcd, p.etcd.Keeper(r.entry), stop, ctx
	r.keeper.Present(false)
	keeper := r.keeper
	p.group.Go(func() error { return ended(keeper.Run(ctx)) })
}

// offer has the server in etcd unless err says why it cannot serve, and reports
// whether it may have been there before.
func (r *registration) offer(err error) (before bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sick = ""
	if err != nil {
		r.sick = "its check fails: " + err.Error()
	}
	before = r.offered
	if r.leaving {
		return before
	}
	r.offered = before || err == nil
	if err != nil {
		r.keeper.Present(false)
	}
	r.keeper.Change(r.entry) // a former registration's may stand
	if err == nil {
		r.keeper.Present(true)
		r.once.Do(func() { close(r.passed) })
	}
	return before
}

// recordOf is what etcd is to hold for rc.
func recordOf(rc config.Registration) (etcd.Registration, error) {
	w, err := record.Encode(record.Format(rc.Format), record.Registrant{
		Service:  cmp.Or(rc.Service, rc.Name),
		Protocol: rc.Protocol,
		Endpoint: discovery.Endpoint{Address: rc.Address, Weight: rc.Weight, Zone: rc.Zone, Version: rc.Version, Metadata: rc.Metadata},
	})
	if err != nil {
		return etcd.Registration{}, err
	}
	return etcd.Registration{Name: rc.Name, Key: rc.Key, Value: w.Value, Draining: w.Draining, TTL: rc.TTL}, nil
}

// monitor asks the server as its check says, or connects to it.
func (r *registration) monitor() health.Monitor {
	c := r.cfg.Check
	m := health.Monitor{Check: checkOf(c), Address: r.cfg.Address, Interval: c.Interval, Timeout: c.Timeout, Rise: c.Rise, Fall: c.Fall, Grace: c.Grace}
	if c.Address != "" {
		m.Address = c.Address
	}
	return m
}

// checked takes in that the server can serve, or why it cannot.
func (r *registration) checked(err error, events *admin.Events) {
	before := r.offer(err)
	to, reason := "healthy", ""
	if err != nil {
		to, reason = "unhealthy", "its check fails: "+err.Error()
	}
	switch {
	case err == nil:
		r.log.Info("the server passes its check", "address", r.cfg.Address)
	case before:
		r.log.Warn("the server fails its check and is taken out of etcd", "address", r.cfg.Address, "error", err)
	default:
		r.log.Warn("the server fails its check and is not registered yet", "address", r.cfg.Address, "error", err)
	}
	events.Tell(admin.Event{Time: time.Now().UTC(), Service: r.cfg.Name, Backend: r.cfg.Address, Kind: "registration", To: to, Reason: reason})
}

// announced is how long a draining mark stands before the record goes, so that
// those who follow the prefix see both.
const announced = 100 * time.Millisecond

// leave marks the record as draining, where it can say so, and deletes it. When
// etcd cannot be reached, for etcdAnswers and, with others to serve meanwhile, for as
// long as patience, the key goes with its lease. What was never written has nothing to
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
		r.log.Info("could not leave the former etcd; a key that is left there goes with its lease", "ttl", r.cfg.TTL, "error", err)
	default:
		r.log.Warn("could not leave etcd; the key goes with its lease", "ttl", r.cfg.TTL, "error", err)
	}
}

// How long a registration waits for its heir. One in another etcd may take for ever:
// that may have been mistyped, which is no reason to be in none.
const (
	forever = time.Duration(math.MaxInt64)
	moves   = 10 * time.Second
)

// leaveToHeir has r leave once its heir stands, in the next etcd or under another key,
// or that one's heir, within patience: who follows them is not to see a moment without
// either. It may be recalled meanwhile.
func (p *process) leaveToHeir(r *registration, patience time.Duration) {
	ctx, cancel := context.WithTimeout(p.hurried, patience)
	defer cancel()
	r.mu.Lock()
	r.waits = cancel
	r.mu.Unlock()
	if r.keeper.Wrote() {
		r.log.Info("stays where it is in etcd until it stands where it is to be")
	}
	for heir := r.heir.Load(); heir != nil && r.keeper.Wrote(); heir = heir.heir.Load() {
		if stands(ctx, heir) {
			break
		}
	}
	r.mu.Lock()
	recalled := r.waits == nil
	r.waits = nil
	r.mu.Unlock()
	if !recalled {
		p.leave(r, r.cfg.TTL)
	}
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

// stopTimeout is how long a command may take to end.
func (p *process) stopTimeout() time.Duration {
	most, cfg := time.Duration(0), p.config()
	for _, r := range cfg.Register {
		most = max(most, r.StopTimeout)
	}
	if most == 0 {
		return cfg.Drain.Timeout
	}
	return most
}

// registered are the registrations as the API shows them.
func (p *process) registered() []admin.Registration {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := []admin.Registration{}
	for _, r := range p.registrations {
		all = append(all, r.status())
	}
	return all
}

func (r *registration) status() admin.Registration {
	ks := r.keeper.Status()
	r.mu.Lock()
	sick := r.sick
	r.mu.Unlock()
	reason := ks.Reason
	if ks.State == etcd.Waiting && sick != "" {
		reason = sick
	}
	return admin.Registration{
		Name: r.cfg.Name, Key: r.cfg.Key, Address: r.cfg.Address, State: string(ks.State), Reason: reason,
		Registered: ks.State == etcd.Registered, Since: ks.Since.UTC(), Losses: ks.Losses, TTL: ks.TTL.Seconds(),
	}
}
