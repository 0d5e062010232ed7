package proxy

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"portside/pool"
	"portside/proxy/socket"
)

// HTTP balances the requests of HTTP/1.1 and HTTP/1.0 clients, and of those who
// speak HTTP/2 with prior knowledge (h2c, gRPC), each on its own.
type HTTP struct {
	server
	stocks   sync.Map // *pool.Backend to *stock
	budget   budget
	warden   warden
	draining atomic.Bool
	requests atomic.Int64
	duration Histogram
	h2c      *h2c
}

// NewHTTP returns an HTTP service that draws on p.
func NewHTTP(p *pool.Pool, cfg Config) *HTTP {
	h := &HTTP{}
	h.init(p, cfg)
	h.h2c = newH2C(h)
	h.warden.set(h.config().Timeouts)
	return h
}

// Serve accepts clients from ln, which must listen on TCP, until ctx ends; then
// it closes ln, lets each client finish the request it has begun, for
// Config.DrainTimeout at the most, and returns when all have ended: how many had
// to be cut, and an error only if ln failed.
func (h *HTTP) Serve(ctx context.Context, ln net.Listener) (cut int64, err error) {
	var patrol sync.WaitGroup
	walking, stop := context.WithCancel(context.WithoutCancel(ctx))
	patrol.Go(func() { h.patrol(walking) })
	h.h2c.serving = ctx
	stopTelling := context.AfterFunc(ctx, func() { h.draining.Store(true) })
	defer stopTelling()
	cut, err = h.serve(ctx, ln, h.handle)
	stop()
	patrol.Wait()
	h.h2c.close()
	h.sweepAll(time.Now(), true)
	h.cfgLog().Flush()
	return cut, err
}

// Reconfigure replaces the configuration for what begins from now on.
func (h *HTTP) Reconfigure(cfg Config) {
	former := h.cfgLog()
	h.server.Reconfigure(cfg)
	h.warden.set(h.config().Timeouts)
	if former != h.cfgLog() {
		former.Flush()
	}
}

// BackendLeft tells that b has left the pool: its idle connections are closed,
// and those in use when they have had time to finish.
func (h *HTTP) BackendLeft(b *pool.Backend) {
	h.server.BackendLeft(b)
	if s, ok := h.stocks.Load(b); ok {
		s.(*stock).sweep(time.Now(), true)
	}
	h.h2c.left(b)
}

// handle serves one client's connection.
func (h *HTTP) handle(ctx context.Context, conn socket.Stream) {
	s := &httpSession{h: h, ctx: ctx}
	if err := s.client.Init(conn); err != nil {
		_ = conn.Close()
		h.entering.Done()
		return
	}
	s.onReadable = s.readable
	s.key = clientKey(conn)
	s.watch.enter(phaseIdle, h.warden.tick.Load())
	h.enter(s)
	s.run()
}

// httpSession is one client's connection. Between requests it holds no buffer.
type httpSession struct {
	place
	h        *HTTP
	ctx      context.Context // ends when the service's drain is over
	client   socket.Conn
	watch    watch
	conn     atomic.Pointer[backendConn] // that serves the request now
	h2c      atomic.Pointer[h2cClient]   // what it has become; nil: it speaks HTTP/1
	serving  atomic.Pointer[pool.Backend]
	giveUp   atomic.Pointer[context.CancelFunc] // ends the wait for a backend
	lease    pool.Lease
	x        *exchange // nil while idle
	key      uint64    // of the client; see clientKey
	address  []byte    // of the client, once asked for
	requests int       // it has sent
	trickle
	linger bool // the client may still be sending: let it read our answer first
	idling
}

// enter begins a phase now.
func (s *httpSession) enter(p phase) bool { return s.watch.enter(p, s.h.warden.tick.Load()) }

// idle reports whether the client waits for nothing, or has been ended while it did.
func (s *httpSession) idle() bool {
	if c := s.h2c.Load(); c != nil {
		return c.streams.none()
	}
	p, _ := s.watch.load()
	return p.between() || p >= phaseEnding
}

func (s *httpSession) backend() *pool.Backend { return s.serving.Load() }

// parting is how long a client that has just connected, or been served, is given to
// send a request while the service drains, in ticks: it may be on its way, and is
// answered with word that it is the last.
const parting = 500

// drain ends an idle client at once; one with a request, be it still in the
// kernel's hands, is told to go with its response. The warden calls it again and
// again.
func (s *httpSession) drain() {
	p, since := s.watch.load()
	grace := min(parting, uint64(s.h.config().DrainTimeout/time.Millisecond)/2)
	if !p.idle() || s.h.warden.tick.Load() < since+grace {
		return
	}
	if bytes, err := s.client.Alive(); bytes && err == nil {
		return
	}
	if s.watch.end(p, since, errDraining) {
		s.wake(errDraining)
	}
}

func (s *httpSession) liftUserTimeout() {
	if c := s.conn.Load(); c != nil {
		c.LiftUserTimeout()
	}
}

// cut ends the session. If only its backend has left, it ends what it has with
// that one: the client can still be served by another, or be told.
func (s *httpSession) cut() {
	if giveUp := s.giveUp.Load(); giveUp != nil {
		(*giveUp)()
	}
	over := s.ctx.Err() != nil
	if over {
		s.abandon() // first: what it then meets is not the backend's doing
	}
	if c := s.conn.Load(); c != nil && (over || c.backend.Left()) {
		_ = c.Close()
	}
}

// abandon ends the session at once, but leaves it to close the client's
// connection: a close waits for the callback in which the session may be serving.
func (s *httpSession) abandon() {
	for {
		p, since := s.watch.load()
		switch {
		case p == phaseBusy: // on a connection that another than us reads
			_ = s.client.Close()
			return
		case p < phaseEnding && !s.watch.end(p, since, errDraining):
			continue
		}
		s.wake(errDraining)
		return
	}
}
