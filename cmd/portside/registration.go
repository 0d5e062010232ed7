package main

import (
	"cmp"
	"context"
	"log/slog"
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
	cfg       config.Registration
	entry     etcd.Registration // what etcd is to hold
	etcd      *registry
	keeper    *etcd.Keeper
	log       *slog.Logger
	stop      context.CancelFunc // ends the keeper
	keeperCtx context.Context    // ends with that
	stopCheck context.CancelFunc // ends the check

	heir   atomic.Pointer[registration] // replaces this one, which leaves only when that one is in etcd; nil: none
	passed chan struct{}                // closed when its server is first offered
	once   sync.Once                    // closes passed

	mu           sync.Mutex
	whyUnhealthy string // why it is not in etcd; empty while healthy
	offered      bool   // the keeper was told to have it in etcd
	leaving      bool   // it is not to be offered any more
	waits        func() // ends its wait for its heir; nil: it does not wait
}

// startRegistration keeps rc in etcd until it leaves. With a command, its check begins when
// the command runs: what answers before is another server. Former, if not nil, is the
// registration that had rc's key. In the same etcd its record stands until rc's check has a
// result; in another etcd, a key that former had left to another holder is left to that one
// again. The caller holds p.mu.
func (p *process) startRegistration(rc config.Registration, former *registration, sameEtcd bool) *registration {
	log := p.log.With("registration", rc.Name)
	entry, err := recordOf(rc)
	if err != nil {
		// load has tried the same.
		log.Error("cannot be registered", "error", err)
		return nil
	}
	ctx, quiet := context.WithCancel(p.ctx)
	r := &registration{cfg: rc, entry: entry, log: log, stopCheck: quiet, whyUnhealthy: "its check has not passed yet", passed: make(chan struct{})}
	if rc.Check == nil {
		r.whyUnhealthy = "its command does not run yet"
	}
	if former != nil && sameEtcd {
		r.etcd, r.keeper, r.stop, r.keeperCtx, r.offered = former.etcd, former.keeper, former.stop, former.keeperCtx, former.withdraw()
		former.stopCheck()
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
			r.offer(nil) // there is no check: always in etcd
			return nil
		}
		r.monitor().Run(ctx, func(err error) { r.checked(err, &p.events) })
		return nil
	})
	return r
}

// startKeeper starts the keeper of r's key, which waits until r is offered.
func (p *process) startKeeper(r *registration) {
	ctx, stop := context.WithCancel(p.ctx)
	r.etcd, r.keeper, r.stop, r.keeperCtx = p.etcd, p.etcd.Keeper(r.entry), stop, ctx
	r.keeper.Withhold(r.whyUnhealthy)
	keeper := r.keeper
	p.group.Go(func() error { return ended(keeper.Run(ctx)) })
}

// offer puts the server into etcd, or takes it out if err says why it cannot serve. It reports
// whether it may have been there before.
func (r *registration) offer(err error) (before bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.whyUnhealthy = ""
	if err != nil {
		r.whyUnhealthy = "its check fails: " + err.Error()
	}
	before = r.offered
	if r.leaving {
		return before
	}
	r.offered = before || err == nil
	if err != nil {
		r.keeper.Withhold(r.whyUnhealthy)
	}
	r.keeper.Change(r.entry) // so far the keeper may have a former registration's
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

// monitor is the monitor that asks the server as its check says.
func (r *registration) monitor() health.Monitor {
	c := r.cfg.Check
	m := health.Monitor{Check: checkOf(c), Address: r.cfg.Address, Interval: c.Interval, Timeout: c.Timeout, Rise: c.Rise, Fall: c.Fall, Grace: c.Grace}
	if c.Address != "" {
		m.Address = c.Address
	}
	return m
}

// checked applies that the server can serve now, or why it cannot.
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
	sick := r.whyUnhealthy
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
