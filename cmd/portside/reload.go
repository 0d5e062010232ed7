package main

import (
	"errors"
	"fmt"
	"net"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"portside/cmd/portside/admin"
	"portside/cmd/portside/config"
)

// rereading is what a process keeps for its reloads.
type rereading struct {
	options       *config.Options // what is read again; nil: nothing
	file          watched         // the configuration's; guarded by reloading
	notRereadable bool            // at the start the file was a pipe, say, which has been read
	reloading     sync.Mutex      // held during a reload
	reloads       atomic.Uint64   // how many were applied
	refused       atomic.Uint64   // how many were refused
	reloadBad     atomic.Bool     // the last one was refused
}

// reload reads the configuration again and applies the difference. Services that it does
// not touch lose no connection. A configuration with a fault changes nothing; the error
// is logged, counted and returned.
func (p *process) reload() error {
	p.reloading.Lock()
	defer p.reloading.Unlock()
	if source := p.config().Source; source != "" && p.nothingToRead() == nil {
		p.file = watched{last: lookAt(source)} // watchConfig need not apply this content again
	}
	cfg, err := p.readAgain()
	if err == nil {
		err = p.apply(cfg)
	}
	p.reloadBad.Store(err != nil && p.nothingToRead() == nil)
	event := admin.Event{Time: time.Now().UTC(), Kind: "reload", To: "applied"}
	if err != nil {
		p.refused.Add(1)
		event.To, event.Reason = "refused", err.Error()
		p.log.Error("the configuration was not applied; the former one stands", "error", err)
	} else {
		p.reloads.Add(1)
		p.log.Info("configuration applied", "services", len(cfg.Services), "registrations", len(cfg.Register))
	}
	p.events.Tell(event)
	return err
}

// readAgain is the configuration as it is now.
func (p *process) readAgain() (*config.Config, error) {
	if err := p.nothingToRead(); err != nil {
		return nil, err
	}
	return loadToRun(*p.options)
}

// nothingToRead says why the configuration cannot be read again, if it cannot.
func (p *process) nothingToRead() error {
	switch {
	case p.options == nil:
		return errors.New("nothing to read again: the configuration is the command line")
	case p.options.Path == "-":
		return errors.New("nothing to read again: the configuration came from standard input")
	case p.notRereadable:
		return fmt.Errorf("nothing to read again: %s is not a regular file", p.options.Path)
	}
	return nil
}

// apply makes cfg the one that runs. Everything that can fail comes first.
func (p *process) apply(cfg *config.Config) error {
	if p.draining.Load() {
		return errDraining
	}
	was := p.config()
	if cfg.Admin != was.Admin {
		return fmt.Errorf("admin: %q cannot become %q without a restart", was.Admin, cfg.Admin)
	}
	if cfg.Etcd.Embedded != was.Etcd.Embedded {
		return errors.New("etcd.endpoints: embedded cannot come or go without a restart")
	}
	if cfg.Etcd.Embedded {
		cfg.Etcd.Endpoints = was.Etcd.Endpoints
	}
	added, err := p.bindNew(cfg)
	if err != nil {
		return err
	}
	if !p.replace(cfg, added) {
		discard(added)
		return errDraining
	}
	return nil
}

var errDraining = errors.New("the process is draining")

// bindNew binds the ports of services that are new, or listen elsewhere now.
func (p *process) bindNew(cfg *config.Config) (added map[string]*service, err error) {
	added = map[string]*service{}
	running := map[string]*service{}
	for _, s := range p.running() {
		running[s.name] = s
	}
	for _, sc := range cfg.Services {
		old := running[sc.Name]
		if old != nil && old.serves(sc) {
			continue
		}
		s, err := p.bind(sc, cfg.Drain)
		if err != nil {
			discard(added)
			return nil, err
		}
		if old != nil {
			s.pool.Inherit(old.pool)
		}
		added[sc.Name] = s
	}
	return added, nil
}

