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
	r.keeper.Withhold(r.sick)
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
		r.keeper.Withhold(r.sick)
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
