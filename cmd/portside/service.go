package main

import (
	"context"
	"log/slog"
	"maps"
	"net"
	"sync"
	"time"

	"portside/cmd/portside/admin"
	"portside/cmd/portside/config"
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

	following *following
	news      *news
	access    accessLogs

	mu  sync.Mutex
	cfg config.Service
}

// front is the side of a service that clients meet: a proxy for its protocol.
type front interface {
	Serve(ctx context.Context, ln net.Listener) (cut int64, err error)
	Reconfigure(proxy.Config)
	BackendLeft(*pool.Backend)
	Stats() *proxy.Stats
}

// newService binds the service's port.
func newService(cfg config.Service, drain config.Drain, p *process) (*service, error) {
	ln, err := listen(context.Background(), "service "+cfg.Name, cfg.Listen)
	if err != nil {
		return nil, err
	}
	return newServiceOn(ln, cfg, drain, p), nil
}

// newServiceOn returns a service that will serve the clients of ln.
func newServiceOn(ln net.Listener, cfg config.Service, drain config.Drain, p *process) *service {
	s := &service{name: cfg.Name, cfg: cfg, log: p.log.With("service", cfg.Name), ln: ln}
	s.access.log = s.log
	s.news = newNews(cfg.Name, s.log, &p.events)
	s.pool = pool.New(s.poolConfig(cfg))
	s.following = newFollowing(cfg.Name, s.log, s.pool, s.news, p.saves)
	s.front = newFront(s.pool, cfg, proxyConfig(cfg, drain, s.access.open(cfg.HTTP.AccessLog), s.log))
	return s
}

// config is the configuration that is in force.
func (s *service) config() config.Service {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cfg
}

// newFront returns the proxy for cfg's protocol.
func newFront(p *pool.Pool, cfg config.Service, pc proxy.Config) front {
	switch cfg.Protocol {
	case config.ProtocolHTTP:
		return proxy.NewHTTP(p, pc)
	default:
		return proxy.NewTCP(p, pc)
	}
}

// run accepts clients until serving ends, and serves them until they are done or cut. All the
// while it follows the source. It returns when nothing of s runs any more; cut is how many
// clients had not finished.
func (s *service) run(ctx, serving context.Context) (cut int64, err error) {
	ctx, cancel := context.WithCancel(ctx)
	var own sync.WaitGroup
	own.Go(func() { _ = s.pool.Run(ctx) })
	own.Go(func() { s.following.run(ctx) })
	cut, err = s.front.Serve(serving, s.ln)
	cancel()
	own.Wait()
	s.access.flush()
	return cut, err
}

// happened passes a change of a backend's state, or of the pool's, on to whom it concerns.
func (s *service) happened(e pool.Event) {
	if e.Backend != nil && e.To == pool.Gone {
		s.front.BackendLeft(e.Backend)
		s.following.saver.touch() // a suspect leaves long after the registry has dropped it
	}
	s.news.tell(e, s.suspects)
}

// suspects is how many backends there are, and how many of them the registry has dropped.
func (s *service) suspects() (all, suspects int) {
	backends := s.pool.Status().Backends
	for _, b := range backends {
		if b.State == pool.Suspect {
			suspects++
		}
	}
	return len(backends), suspects
}

// status is s as the API shows it.
func (s *service) status(now time.Time) admin.Service {
	cfg := s.config()
	ps := s.pool.Status()
	st := s.front.Stats()
	as := admin.Service{
		Name: s.name, Listen: s.ln.Addr().String(), Protocol: string(cfg.Protocol), Balance: string(cfg.Pool.Balance),
		Guard:    admin.Guard{Off: cfg.Pool.Guard.Off, MaxLeave: cfg.Pool.Guard.MaxLeave, SuspectMax: cfg.Pool.Guard.SuspectMax.String()},
		FailOpen: ps.FailOpen, Discovery: s.following.status(now), Backends: admin.BackendsOf(ps), Ejections: ps.Ejections,
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
		// Each class from the start: a counter that only appears with its first failures
		// hides them from a query for its increase.
		b.Classes = map[string]uint64{"2xx": 0, "4xx": 0, "5xx": 0}
		maps.Copy(b.Classes, classes[b.Address])
	}
	as.Answered = h.Stats().Answered()
	d := h.Duration()
	as.Duration = &admin.Histogram{Count: d.Count, Sum: d.Sum.Seconds(), Bucket: map[float64]uint64{}}
	for bound, n := range d.UpTo {
		as.Duration.Bucket[bound.Seconds()] = n
	}
}
