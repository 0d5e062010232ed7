package proxy

import (
	"context"
	"errors"
	"time"

	"portside/pool"
)

// connect acquires a backend that was not tried and a connection to it. What it
// fails to reach it has reported; it then tries others. Last is why the attempt
// before failed, if there was one.
func (s *httpSession) connect(cfg *Config, last error) (*backendConn, error) {
	x := s.x
	for {
		lease, err := s.acquire()
		if err != nil {
			if last != nil {
				if x.paid {
					s.h.budget.giveBack()
				}
				err = last
			}
			return nil, err
		}
		if last != nil {
			s.h.stats.Retries.Add(1)
			x.since = time.Now()
		}
		x.stale = nil
		s.lease = lease
		b := lease.Backend()
		s.serving.Store(b)
		x.tried[x.nTry] = b
		x.nTry++
		stock := s.h.stockOf(b)
		var c *backendConn
		if !x.fresh {
			c = stock.take(s.once(), x.since)
		}
		if c == nil {
			c, err = s.dial(b, stock, cfg.Timeouts.Connect)
		}
		if err == nil {
			s.conn.Store(c)
			if cfg.CloseOnRemove && b.Left() { // and nobody could cut what was not there
				_ = c.Close()
			}
			return c, nil
		}
		s.finish()
		last = unreachable(err)
		if s.ended() || !s.mayRetry(notSent, cfg) {
			return nil, last
		}
	}
}

// finish ends the attempt's claim on its backend.
func (s *httpSession) finish() {
	s.conn.Store(nil)
	s.serving.Store(nil)
	s.lease.Release()
}

// acquire leases a backend that was not tried; while no list is in, it waits.
func (s *httpSession) acquire() (pool.Lease, error) {
	x := s.x
	lease, err := s.h.pool.Acquire(s.key, x.tried[:x.nTry])
	if err == nil || !errors.Is(err, pool.ErrSyncing) {
		return lease, err
	}
	ctx, end := s.waiting()
	defer end()
	return s.h.acquire(ctx, s.key, x.tried[:x.nTry])
}

// once reports whether what is about to be sent cannot be sent again, because of what
// it asks for or because there is more of it than is kept.
func (s *httpSession) once() bool { return !s.repeatable() || !s.x.up.repeatable() }

// inVain is how long a connection was waited for that the client gave up, for that
// to be the backend's fault: else one that hangs would never be found out by clients
// who are less patient than we are. A connection takes a round trip, and the first
// segment is sent again after a second.
const inVain = 100 * time.Millisecond

// dial makes a new connection to b.
func (s *httpSession) dial(b *pool.Backend, stock *stock, timeout time.Duration) (*backendConn, error) {
	ctx, end := s.waiting()
	defer end()
	began := time.Now()
	conn, outcome, err := s.h.dial(ctx, b, timeout, false)
	if err != nil {
		if outcome == pool.Unknown && time.Since(began) > inVain && s.watch.why() == errClientGone {
			outcome = pool.Timeout
		}
		s.lease.Report(outcome)
		return nil, err
	}
	if !b.Proven() && s.once() {
		// What cannot be sent twice is not sent to one that ends at once.
		if err := hold(ctx, conn, b); err != nil {
			s.lease.Report(endOutcome(err))
			_ = conn.Close()
			return nil, err
		}
	}
	c := &backendConn{backend: b, stock: stock}
	if err := c.Init(conn); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return c, nil
}

// waiting begins a wait for a backend: its context ends with the service, when
// the client leaves, or by end.
func (s *httpSession) waiting() (_ context.Context, end func()) {
	ctx, cancel := context.WithCancel(s.ctx)
	s.giveUp.Store(&cancel)
	if !s.enter(phaseConnect) {
		cancel()
	}
	return ctx, func() {
		s.giveUp.Store(nil)
		cancel()
	}
}
