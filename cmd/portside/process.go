package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"portside/cmd/portside/admin"
	"portside/cmd/portside/config"
	"portside/discovery/etcd"
	"portside/pool"
	"portside/proxy"
)

// process is a running portside: what the configuration names, and what holds it
// together. The wiring, for each service, registration and once:
//
//	service       etcd client ─► source ─► pool ─► proxy ◄─ listener
//	registration  monitor ─► keeper ─► etcd client
//	once          signals ─► process     admin ─► snapshots of all
//
// One group owns every goroutine that lives as long as the process; it ends when all have
// ended. Services, registrations and the connection to etcd come and go with reloads, the
// rest does not.
type process struct {
	log      *slog.Logger
	logs     *asyncWriter    // behind log
	ctx      context.Context // of all that runs; ends after the drain
	begun    chan struct{}   // closed when the command runs, or there is none
	ended    <-chan struct{} // closed when nothing of the process is left
	abandon  func()          // clears away what an end on the spot would leave
	events   admin.Events
	pprof    bool
	group    *errgroup.Group
	draining atomic.Bool
	second   atomic.Int32    // the signal that ends the drain on the spot
	hurried  context.Context // ends when the drain begins: whatever waits for etcd is to hurry
	hurry    context.CancelFunc
	cuts     atomic.Int64 // sessions that did not finish in time
	rereading

	saves   chan struct{}  // one is in it for each file of endpoints that is being written
	serving sync.WaitGroup // services that are not done
	leaving sync.WaitGroup // registrations that a reload has taken out

	mu            sync.Mutex
	cfg           *config.Config
	etcd          *registry
	services      []*service // in the order of the file
	registrations []*registration
	departing     []*registration // that a reload has taken out, and may bring back
}

// registry is a connection to etcd, and what ends it.
type registry struct {
	*etcd.Client
	stop    context.CancelFunc
	leaving sync.WaitGroup // registrations that are leaving it
}

// newProcess prepares a process for cfg. It binds every port, so that all that cannot be
// bound is reported at once, and starts nothing.
func newProcess(cfg *config.Config, log *slog.Logger) (*process, error) {
	p := &process{log: log, cfg: cfg, begun: make(chan struct{}), saves: make(chan struct{}, savesAtOnce)}
	p.hurried, p.hurry = context.WithCancel(context.Background())
	var faults []error
	for _, sc := range cfg.Services {
		s, err := newService(sc, cfg.Drain, p)
		if err != nil {
			faults = append(faults, err)
			if errors.Is(err, syscall.EMFILE) { // as for all that follow
				faults = append(faults, fmt.Errorf("each of %d services takes three file descriptors, and each client and backend connection one: raise ulimit -n", len(cfg.Services)))
				break
			}
			continue
		}
		p.services = append(p.services, s)
	}
	if len(faults) > 0 {
		p.closeListeners()
		return nil, errors.Join(faults...)
	}
	return p, nil
}

// config is the configuration that is in force.
func (p *process) config() *config.Config {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cfg
}

func (p *process) closeListeners() {
	for _, s := range p.services {
		_ = s.ln.Close()
	}
}

// listen binds address. Its error says for whom.
func listen(ctx context.Context, whom, address string) (net.Listener, error) {
	ln, err := proxy.Listen(ctx, address)
	if err == nil {
		return ln, nil
	}
	var oe *net.OpError
	if errors.As(err, &oe) {
		err = oe.Err
	}
	return nil, fmt.Errorf("%s: listen on %s: %w", whom, address, err)
}

// start starts all that the configuration names.
func (p *process) start() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.warnDoubts(p.cfg)
	if p.cfg.NeedsEtcd() {
		p.connect(p.cfg.Etcd)
	}
	for _, s := range p.services {
		p.startService(s)
	}
	for _, rc := range p.cfg.Register {
		p.startRegistration(rc, nil, true)
	}
	p.group.Go(p.watchDiscovery)
}

// warnDoubts logs what in cfg is valid but can hardly be meant, as check prints it.
func (p *process) warnDoubts(cfg *config.Config) {
	for _, d := range cfg.Doubts() {
		p.log.Warn(d)
	}
}

// connect connects to the etcd of cfg, which is the one that is used from now on. The caller
// holds p.mu.
func (p *process) connect(cfg config.Etcd) {
	ctx, stop := context.WithCancel(p.ctx)
	p.etcd = &registry{Client: etcd.New(cfg.Config, p.log), stop: stop}
	client := p.etcd.Client
	p.group.Go(func() error { return ended(client.Run(ctx)) })
}

