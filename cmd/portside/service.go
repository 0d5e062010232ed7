package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"portside/cmd/portside/admin"
	"portside/cmd/portside/config"
	"portside/discovery"
	"portside/discovery/etcd"
	"portside/discovery/record"
	"portside/discovery/snapshot"
	"portside/discovery/static"
	"portside/pool"
	"portside/proxy"
)

// service is one name and the local port that leads to it.
type service struct {
	name  string
	log   *slog.Logger
	ln    net.Listener
	pool  *pool.Pool
	front front
	stop  context.CancelFunc // stops accepting; what was accepted may finish

	next chan followed // what to follow instead
	anew atomic.Bool   // see followed; until the first list

	access     *proxy.AccessLog // and what it was opened for; the reloader's alone
	accessCfg  config.AccessLog
	accessOut  atomic.Pointer[outlet]
	accessFile *logFile // nil: standard output

	filling atomic.Bool   // the pool is getting its first endpoints, which are no news
	chatter *rate.Limiter // of lines about backends
	unsaid  atomic.Int64  // lines that were held back
	open    atomic.Int64  // since when it fails open no more, in Unix nanoseconds; failing; zero: that was said

	mu       sync.Mutex
	cfg      config.Service
	source   discovery.Source
	snapshot time.Time // of the endpoints that were loaded; zero: they are the registry's
}

// front is what clients meet: a protocol.
type front interface {
	Serve(ctx context.Context, ln net.Listener) (cut int64, err error)
	Reconfigure(proxy.Config)
	BackendLeft(*pool.Backend)
	Stats() *proxy.Stats
}

// newService binds the service's port.
func newService(cfg config.Service, p *process) (*service, error) {
	ln, err := listen(context.Background(), "service "+cfg.Name, cfg.Listen)
	if err != nil {
		return nil, err
	}
	return newServiceOn(ln, cfg, p), nil
}

// newServiceOn is a service for the clients of ln.
func newServiceOn(ln net.Listener, cfg config.Service, p *process) *service {
	s := &service{name: cfg.Name, cfg: cfg, log: p.log.With("service", cfg.Name), ln: ln, next: make(chan followed, 1), chatter: rate.NewLimiter(20, 50)}
	s.pool = pool.New(s.poolConfig(cfg, p))
	s.front = newFront(s.pool, cfg, s.proxyConfig(cfg, p.config().Drain))
	return s
}

// config is what s is told to do now.
func (s *service) config() config.Service {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cfg
}

// newFront chooses the protocol.
func newFront(p *pool.Pool, cfg config.Service, pc proxy.Config) front {
	switch cfg.Protocol {
	case config.ProtocolHTTP:
		return proxy.NewHTTP(p, pc)
	default:
		return proxy.NewTCP(p, pc)
	}
}

// follow has s follow its fixed list, or its prefix in etcd. Endpoints saved in
// stateDir stand until the registry has spoken.
//
// Anew says that what it follows has nothing to do with what it followed before.
func (s *service) follow(r *registry, stateDir string, anew bool) {
	cfg := s.config()
	if len(cfg.Endpoints) > 0 {
		s.followSource(static.New(cfg.Endpoints), snapshot.File{}, anew)
		return
	}
	decoder, err := decoderFor(cfg)
	if err != nil {
		// load has tried the same.
		s.log.Error("cannot read records", "error", err)
		return
	}
	file := snapshot.File{}
	if stateDir != "" {
		file = snapshot.In(stateDir, s.name, cfg.Prefix)
	}
	source := r.Source(cfg.Prefix, decode(decoder, s.log))
	source.Reuse = true // the pool keeps no slice, and the saver the last alone
	s.followSource(source, file, anew)
}

// decoderFor reads the records of a service.
func decoderFor(cfg config.Service) (*record.Decoder, error) {
	return record.New(cfg.Prefix, record.Options{Format: record.Format(cfg.Format), Protocol: string(cfg.Protocol), DefaultPort: cfg.DefaultPort})
}

func (s *service) followSource(source discovery.Source, file snapshot.File, anew bool) {
	s.mu.Lock()
	s.source = source
	s.mu.Unlock()
	select {
	case former := <-s.next: // nobody has come to it
		anew = anew || former.anew
	default:
	}
	s.next <- followed{source, file, anew}
}

// followed is what to follow, where its endpoints are kept, and whether what was
// followed before means nothing any more.
type followed struct {
	discovery.Source
	file snapshot.File // zero: nowhere
	anew bool
}

// doubtsSaid is how many kinds of doubtful records of a service leave a line.
const doubtsSaid = 5

