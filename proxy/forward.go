package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"time"

	"portside/pool"
	"portside/proxy/http1"
)

// Why an attempt failed, and so whether another backend may be tried.
type proof uint8

const (
	notSent proof = iota // nothing of the request has reached the backend
	unknown              // some may have; it may have been acted upon
	served               // the response has begun: too late
)

// proxy serves the parsed request of x. It reports whether another may follow on
// the client's connection.
func (s *httpSession) proxy() (again bool) {
	cfg := s.h.config()
	if !s.prepare(cfg) {
		return false
	}
	var last error
	for {
		c, err := s.connect(cfg)
		if err != nil {
			if errors.Is(err, pool.ErrTried) && last != nil {
				err = last
			}
			return s.failed(err)
		}
		var how proof
		how, again, err = s.attempt(c, cfg)
		s.finish()
		if err == nil {
			return again
		}
		if how == served || s.ended() || s.x.up.lost() != nil {
			return s.abort(err)
		}
		if !s.mayRetry(how, cfg) {
			return s.failed(err)
		}
		last = err
		s.h.stats.Retries.Add(1)
	}
}

// prepare builds what is sent to whichever backend it will be: the head, and
// what has come of the body.
func (s *httpSession) prepare(cfg *Config) bool {
	x := s.x
	if x.req.Host == nil {
		// An HTTP/1.0 client that named none: ours is the only one it can mean.
		x.req.Host = []byte(s.client.LocalAddr().String())
	}
	s.mend(cfg.HTTP.Forwarded)
	x.out = x.req.AppendHead(x.out[:0])
	x.out = s.appendForwarded(x.out, cfg.HTTP.Forwarded)
	if upgrades(&x.req) {
		x.out = append(x.out, "Connection: Upgrade\r\n"...)
		x.out = http1.AppendField(x.out, "Upgrade", x.req.Upgrade)
	}
	x.out = http1.AppendEnd(x.out)
	x.up.reset(x.req.Framing)
	if err := x.up.takeBuffered(x); err != nil {
		s.refuse(err)
		return false
	}
	x.closes = !x.req.KeepAlive || s.h.draining.Load()
	return true
}

// upgrades reports whether r asks for another protocol that we can pass through.
// An upgrade to HTTP/2 would be a tunnel for requests that nobody has looked at.
func upgrades(r *http1.Request) bool {
	return r.Upgrade != nil && r.Empty() && !http1.Is(r.Upgrade, "h2c")
}

// connect acquires a backend that was not tried and a connection to it. What it
// fails to reach it has reported; it then tries others.
func (s *httpSession) connect(cfg *Config) (*backendConn, error) {
	x := s.x
	var last error
	for {
		if x.nTry == len(x.tried) {
			return nil, errors.Join(pool.ErrTried, last)
		}
		lease, err := s.h.acquire(s.ctx, clientKey(s.client.TCPConn), x.tried[:x.nTry])
		if err != nil {
			if errors.Is(err, pool.ErrTried) && last != nil {
				err = last
			}
			return nil, err
		}
		s.lease = lease
		b := lease.Backend()
		s.serving.Store(b)
		x.tried[x.nTry] = b
		x.nTry++
		stock := s.h.stockOf(b)
		if c := stock.take(!x.req.MethodID.Idempotent(), x.began); c != nil {
			s.conn.Store(c)
			return c, nil
		}
		s.enter(phaseBusy)
		c, err := s.h.dial(s.ctx, b, stock, cfg.Timeouts.Connect, &s.lease)
		if err == nil {
			s.conn.Store(c)
			return c, nil
		}
		s.finish()
		last = &attemptError{"connect_failed", err}
		if !s.mayRetry(notSent, cfg) {
			return nil, last
		}
		s.h.stats.Retries.Add(1)
	}
}

// dial makes a new connection to b.
func (h *HTTP) dial(ctx context.Context, b *pool.Backend, stock *stock, timeout time.Duration, lease *pool.Lease) (*backendConn, error) {
	conn, outcome, err := dial(ctx, b, timeout)
	if err != nil {
		lease.Report(outcome)
		return nil, err
	}
	c := &backendConn{backend: b, stock: stock}
	if err := c.Init(conn); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return c, nil
}