// startService follows s's endpoints and lets clients in, until s.stop. The
// caller holds p.mu.
func (p *process) startService(s *service) {
	serving, stop := context.WithCancel(p.ctx)
	s.stop = stop
	if _, port, _ := net.SplitHostPort(s.config().Listen); port == "0" {
		s.log.Info("listening on a port of the kernel's choice", "listen", s.ln.Addr())
	}
	s.following.follow(s.config(), p.etcd, p.cfg.StateDir)
	p.serving.Add(1)
	p.group.Go(func() error {
		defer p.serving.Done()
		defer stop()
		cut, err := s.run(p.ctx, serving)
		if p.draining.Load() { // if not, a reload has stopped s
			p.cuts.Add(cut)
		} else if cut > 0 {
			s.log.Warn("connections had not finished after drain.timeout and were cut", "connections", cut)
		}
		if err != nil {
			return fmt.Errorf("service %s: %w", s.name, err)
		}
		return nil
	})
}

// ended is err, or nil if it only says that a context was cancelled.
func ended(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// watchDiscovery looks, twice a second, for what nobody reports by itself: it turns changes
// of sources and registrations into events, says that failing open is over, and warns of
// services without a list.
func (p *process) watchDiscovery() error {
	last := map[*service]string{}
	registered := map[*etcd.Keeper]etcd.KeeperStatus{}
	began, said := time.Now(), false
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-p.ctx.Done():
			return nil
		case <-tick.C:
		}
		if !said && time.Since(began) > unlistedAfter {
			said = true
			p.sayUnlisted()
		}
		registered = p.watchRegistrations(registered)
		was := last
		last = map[*service]string{} // those that have gone are forgotten
		for _, s := range p.running() {
			s.news.calm(time.Now(), func() int { return len(s.pool.Status().Backends) })
			d := s.following.status(time.Now())
			last[s] = string(d.State)
			if was := was[s]; was != last[s] {
				p.events.Tell(admin.Event{Time: time.Now().UTC(), Service: s.name, Kind: "discovery", From: was, To: string(d.State), Reason: d.Reason})
			}
		}
	}
}

// unlistedAfter is how long after the start a first list may be missing without a warning.
const unlistedAfter = 2 * time.Second

// sayUnlisted warns which services have no list of endpoints yet, if any, and what follows.
func (p *process) sayUnlisted() {
	var services []string
	reason := ""
	for _, s := range p.running() {
		if !s.following.synced() {
			services = append(services, s.name)
			reason = cmp.Or(reason, s.following.status(time.Now()).Reason)
		}
	}
	if len(services) == 0 {
		return
	}
	text := "no endpoints yet: HTTP clients get 503, TCP clients are closed"
	select {
	case <-p.begun:
	default:
		text += ", and the command is not started"
	}
	p.log.Warn(text, "services", services, "reason", reason)
}

// watchRegistrations turns the changes of registrations since was into events, and returns
// their states now.
func (p *process) watchRegistrations(was map[*etcd.Keeper]etcd.KeeperStatus) map[*etcd.Keeper]etcd.KeeperStatus {
	p.mu.Lock()
	all := slices.Clone(p.registrations)
	p.mu.Unlock()
	now := map[*etcd.Keeper]etcd.KeeperStatus{}
	for _, r := range all {
		s := r.keeper.Status()
		now[r.keeper] = s
		before, known := was[r.keeper]
		e := admin.Event{Time: time.Now().UTC(), Service: r.cfg.Name, Backend: r.cfg.Address, Kind: "registration", From: string(before.State), To: string(s.State), Reason: s.Reason}
		switch {
		case known && s.Losses > before.Losses && s.State == before.State:
			e.Reason = "was lost, and is there again"
		case s.State == before.State, !known && s.State == etcd.Waiting:
			continue
		}
		p.events.Tell(e)
	}
	return now
}

// running are the services that there are now. The slice is the caller's.
func (p *process) running() []*service {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.services)
}

// ready is nil when every service has had its first list; otherwise it says what is missing.
func (p *process) ready() error {
	if p.draining.Load() {
		return errors.New("draining")
	}
	if s := p.unsynced(); s != nil {
		return fmt.Errorf("service %s has had no list of endpoints yet: %s", s.name, s.following.status(time.Now()).Reason)
	}
	return nil
}

// view is what the admin API can see and do.
func (p *process) view() admin.View {
	verb := func(do func(*pool.Pool, string) error) func(string, string) error {
		return func(name, address string) error {
			s := p.named(name)
			if s == nil {
				return pool.ErrNotFound // admin says of what
			}
			return do(s.pool, address)
		}
	}
	services := func() []admin.Service {
		all := []admin.Service{}
		for _, s := range p.running() {
			all = append(all, s.status(time.Now()))
		}
		return all
	}
	return admin.View{
		Services:      services,
		Registrations: p.registered,
		Ready:         p.ready,
		Drain:         verb((*pool.Pool).Drain),
		Undrain:       verb((*pool.Pool).Undrain),
		Forget:        verb((*pool.Pool).Forget),
		Reload:        p.reload,
		Events:        &p.events,
		Profiling:     p.pprof,
		Log:           p.log,
		Metrics: admin.Metrics(version(), services, p.registered, func() admin.Process {
			return admin.Process{Reloads: p.reloads.Load(), ReloadFailures: p.refused.Load(), LastReloadOK: !p.reloadBad.Load()}
		}),
	}
}