// decode joins the follower's idea of a record to the decoder's.
func decode(d *record.Decoder, log *slog.Logger) etcd.Decode {
	var mu sync.Mutex
	said := map[string]bool{}
	news := func(r record.Reading) bool {
		kind := r.Warning
		for _, e := range r.Endpoints {
			kind = strings.ReplaceAll(kind, e.Address, "")
		}
		mu.Lock()
		defer mu.Unlock()
		if said[kind] || len(said) == doubtsSaid {
			return false
		}
		said[kind] = true
		return true
	}
	return func(key string, value []byte) ([]discovery.Endpoint, string, error) {
		r, err := d.Decode(key, value)
		if r.Warning != "" {
			// One of a kind is enough: resolve shows the doubt of each.
			level := slog.LevelDebug
			if news(r) {
				level = slog.LevelWarn
			}
			log.Log(context.Background(), level, "record read with a doubt", "key", key, "format", r.Format, "doubt", r.Warning)
		}
		return r.Endpoints, r.Reason, err
	}
}

// run serves clients until serving ends and they are done, and follows the
// source all the while. It returns when nothing of s runs any more.
func (s *service) run(ctx, serving context.Context) (cut int64, err error) {
	ctx, cancel := context.WithCancel(ctx)
	var own sync.WaitGroup
	own.Go(func() { _ = s.pool.Run(ctx) })
	own.Go(func() { s.followAll(ctx) })
	cut, err = s.front.Serve(serving, s.ln)
	cancel()
	own.Wait()
	if out := s.accessOut.Load(); out != nil {
		out.flush()
	}
	return cut, err
}

// followAll follows one source after another, as reloads replace them.
func (s *service) followAll(ctx context.Context) {
	saver := newSaver(s)
	var own sync.WaitGroup
	own.Go(func() { saver.run(ctx) })
	defer own.Wait()
	var next followed
	select {
	case next = <-s.next:
	case <-ctx.Done():
		return
	}
	s.loadSnapshot(next.file)
	for ctx.Err() == nil {
		now := next
		if now.anew { // until a list says so: one before may not have come
			s.anew.Store(true)
		}
		following, stop := context.WithCancel(ctx)
		var one sync.WaitGroup
		one.Go(func() {
			_ = now.Run(following, func(endpoints []discovery.Endpoint) { saver.update(endpoints, now.file) })
		})
		select {
		case next = <-s.next:
		case <-ctx.Done():
		}
		stop()
		one.Wait()
	}
}

// update hands endpoints to the pool.
func (s *service) update(endpoints []discovery.Endpoint) {
	select {
	case <-s.pool.Synced():
	default:
		s.filling.Store(true)
		defer s.filling.Store(false)
	}
	// An empty list, which may be a prefix mistyped, is doubted all the same.
	if len(endpoints) > 0 && s.anew.Swap(false) {
		s.pool.Replace(endpoints)
		return
	}
	s.pool.Update(endpoints)
}

// loadSnapshot puts the saved endpoints in the pool, if there are any.
func (s *service) loadSnapshot(file snapshot.File) {
	if file == (snapshot.File{}) {
		return
	}
	endpoints, taken, err := file.Load()
	switch {
	case errors.Is(err, os.ErrNotExist):
		return
	case err != nil:
		s.log.Warn("cannot use the saved endpoints", "error", err)
		return
	}
	s.mu.Lock()
	s.snapshot = taken
	s.mu.Unlock()
	s.log.Info("starting with saved endpoints", "endpoints", len(endpoints), "age", time.Since(taken).Round(time.Second))
	s.update(endpoints)
}

// happened passes on a change of a backend's state, or of the pool's.
func (s *service) happened(e pool.Event, p *process) {
	if e.Backend == nil {
		s.failsOpen(e, p)
		return
	}
	if e.To == pool.Gone {
		s.front.BackendLeft(e.Backend)
	}
	s.say(e)
	p.events.Tell(admin.Event{
		Time: e.Time.UTC(), Service: s.name, Backend: e.Backend.Address(), Kind: "backend",
		From: string(e.From), To: string(e.To), Reason: e.Reason,
	})
}

// failsOpen takes in that every backend fails, or no longer. With most answers failing
// that comes and goes with each that does not: it is said when it begins, and that it
// is over when it has been for a while; see calm.
func (s *service) failsOpen(e pool.Event, p *process) {
	if e.To != pool.FailOpen {
		s.open.Store(time.Now().UnixNano())
		return
	}
	if s.open.Swap(failing) != 0 {
		return // it was not over for long
	}
	s.log.Warn("failing open: " + e.Reason + "; they get the traffic all the same")
	s.tellOpen(e.Time, pool.Active, pool.FailOpen, e.Reason, p)
}