// discard gives up services that were not started.
func discard(added map[string]*service) {
	for _, s := range added {
		_ = s.ln.Close()
		if l := s.access.current.Load(); l != nil {
			l.close()
		}
	}
}

// serves reports whether s can become what sc says without another listener.
func (s *service) serves(sc config.Service) bool {
	cfg := s.config()
	return cfg.Listen == sc.Listen && cfg.Protocol == sc.Protocol
}

// bind returns a service for sc with its port bound. A port that a running service has, and
// is about to give up, is shared with it until then, so that no client is refused. Port 0
// stands for another port in each service that has it, so it is only shared with the
// service of the same name.
func (p *process) bind(sc config.Service, drain config.Drain) (*service, error) {
	_, port, _ := net.SplitHostPort(sc.Listen)
	for _, old := range p.running() {
		tcp, ok := old.ln.(*net.TCPListener)
		if !ok || old.config().Listen != sc.Listen || port == "0" && old.name != sc.Name {
			continue
		}
		ln, err := share(tcp)
		if err != nil {
			return nil, fmt.Errorf("service %s: take over %s: %w", sc.Name, sc.Listen, err)
		}
		return newServiceOn(ln, sc, drain, p), nil
	}
	s, err := newService(sc, drain, p)
	old := p.listeningOn(sc.Listen)
	switch {
	case old == nil || !errors.Is(err, syscall.EADDRINUSE):
		return s, err
	case old.name == sc.Name:
		return nil, fmt.Errorf("service %s: listen: %s cannot become %s without a restart: it is the same port", sc.Name, old.config().Listen, sc.Listen)
	}
	return nil, fmt.Errorf("%w, by service %s until it listens elsewhere: give it another port first, or restart", err, old.name)
}

// listeningOn is the running service that listens on the port of address, or nil.
func (p *process) listeningOn(address string) *service {
	_, port, _ := net.SplitHostPort(address)
	for _, s := range p.running() {
		if _, its, _ := net.SplitHostPort(s.config().Listen); its == port {
			return s
		}
	}
	return nil
}

// share is another listener on ln's socket.
func share(ln *net.TCPListener) (net.Listener, error) {
	f, err := ln.File()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return net.FileListener(f)
}

// named is the running service of that name, or nil.
func (p *process) named(name string) *service {
	for _, s := range p.running() {
		if s.name == name {
			return s
		}
	}
	return nil
}

// replace puts cfg in force, with the services that were added for it. Only one reload at a
// time calls it. It reports false, and does nothing, if the process has begun to drain:
// nothing would stop what it starts.
func (p *process) replace(cfg *config.Config, added map[string]*service) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.draining.Load() {
		return false
	}
	was := p.cfg
	p.cfg = cfg
	p.warnDoubts(cfg)
	etcdChanged := p.changeEtcd(was, cfg)

	old := map[string]*service{}
	for _, s := range p.services {
		old[s.name] = s
	}
	p.services = nil
	for _, sc := range cfg.Services {
		s := added[sc.Name]
		if s == nil {
			s = old[sc.Name]
			delete(old, sc.Name)
			s.change(sc, p, was, etcdChanged)
		} else {
			former := old[sc.Name]
			if former != nil {
				s.following.takeOver(former.following, sc)
			}
			p.startService(s)
			if former != nil {
				was := former.config()
				p.log.Info("service replaced; the former one drains", "service", sc.Name, "listen", sc.Listen, "protocol", sc.Protocol, "was", was.Listen, "spoke", was.Protocol)
			} else {
				p.log.Info("service added", "service", sc.Name, "listen", sc.Listen)
			}
		}
		p.services = append(p.services, s)
	}
	for name, s := range old {
		s.following.retire()
		s.stop() // it drains, and its run returns
		if added[name] == nil {
			p.log.Info("service removed", "service", name)
		}
	}
	p.changeRegistrations(cfg, etcdChanged)
	return true
}

