package proxy

import (
	"context"
	"errors"
	"io"
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
type TCP struct{ server }

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

// early is how soon after connecting an end without a byte is a backend's fault.
const early = time.Second

// A backend that has not answered lately is given a moment to show that it ends
// what it accepts, before the client's first bytes, which may be sent only once,
// go to it: a short moment for one that is new, a longer one if it has failed.
const (
	newcomerHold = 2 * time.Millisecond
	doubtfulHold = 25 * time.Millisecond
)

// tcpSession is one client and the connection made for it.
type tcpSession struct {
	tcp    *TCP
	client socket.Stream
	lease  pool.Lease
	judged atomic.Bool

	mu   sync.Mutex
	conn socket.Stream // to the backend
	to   *pool.Backend
	over bool // cut

	// See tcprest.go.
	rested *relay.Rested // nil until the session rests for the first time
	spot   parking.Spot  // where it is parked, or was; mu guards it
}

func (t *TCP) handle(ctx context.Context, client socket.Stream) {
	s := &tcpSession{tcp: t, client: client}
	if !t.sessions.add(s) {
		_ = client.Close()
		return
	}
	err := t.join(ctx, s)
	if s.rested != nil {
		// Whoever started this goroutine takes its end for the client's.
		t.stats.Active.Add(1)
		s.rest()
		return
	}
	defer t.sessions.remove(s)
	if err != nil {
		t.stats.Failed.Add(1)
		t.config().Log.Debug("client not served", "client", client.RemoteAddr(), "error", err)
		_ = client.Close()
	}
}

// join tries one backend after another until one has served the client.
func (t *TCP) join(ctx context.Context, s *tcpSession) error {
	cfg := t.config()
	var tried [8]*pool.Backend
	n := 0
	var head []byte
	var last error
	for mayTry(tried[:], n, cfg) {
		lease, err := t.acquire(ctx, clientKey(s.client), tried[:n])
		if err != nil {
			return errors.Join(err, last)
		}
		if n > 0 {
			t.stats.Retries.Add(1)
		}
		tried[n] = lease.Backend()
		n++
		s.begin(lease)
		head, last = t.attempt(ctx, s, head, cfg)
		if s.rested != nil {
			return nil
		}
		s.end()
		if last == nil || ctx.Err() != nil || errors.Is(last, context.Canceled) {
			return last
		}
	}
	return last
}

// mayTry reports whether one more backend may be tried after the first n of
// tried. One that left on being tried, as a suspect does that refuses, was no
// attempt on the service: after a mass departure half of a pool may be such.
func mayTry(tried []*pool.Backend, n int, cfg *Config) bool {
	attempts := 0
	for _, b := range tried[:n] {
		if !b.Left() {
			attempts++
		}
	}
	return n < len(tried) && attempts < cfg.Retry.Attempts
}

// acquire takes a backend; while no list is in, it waits for one, as long as one
// attempt to connect may take.
func (s *server) acquire(ctx context.Context, key uint64, tried []*pool.Backend) (pool.Lease, error) {
	lease, err := s.pool.Acquire(key, tried)
	if !errors.Is(err, pool.ErrSyncing) {
		return lease, err
	}
	timer := time.NewTimer(s.config().Timeouts.Connect)
	defer timer.Stop()
	select {
	case <-s.pool.Synced():
	case <-timer.C:
	case <-ctx.Done():
	}
	return s.pool.Acquire(key, tried)
}

// attempt serves the client with the leased backend, starting with head. An
// error means that the client is untouched and another backend may be tried,
// with the head returned.
func (t *TCP) attempt(ctx context.Context, s *tcpSession, head []byte, cfg *Config) ([]byte, error) {
	b := s.lease.Backend()
	start := time.Now()
	conn, outcome, err := dial(ctx, b, cfg.Timeouts.Connect)
	if err != nil {
		s.report(outcome)
		return head, err
	}
	s.lease.Latency(time.Since(start), start)
	if !b.Proven() {
		if err := hold(conn, b); err != nil {
			s.report(endOutcome(err))
			_ = conn.Close()
			return head, err
		}
	}
	if !s.attach(conn, b) {
		_ = conn.Close()
		return nil, context.Canceled
	}
	t.hint(s.client)
	if s.lease.Trial() {
		// A backend that waits for the client to speak passes by staying.
		timer := time.AfterFunc(early, s.succeeded)
		defer timer.Stop()
	}
	r := relay.Run(s.client, conn, relay.Config{
		Idle:      cfg.Timeouts.Idle,
		Rest:      tcpRestAfter,
		Early:     early,
		FirstByte: s.succeeded,
		Head:      head,
		Counters:  &t.stats.Bytes,
	})
	switch r.End {
	case relay.Early:
		s.report(endOutcome(r.Err))
		return r.Unsent, r.Err
	case relay.Resting:
		// It has answered, or has not ended for so long.
		s.succeeded()
		s.rested = r.Rested
		return nil, nil
	}
	s.judge(r, time.Since(start))
	return nil, nil
}

// hold waits a moment for c, to a backend that is not proven, to show that it
// has ended already.
func hold(c socket.Stream, b *pool.Backend) error {
	wait := newcomerHold
	if b.Doubtful() {
		wait = doubtfulHold
	}
	err := peek(c, wait)
	if isTimeout(err) {
		return nil
	}
	return err
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// endOutcome says what an end before the first byte was.
func endOutcome(err error) pool.Outcome {
	if err == nil || errors.Is(err, io.EOF) {
		return pool.Closed
	}
	return pool.Reset
}

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

// judge reports an attempt that can be repeated no more.
func (s *tcpSession) judge(r relay.Result, took time.Duration) {
	switch {
	case r.ToClient > 0, took >= early:
		s.succeeded()
	case r.End == relay.BackendReset:
		s.report(pool.Reset)
	case r.BackendFirst:
		s.report(pool.Closed)
	}
}

func (s *tcpSession) backend() *pool.Backend {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.to
}

// drain leaves a TCP client alone: only it knows when it is done.
func (s *tcpSession) drain() {}

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
		go s.goOn(true) // to its end
	}
}

// clientKey is equal for connections of one client host.
func clientKey(c net.Conn) uint64 {
	a := socket.Peer(c).Addr()
	if !a.IsValid() {
		return 0
	}
	key := uint64(14695981039346656037) // FNV-1a
	for _, x := range a.As16() {
		key = (key ^ uint64(x)) * 1099511628211
	}
	return key
}