const (
	// failing stands for a time that has not come: of the end of failing open.
	failing = -1
	// calmFor is how long failing open has to be over for that to be said.
	calmFor = 5 * time.Second
)

// calm says that failing open is over once it has been for a while.
func (s *service) calm(now time.Time, p *process) {
	since := s.open.Load()
	if since <= 0 || now.UnixNano()-since < int64(calmFor) || !s.open.CompareAndSwap(since, 0) {
		return
	}
	reason := "a backend is well"
	if len(s.pool.Status().Backends) == 0 {
		reason = "no backend is left"
	}
	s.log.Info("no longer failing open: " + reason)
	s.tellOpen(now, pool.FailOpen, pool.Active, reason, p)
}

func (s *service) tellOpen(at time.Time, from, to pool.State, reason string, p *process) {
	p.events.Tell(admin.Event{Time: at.UTC(), Service: s.name, Kind: "pool", From: string(from), To: string(to), Reason: reason})
}

// say logs a change of a backend's state. A thousand that come or go at once are
// not a thousand lines.
func (s *service) say(e pool.Event) {
	level := slog.LevelInfo
	switch {
	case s.filling.Load():
		level = slog.LevelDebug
	case !s.chatter.Allow():
		s.unsaid.Add(1)
		level = slog.LevelDebug
	case e.To == pool.Ejected || e.To == pool.Suspect:
		level = slog.LevelWarn
	}
	attrs := []slog.Attr{slog.String("backend", e.Backend.Address()), slog.String("was", string(e.From))}
	if e.Reason != "" {
		attrs = append(attrs, slog.String("reason", e.Reason))
	}
	if level > slog.LevelDebug {
		if n := s.unsaid.Swap(0); n > 0 {
			attrs = append(attrs, slog.Int64("changes_not_shown", n))
		}
	}
	s.log.LogAttrs(context.Background(), level, "backend "+string(e.To), attrs...)
}

// discovery says how sure the endpoints are.
func (s *service) discovery(now time.Time) admin.Discovery {
	s.mu.Lock()
	source, taken := s.source, s.snapshot
	s.mu.Unlock()
	if source == nil {
		return admin.Discovery{State: discovery.Syncing, Age: -1}
	}
	d := admin.DiscoveryOf(source.Status(), now)
	if !taken.IsZero() && d.State == discovery.Syncing {
		// Saved endpoints are served: old ones, not none.
		d.State, d.Snapshot, d.Age = discovery.Stale, &taken, now.Sub(taken).Seconds()
		d.Reason = fmt.Sprintf("endpoints saved at %s; %s", taken.Format(time.RFC3339), d.Reason)
	}
	return d
}

// status is s as the API shows it.
func (s *service) status(now time.Time) admin.Service {
	cfg := s.config()
	ps := s.pool.Status()
	st := s.front.Stats()
	as := admin.Service{
		Name: s.name, Listen: s.ln.Addr().String(), Protocol: string(cfg.Protocol), Balance: string(cfg.Pool.Balance),
		Guard:    admin.Guard{Off: cfg.Pool.Guard.Off, MaxLeave: cfg.Pool.Guard.MaxLeave, SuspectMax: cfg.Pool.Guard.SuspectMax.String()},
		FailOpen: ps.FailOpen, Discovery: s.discovery(now), Backends: admin.BackendsOf(ps), Ejections: ps.Ejections,
		Traffic: admin.Traffic{
			Connections: st.Connections.Load(), Active: st.Active.Load(),
			ToBackend: st.Bytes.ToBackend.Load(), ToClient: st.Bytes.ToClient.Load(),
			Retries: st.Retries.Load(), RetriesDenied: st.RetriesDenied.Load(), Failed: st.Failed.Load(),
		},
	}
	if h, ok := s.front.(*proxy.HTTP); ok {
		addHTTP(&as, h)
	}
	return as
}

// addHTTP adds what only HTTP has: answers by class, and durations.
func addHTTP(as *admin.Service, h *proxy.HTTP) {
	classes := h.Classes()
	for i := range as.Backends {
		b := &as.Backends[i]
		if b.Classes = classes[b.Address]; b.Classes == nil {
			b.Classes = map[string]uint64{}
		}
	}
	as.Answered = h.Stats().Answered()
	d := h.Duration()
	as.Duration = &admin.Histogram{Count: d.Count, Sum: d.Sum.Seconds(), Bucket: map[float64]uint64{}}
	for bound, n := range d.UpTo {
		as.Duration.Bucket[bound.Seconds()] = n
	}
}