// changeEtcd connects to another etcd, or to none, if cfg says so. The prefix does not count:
// it is a part of what each service follows. The caller holds p.mu.
func (p *process) changeEtcd(was, cfg *config.Config) (changed bool) {
	if p.etcd != nil && cfg.NeedsEtcd() && reflect.DeepEqual(was.Etcd.Config, cfg.Etcd.Config) {
		return false
	}
	if former := p.etcd; former != nil {
		// In a moment the services follow the new one. Registrations leave the old one
		// when they are in the new.
		p.group.Go(func() error {
			pause(p.ctx, 5*time.Second)
			former.leaving.Wait()
			former.stop()
			return nil
		})
	}
	p.etcd = nil
	if cfg.NeedsEtcd() {
		p.connect(cfg.Etcd)
	}
	return true
}

// change applies sc to a service that stays. The caller holds p.mu and has replaced p.cfg,
// which was was.
func (s *service) change(sc config.Service, p *process, was *config.Config, etcdChanged bool) {
	former := s.config()
	s.mu.Lock()
	s.cfg = sc
	s.mu.Unlock()
	if !reflect.DeepEqual(former.Pool, sc.Pool) || !reflect.DeepEqual(former.Health, sc.Health) {
		s.pool.Reconfigure(s.poolConfig(sc))
	}
	log := s.access.current.Load()
	s.front.Reconfigure(proxyConfig(sc, p.cfg.Drain, s.access.open(sc.HTTP.AccessLog), s.log))
	if log != s.access.current.Load() {
		p.group.Go(func() error { return log.retire(p.ctx) })
	}
	inEtcd := len(sc.Endpoints) == 0
	if originOf(former) != originOf(sc) || inEtcd && (etcdChanged || was.StateDir != p.cfg.StateDir) {
		s.following.follow(sc, p.etcd, p.cfg.StateDir)
	}
	if !former.Equal(sc) {
		p.log.Info("service changed", "service", sc.Name)
	}
}

// changeRegistrations removes the registrations that cfg does not have any more, changes
// those that are different, and starts the new ones. The caller holds p.mu.
func (p *process) changeRegistrations(cfg *config.Config, etcdChanged bool) {
	wanted, holders := map[string]config.Registration{}, map[string]*registration{}
	for _, rc := range cfg.Register {
		wanted[rc.Name], holders[rc.Key] = rc, nil
	}
	kept := p.registrations[:0:0]
	var moved []*registration // under the same name there is another key now
	for _, r := range p.registrations {
		if rc, ok := wanted[r.cfg.Name]; ok && r.cfg.Equal(rc) && !etcdChanged {
			kept = append(kept, r)
			delete(wanted, r.cfg.Name)
			continue
		}
		if _, ok := holders[r.cfg.Key]; ok {
			holders[r.cfg.Key] = r
			continue
		}
		if _, ok := wanted[r.cfg.Name]; ok {
			moved = append(moved, r)
			continue
		}
		p.depart(r, func() { p.leave(r, r.cfg.TTL) })
	}
	p.registrations = kept
	p.recall(holders)
	for _, rc := range cfg.Register {
		if _, ok := wanted[rc.Name]; !ok {
			continue
		}
		holder := holders[rc.Key]
		next := p.startRegistration(rc, holder, !etcdChanged)
		if holder != nil && etcdChanged {
			holder.heir.Store(next)
			holder.keeper.HandOn()
			p.depart(holder, p.leaveToHeir(holder, forever))
		}
	}
	patience := moveWait
	if etcdChanged {
		patience = forever
	}
	for _, r := range moved {
		i := slices.IndexFunc(p.registrations, func(next *registration) bool { return next.cfg.Name == r.cfg.Name })
		if i >= 0 {
			r.heir.Store(p.registrations[i])
		}
		p.depart(r, p.leaveToHeir(r, patience))
	}
}
