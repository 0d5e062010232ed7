package proxy

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"portside/pool"
	"portside/proxy/parking"
	"portside/proxy/relay"
	"portside/proxy/socket"
)

// TCP joins each client's connection to one of a backend's.
type TCP struct {
	server
	solo atomic.Pointer[tcpSession] // see tcprest.go
}

// NewTCP returns a TCP service that draws on p.
func NewTCP(p *pool.Pool, cfg Config) *TCP {
	t := &TCP{}
	t.init(p, cfg)
	return t
}

// Serve accepts clients from ln, which must listen on TCP, until ctx ends; then
// it closes ln and lets its clients finish for Config.DrainTimeout. It returns
// when all have ended: how many had to be cut, and an error only if ln failed.
func (t *TCP) Serve(ctx context.Context, ln net.Listener) (cut int64, err error) {
	return t.serve(ctx, ln, t.handle)
}

// tcpSession is one client and the connection made for it.
type tcpSession struct {
	place
	tcp    *TCP
	ctx    context.Context // ends when the service's drain is over
	client socket.Stream
	tried  [MaxAttempts]*pool.Backend
	nTried int
	lease  pool.Lease
	start  time.Time // of the attempt
	judged atomic.Bool

	resting

	mu   sync.Mutex
	conn socket.Stream // to the backend
	to   *pool.Backend
	over bool         // cut
	spot parking.Spot // where it is parked
}

func (t *TCP) handle(ctx context.Context, client socket.Stream) {
	s := &tcpSession{tcp: t, ctx: ctx, client: client}
	t.enter(s)
	r, err := s.join(nil, nil)
	if err != nil {
		s.fail(err)
		return
	}
	s.goOn(r)
}

// join leases one backend after another until one is connected to, and returns
// what the relay has come to. Head is what was read from the client before, last
// why the attempt before failed, if there was one.
func (s *tcpSession) join(head []byte, last error) (relay.Result, error) {
	t, cfg := s.tcp, s.tcp.config()
	for mayTry(s.tried[:], s.nTried, cfg) {
		if err := s.ctx.Err(); err != nil {
			return relay.Result{}, errors.Join(err, last)
		}
		lease, err := t.acquire(s.ctx, clientKey(s.client), s.tried[:s.nTried])
		if err != nil {
			return relay.Result{}, errors.Join(err, last)
		}
		if s.nTried > 0 {
			t.stats.Retries.Add(1)
		}
		s.tried[s.nTried] = lease.Backend()
		s.nTried++
		s.begin(lease)
		r, err := s.attempt(head, cfg)
		if err == nil {
			return r, nil
		}
		s.end()
		if last = err; errors.Is(err, context.Canceled) {
			break
		}
	}
	return relay.Result{}, last
}

// fail ends a session that no backend could serve.
func (s *tcpSession) fail(err error) {
	s.tcp.stats.Failed.Add(1)
	s.tcp.config().Log.Debug("client not served", "client", s.client.RemoteAddr(), "error", err)
	_ = s.client.Close()
	s.tcp.exit(s)
}

// attempt joins the client and the leased backend, and returns what their relay has
// come to. An error means that the client is untouched, and head still to be sent.
func (s *tcpSession) attempt(head []byte, cfg *Config) (r relay.Result, err error) {
	b := s.lease.Backend()
	s.start = time.Now()
	conn, outcome, err := s.tcp.dial(s.ctx, b, cfg.Timeouts.Connect, true)
	if err != nil {
		s.report(outcome)
		return r, err
	}
	s.lease.Latency(time.Since(s.start), s.start)
	if !b.Proven() {
		if err := hold(s.ctx, conn, b); err != nil {
			s.report(endOutcome(err))
			_ = conn.Close()
			return r, err
		}
	}
	if !s.attach(conn, b) {
		_ = conn.Close()
		return r, context.Canceled
	}
	if cfg.CloseOnRemove && b.Left() { // and nobody could cut what was not attached
		_ = conn.Close()
		return r, errBackendLeft
	}
	s.tcp.hint(s.client)
	if s.lease.Trial() {
		// A backend that waits for the client to speak passes by staying.
		var said sync.WaitGroup
		said.Add(1)
		timer := time.AfterFunc(early, func() { s.succeeded(); said.Done() })
		defer func() {
			if !timer.Stop() {
				said.Wait() // what it says is of this attempt
			}
		}()
	}
	return relay.Run(s.client, conn, relay.Config{
		Idle:      cfg.Timeouts.Idle,
		Rest:      tcpRestAfter,
		Brief:     !s.lease.Trial(),
		Crowded:   s.crowded,
		Early:     early,
		FirstByte: s.succeeded,
		Head:      head,
		Counters:  &s.tcp.stats.Bytes,
	}), nil
}

// errBackendLeft is a backend that left the pool while it was being connected to.
var errBackendLeft = errors.New("the backend has left")

// begin starts an attempt with lease, end ends it.
func (s *tcpSession) begin(lease pool.Lease) {
	s.lease = lease
	s.judged.Store(false)
}

func (s *tcpSession) end() {
	s.attach(nil, nil)
	s.lease.Release()
}

// attach says which connection serves the client now; not if it was cut.
func (s *tcpSession) attach(conn socket.Stream, b *pool.Backend) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conn, s.to = conn, b
	return !s.over
}

// report says how the attempt went, once.
func (s *tcpSession) report(o pool.Outcome) {
	if !s.judged.Swap(true) {
		s.lease.Report(o)
	}
}

func (s *tcpSession) succeeded() { s.report(pool.Success) }

// judge reports an attempt that can be repeated no more. A backend that has taken what
// it was sent and then ends its stream without a word may have done what it was asked
// to, as PostgreSQL does with a request to cancel a query. Where it has answered the
// last that was heard of, and serves others now, that is no failure.
func (s *tcpSession) judge(r relay.Result, took time.Duration) {
	switch {
	case r.ToClient > 0, took >= early:
		s.succeeded()
	case r.End == relay.BackendReset:
		s.report(pool.Reset)
	case r.BackendFirst && r.Taken && s.lease.Backend().Proven() && s.lease.Backend().InFlight() > 1:
	case r.BackendFirst:
		s.report(pool.Closed)
	}
}

func (s *tcpSession) backend() *pool.Backend {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.to
}

func (s *tcpSession) liftUserTimeout() {
	s.mu.Lock()
	conn := s.conn
	s.mu.Unlock()
	if conn == nil {
		return
	}
	if raw, err := conn.SyscallConn(); err == nil {
		_ = raw.Control(socket.LiftUserTimeout)
	}
}

// drain leaves a TCP client alone: only it knows when it is done.
func (s *tcpSession) drain() {}

// idle is false: nobody knows whether what is said on a connection is over.
func (s *tcpSession) idle() bool { return false }

func (s *tcpSession) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	parked := s.tcp.lot.Take(s.spot)
	_ = s.client.Close()
	if s.conn != nil {
		_ = s.conn.Close()
	}
	if parked {
		go s.goOn(relay.Result{}) // to its end
	}
}
