package proxy

import (
	"context"
	"errors"
	"net"
	"sync"
	"syscall"
	"time"

	"portside/pool"
	"portside/proxy/parking"
)

// server is what the protocols share: the accept loop, the sessions, and what
// happens to them when a backend leaves or the service ends.
type server struct {
	pool     *pool.Pool
	stats    Stats
	sessions sessions
	hints    hints
	lot      parking.Lot

	mu      sync.Mutex
	cfg     *Config
	leaving []leaver
	wake    chan struct{}
}

// leaver is a backend that left, and when its last connections are cut.
type leaver struct {
	backend *pool.Backend
	at      time.Time
}

func newServer(p *pool.Pool, cfg Config) server {
	return server{pool: p, cfg: cfg.withDefaults(), wake: make(chan struct{}, 1)}
}

// Stats are the service's counters.
func (s *server) Stats() *Stats { return &s.stats }

// Reconfigure replaces the configuration for what begins from now on.
func (s *server) Reconfigure(cfg Config) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cfg = cfg.withDefaults()
}

func (s *server) config() *Config {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cfg
}

// BackendLeft tells that b has left the pool: its connections are cut, now or
// when they have had time to finish. It does not block.
func (s *server) BackendLeft(b *pool.Backend) {
	s.mu.Lock()
	at := time.Now()
	if !s.cfg.CloseOnRemove {
		at = at.Add(s.cfg.RemoveTimeout)
	}
	s.leaving = append(s.leaving, leaver{b, at})
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// serve accepts from ln until ctx ends, then drains. Each connection is handled
// by handle, on a goroutine of its own. It closes ln, and returns when all that
// it started has ended: the number of sessions that had to be cut, and an error
// only if ln failed for good.
func (s *server) serve(ctx context.Context, ln net.Listener, handle func(context.Context, *net.TCPConn)) (cut int64, err error) {
	var own sync.WaitGroup
	ctx, stop := context.WithCancel(ctx)
	work, abandon := context.WithCancel(context.WithoutCancel(ctx)) // outlives ctx, until the drain is over
	own.Go(func() { s.cutLeavers(work) })
	parked, leave := context.WithCancel(context.WithoutCancel(ctx)) // until nobody is parked any more
	own.Go(func() {
		if err := s.lot.Run(parked); err != nil {
			s.config().Log.Warn("idle connections are not parked, and take more memory", "error", err)
		}
	})
	own.Go(func() {
		<-ctx.Done()
		_ = ln.Close() // wakes accept
	})
	err = s.accept(ctx, ln, &own, func(c *net.TCPConn) { handle(work, c) })
	stop()
	cut = s.sessions.finish(s.config().DrainTimeout, abandon)
	abandon()
	leave()
	own.Wait()
	return cut, err
}

// accept is the accept loop. Errors that pass, such as file descriptors running
// out, are waited out.
func (s *server) accept(ctx context.Context, ln net.Listener, own *sync.WaitGroup, handle func(*net.TCPConn)) error {
	var wait time.Duration
	for {
		conn, err := ln.Accept()
		switch {
		case err == nil:
			wait = 0
			s.stats.Connections.Add(1)
			s.stats.Active.Add(1)
			own.Go(func() {
				defer s.stats.Active.Add(-1)
				handle(conn.(*net.TCPConn))
			})
		case ctx.Err() != nil:
			return nil
		case !passing(err):
			return err
		default:
			s.stats.AcceptErrors.Add(1)
			if wait == 0 {
				s.config().Log.Warn("cannot accept clients for now", "error", err)
			}
			wait = min(max(2*wait, 5*time.Millisecond), time.Second)
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return nil
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
			s.sessions.each(b, session.cut)
		}
	}
	return next
}