// finish ends the attempt's claim on its backend.
func (s *httpSession) finish() {
	s.conn.Store(nil)
	s.serving.Store(nil)
	s.lease.Release()
}

// ended reports whether the warden has ended the session.
func (s *httpSession) ended() bool {
	p, _ := s.watch.load()
	return p == phaseEnded
}

// mayRetry reports whether the request may be tried on another backend after an
// attempt that failed with that proof (RFC 9110 9.2.2).
func (s *httpSession) mayRetry(how proof, cfg *Config) bool {
	x := s.x
	switch {
	case x.nTry >= cfg.Retry.Attempts, !x.up.replayable(), s.ctx.Err() != nil:
		return false
	case how == unknown && !x.req.MethodID.Idempotent() && !x.req.Has(http1.IdempotencyKey) && !x.req.Has(http1.XIdempotencyKey):
		return false
	case s.h.pool.FailingOpen():
		return false
	}
	if !s.h.budget.take(cfg.Retry.Budget, s.h.requests.Load(), s.h.now()) {
		s.h.stats.RetriesDenied.Add(1)
		return false
	}
	return true
}

// attemptError is why no backend served a request, and how that is told.
type attemptError struct {
	kind string // of X-Portside-Error
	err  error
}

func (e *attemptError) Error() string { return e.kind + ": " + e.err.Error() }
func (e *attemptError) Unwrap() error { return e.err }

// attempt sends the request on c and passes the response on.
func (s *httpSession) attempt(c *backendConn, cfg *Config) (how proof, again bool, err error) {
	x := s.x
	keep := false
	defer func() {
		s.conn.Store(nil)
		if !keep || !x.up.complete() || !s.enter(phaseBusy) {
			_ = c.Close()
			return
		}
		c.stock.put(c, cfg.HTTP.MaxIdle, s.h.now())
	}()
	x.br, x.bw = headRoom, headRoom
	if !s.enter(phaseBody) {
		return notSent, false, s.watch.why
	}
	if n, err := c.Write(x.out); err != nil {
		return s.broken(c, n == 0, err)
	}
	s.h.stats.Bytes.ToBackend.Add(int64(len(x.out)))
	if err := x.up.begin(s, c); err != nil {
		return s.broken(c, false, err)
	}
	defer x.up.stop()
	if !s.enter(phaseResponse) {
		return unknown, false, s.watch.why
	}
	for {
		if err := s.readResponse(c); err != nil {
			return s.noResponse(c, err)
		}
		if !x.resp.Interim() {
			break
		}
		if err := s.passInterim(); err != nil {
			return served, false, err
		}
	}
	s.judge(c)
	if x.resp.Status == 101 {
		return served, false, s.tunnel(c, cfg)
	}
	keep, err = s.passResponse(c)
	if !x.up.complete() {
		s.linger = true
		x.closes = true
	}
	return served, err == nil && !x.closes, err
}

// broken says what a failed write of the head proves. On a connection that had
// been idle it says nothing about the backend.
func (s *httpSession) broken(c *backendConn, nothing bool, err error) (proof, bool, error) {
	if s.ended() {
		return unknown, false, s.watch.why
	}
	if !c.reused {
		s.lease.Report(pool.Reset)
	} else {
		s.forgive(c)
	}
	how := unknown
	if nothing {
		how = notSent
	}
	return how, false, &attemptError{"reset", err}
}

// forgive lets a backend be tried again whose idle connection had gone stale, if
// there is no other.
func (s *httpSession) forgive(c *backendConn) {
	x := s.x
	c.stock.learn(s.h.now().Sub(c.since))
	if x.forgiven || s.h.pool.Others(x.tried[:x.nTry]) {
		return
	}
	x.forgiven = true
	x.nTry--
	c.stock.sweep(s.h.now(), true)
}

