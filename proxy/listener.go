package proxy

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"portside/pool"
	"portside/proxy/parking"
	"portside/proxy/socket"
)

// Listen opens a service's listening socket. An address without a host is every
// interface; the backlog is the system's.
func Listen(ctx context.Context, address string) (net.Listener, error) {
	k := keepAliveFor(address)
	lc := net.ListenConfig{KeepAliveConfig: k}
	if !k.Enable {
		lc.KeepAlive = -1
	}
	lc.SetMultipathTCP(false)
	return lc.Listen(ctx, "tcp", address)
}

// server is what the protocols share: the accept loop, the sessions, and what
// happens to them when a backend leaves or the service ends.
type server struct {
	pool     *pool.Pool
	stats    Stats
	sessions sessions
	entering sync.WaitGroup // clients that were accepted and have not entered yet
	hints    hints
	lot      parking.Lot
	self     *ownPort                   // set before the first client is accepted
	refuse   func(netip.AddrPort) error // a connection to itself; set before the first client is accepted

	cfg     atomic.Pointer[Config]
	mu      sync.Mutex
	leaving []leaver
	wake    chan struct{}
}

// leaver is a backend that left, and when its last connections are cut.
type leaver struct {
	backend *pool.Backend
	at      time.Time
}

// init sets what a server is made of.
func (s *server) init(p *pool.Pool, cfg Config) {
	s.pool, s.wake = p, make(chan struct{}, 1)
	s.Reconfigure(cfg)
}

// Stats are the service's counters.
func (s *server) Stats() *Stats { return &s.stats }

// Reconfigure replaces the configuration for what begins from now on.
func (s *server) Reconfigure(cfg Config) { s.cfg.Store(cfg.withDefaults()) }

func (s *server) config() *Config { return s.cfg.Load() }

// BackendLeft tells that b has left the pool: its connections are cut, now or
// when they have had time to finish. It does not block.
func (s *server) BackendLeft(b *pool.Backend) {
	at := time.Now()
	if cfg := s.config(); !cfg.CloseOnRemove {
		at = at.Add(cfg.RemoveTimeout)
	}
	s.mu.Lock()
	// It may have left before, and come back.
	s.leaving = slices.DeleteFunc(s.leaving, func(l leaver) bool { return l.backend == b })
	s.leaving = append(s.leaving, leaver{b, at})
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// serve accepts from ln until ctx ends, then drains. Each connection is handled
// by handle, on a goroutine of its own: it enters, or says that it is done with
// entering. serve closes ln, and returns when all that it started has ended: the
// number of sessions that had to be cut, and an error only if ln failed for good.
func (s *server) serve(ctx context.Context, ln net.Listener, handle func(context.Context, socket.Stream)) (cut int64, err error) {
	var own sync.WaitGroup
	ctx, stop := context.WithCancel(ctx)
	work, abandon := context.WithCancel(context.WithoutCancel(ctx)) // outlives ctx, until the drain is over
	own.Go(func() { s.cutLeavers(work) })
	own.Go(func() { s.liftUserTimeouts(work) })
	parked, leave := context.WithCancel(context.WithoutCancel(ctx)) // until nobody is parked any more
	if err := s.lot.Start(); err != nil {
		s.config().Log.Warn("idle connections are not parked, and take more memory", "error", err)
	} else {
		own.Go(func() { s.lot.Run(parked) })
	}
	s.self = ownPortOf(ln)
	s.refuse = s.self.refuse
	accepts := socket.NewListener(ln, keepAliveFor(ln.Addr().String()))
	own.Go(func() {
		<-ctx.Done()
		_ = accepts.Close() // wakes accept
	})
	err = s.accept(ctx, accepts, &own, func(c socket.Stream) { handle(work, c) })
	accepts.Release()
	stop()
	s.entering.Wait() // who was accepted is served
	cut = s.sessions.finish(s.config().DrainTimeout, abandon)
	abandon()
	leave()
	own.Wait()
	return cut, err
}

// enter takes in an accepted client's session, which then exits.
func (s *server) enter(x session) {
	s.sessions.add(x)
	s.stats.Active.Add(1)
	s.entering.Done()
}

func (s *server) exit(x session) {
	s.stats.Active.Add(-1)
	s.sessions.remove(x)
}

// sayAgain is after how long it is said once more that clients cannot be accepted.
const sayAgain = time.Minute

// accept is the accept loop. Errors that pass, such as file descriptors running
// out, are waited out.
func (s *server) accept(ctx context.Context, ln *socket.Listener, own *sync.WaitGroup, handle func(socket.Stream)) error {
	var wait time.Duration
	var said time.Time
	closed := false
	for {
		conn, err := ln.Accept()
		switch {
		case err == nil:
			wait = 0
			s.stats.Connections.Add(1)
			s.entering.Add(1)
			own.Go(func() { handle(conn) })
		case closed, ctx.Err() != nil && !passing(err):
			return nil
		case !passing(err):
			return err
		default:
			s.stats.AcceptErrors.Add(1)
			if now := time.Now(); now.Sub(said) > sayAgain {
				s.config().Log.Warn("cannot accept clients for now", "error", err)
				said = now
			}
			wait = min(max(2*wait, 5*time.Millisecond), time.Second)
			select {
			case <-time.After(wait):
			case <-ctx.Done(): // who has connected is let in still, if there is a descriptor
				closed = true
				_ = ln.Close()
			}
		}
	}
}

// passing reports whether accept may succeed after err: a client that gave up
// (accept(2), ECONNABORTED) or want of resources.
func passing(err error) bool {
	for _, e := range []syscall.Errno{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM,
		syscall.ECONNABORTED, syscall.ECONNRESET, syscall.EINTR, syscall.EPERM,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// liftUserTimeouts keeps userTimeout from ending connections to backends that are alive
// but do not read for a while: [socket.LiftUserTimeout].
func (s *server) liftUserTimeouts(ctx context.Context) {
	ticker := time.NewTicker(liftEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for _, x := range s.sessions.of(nil) {
			x.liftUserTimeout()
		}
	}
}

// cutLeavers cuts the connections of backends that left, when their time is up.
func (s *server) cutLeavers(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		timer.Reset(s.cutDue(time.Now()))
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-timer.C:
		}
	}
}

// cutDue cuts what is due at now and returns how long until more is.
func (s *server) cutDue(now time.Time) time.Duration {
	s.mu.Lock()
	var due []*pool.Backend
	next := time.Hour
	rest := s.leaving[:0]
	for _, l := range s.leaving {
		if l.at.After(now) {
			next = min(next, l.at.Sub(now))
			rest = append(rest, l)
			continue
		}
		due = append(due, l.backend)
	}
	clear(s.leaving[len(rest):])
	s.leaving = rest
	s.mu.Unlock()
	for _, b := range due {
		if b.Left() { // and was not called back
			for _, x := range s.sessions.of(b) {
				x.cut()
			}
		}
	}
	return next
}