// readResponse reads and parses a response head.
func (s *httpSession) readResponse(c *backendConn) error {
	x := s.x
	for {
		if x.bw > x.br {
			n, err := x.resp.Parse(x.back[x.br:x.bw], x.req.MethodID, http1.Limits{})
			if err == nil {
				x.br += n
				return nil
			}
			if err != http1.ErrIncomplete {
				return err
			}
		}
		if x.bw == len(x.back) {
			bigger := make([]byte, headRoom+4*(len(x.back)-headRoom)+1)
			x.bw = headRoom + copy(bigger[headRoom:], x.back[x.br:x.bw])
			x.br, x.back = headRoom, bigger
		}
		n, err := c.Read(x.back[x.bw:])
		if err != nil {
			x.resp.Reset()
			return err
		}
		x.bw += n
	}
}

// noResponse says what the lack of a response proves, and whom to blame.
func (s *httpSession) noResponse(c *backendConn, err error) (proof, bool, error) {
	x := s.x
	if s.ended() {
		if s.watch.why == errNoResponse {
			s.lease.Report(pool.NoResponse)
		}
		return unknown, false, s.watch.why
	}
	if lost := x.up.lost(); lost != nil {
		return unknown, false, lost
	}
	var bad *http1.SyntaxError
	if errors.As(err, &bad) {
		s.lease.Report(pool.Malformed)
		return served, false, &attemptError{"bad_response", err}
	}
	began := x.bw > x.br
	switch {
	case c.reused && !began:
		s.forgive(c)
	case err == io.EOF:
		s.lease.Report(pool.Closed)
	default:
		s.lease.Report(pool.Reset)
	}
	return unknown, false, &attemptError{"reset", err}
}

// judge tells the pool what the response says of its backend.
func (s *httpSession) judge(c *backendConn) {
	x := s.x
	now := s.h.now()
	s.lease.Latency(now.Sub(x.began), now)
	switch status := x.resp.Status; {
	case status >= 502 && status <= 504:
		s.lease.Report(pool.Gateway)
	case status >= 500:
		s.lease.Report(pool.ServerError)
	default:
		s.lease.Report(pool.Success)
	}
	c.stock.classes[x.resp.Status/100].Add(1)
	if x.resp.Idle > 0 {
		c.stock.expect(x.resp.Idle)
	}
}

// failed answers a request that no backend served.
func (s *httpSession) failed(err error) bool {
	s.h.stats.Failed.Add(1)
	var ae *attemptError
	switch {
	case errors.Is(err, pool.ErrEmpty), errors.Is(err, pool.ErrSyncing):
		return s.answer(503, "no_backends", "There is no backend for this service now.")
	case errors.Is(err, pool.ErrTried):
		return s.answer(502, "connect_failed", "No backend of this service could be reached.")
	case errors.As(err, &ae):
		return s.answer(502, ae.kind, explain(ae))
	}
	return s.answer(502, "connect_failed", err.Error())
}

func explain(e *attemptError) string {
	switch e.kind {
	case "connect_failed":
		return "No backend of this service could be reached: " + plainly(e.err)
	case "bad_response":
		return "The backend's response is not valid HTTP: " + e.err.Error()
	}
	return "The backend ended the connection before it had answered."
}

func plainly(err error) string {
	var oe *net.OpError
	if errors.As(err, &oe) {
		return oe.Err.Error()
	}
	return err.Error()
}

// abort ends a request that can be neither answered nor tried again, except that
// a response which never began can still be answered for.
func (s *httpSession) abort(err error) bool {
	s.h.stats.Failed.Add(1)
	if s.x == nil || s.x.status != 0 {
		// Part of a response is out. Its end must not look like a whole one's.
		_ = s.client.SetLinger(0)
		return false
	}
	var ae *attemptError
	var bad *http1.SyntaxError
	switch {
	case errors.As(s.x.up.lost(), &bad):
		s.refuse(bad)
		return false
	case s.ended() && s.watch.why == errNoResponse:
		return s.answer(504, "timeout", "The backend did not answer in time.")
	case errors.As(err, &ae):
		return s.answer(502, ae.kind, explain(ae))
	}
	return false
}
