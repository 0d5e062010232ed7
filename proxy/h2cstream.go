package proxy

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"portside/pool"
	"portside/proxy/grpc"
	"portside/proxy/http2"
)

// stream is one request of an HTTP/2 client, and its response.
type stream struct {
	h      *HTTP
	cfg    *Config
	client *h2cClient
	w      http.ResponseWriter
	r      *http.Request
	body   *http2.Body // nil: there is none
	grpc   bool

	ctx   context.Context // ends with the client's interest, or a limit of ours, its cause
	end   context.CancelCauseFunc
	clock streamClock

	claim     claim
	trunk     *trunk
	tried     [MaxAttempts]*pool.Backend
	n         int  // tried so far
	paid      bool // the budget paid for the attempt under way
	began     time.Time
	since     time.Time // the attempt under way began
	responded time.Time // it had its response, or none
	passing   bool      // the response is passed on
	status    int       // of the answer, as HTTP says it; zero: none was given
	fault     string    // what went wrong, of the kinds of X-Portside-Error
}

// backend is the one that serves the request, or is asked to.
func (s *stream) backend() *pool.Backend { return s.tried[s.n-1] }

// serve serves one request of c's.
func (q *h2c) serve(c *h2cClient, w http.ResponseWriter, r *http.Request) {
	if !c.streams.enter() {
		panic(http.ErrAbortHandler) // the connection has gone
	}
	defer c.streams.leave()
	s := &stream{h: q.h, cfg: q.h.config(), client: c, w: w, r: r, grpc: grpc.Is(r.Header), began: time.Now()}
	s.ctx, s.end = context.WithCancelCause(r.Context())
	defer s.end(nil)
	defer s.wear()
	// Zero is what net/http says of a stream that ended with its head, too; one that
	// says so itself may have trailers yet.
	if r.ContentLength != 0 || r.Header.Get("Content-Length") == "0" && len(r.Trailer) > 0 {
		s.body = http2.NewBody(r.Body, r.Trailer, s.clock.moves, s.clock.responds)
		defer s.body.End()
	}
	s.clock.start(s)
	defer s.clock.stop()
	s.h.requests.Add(1)
	defer s.observe()
	if r.Method == http.MethodConnect {
		s.answer(501, "bad_request", "CONNECT is not served here.")
		return
	}
	if bad := s.cfg.HTTP.Limits.Refuse(r.Method, r.RequestURI, r.Host, r.Header); bad != nil {
		s.answer(bad.Status, "bad_request", bad.Reason+".")
		return
	}
	if n := r.Header.Get("Content-Length"); s.body == nil && n != "" && n != "0" {
		s.answer(400, "bad_request", "A content-length without content (RFC 9113 8.1.1).")
		return
	}
	resp, err := s.send()
	if err != nil {
		s.failed(err)
		return
	}
	defer s.claim.end()
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode < 200 || resp.StatusCode > 999 {
		s.claim.report(pool.Malformed)
		s.h.stats.Failed.Add(1)
		s.answer(502, "bad_response", "The backend's response has no valid status.")
		return
	}
	s.pass(resp)
}

// wear notes on its connection a stream that was given up when its response had begun.
func (s *stream) wear() {
	if s.passing && s.ctx.Err() != nil {
		s.trunk.givenUp.Add(1)
	}
}

// send has the request answered by one backend or, as long as that is safe,
// another. The lease of the one that answered is then the stream's.
func (s *stream) send() (*http.Response, error) {
	var last error
	for {
		lease, err := s.h.acquire(s.ctx, s.client.key, s.tried[:s.n])
		if err != nil {
			if last != nil {
				if s.paid {
					s.h.budget.giveBack()
				}
				err = last
			}
			return nil, err
		}
		if last != nil {
			s.h.stats.Retries.Add(1)
		}
		s.since = time.Now()
		s.claim.begin(lease)
		s.tried[s.n] = lease.Backend()
		s.n++
		resp, how, err := s.attempt()
		if err == nil {
			return resp, nil
		}
		s.claim.end()
		if !s.mayRetry(how) {
			return nil, err
		}
		last = err
	}
}

// transparent is how often one attempt may go to another connection of the same
// backend because the one it was given took no new streams.
const transparent = 3

// attempt sends the request to the leased backend and waits for the head of its
// response.
func (s *stream) attempt() (*http.Response, proof, error) {
	b := s.backend()
	trunks := s.h.h2c.trunksTo(b)
	s.claim.report(trunks.learn())
	for again := 0; ; again++ {
		c, outcome, err := trunks.take(s.ctx, s.client)
		if err != nil {
			s.claim.report(outcome)
			return nil, notSent, unreachable(err)
		}
		s.trunk = c
		s.claim.connected(s.grpc, s.cfg.Timeouts.Response)
		ctx, end := context.WithCancelCause(s.ctx) // if there is a response, until all is over
		s.clock.begins(end, c.link)
		var sent atomic.Bool
		hints := &interim{s: s}
		resp, err := c.RoundTrip(s.request(ctx, b, &sent, hints))
		s.responded = time.Now()
		if err == nil && !s.clock.passes() {
			_ = resp.Body.Close()
			err = errNoResponse
		}
		hints.end()
		if err == nil {
			return resp, served, nil
		}
		s.clock.fails()
		slow := errors.Is(context.Cause(ctx), errNoResponse)
		if ctx.Err() != nil {
			c.givenUp.Add(1)
		}
		end(nil)
		if broken := s.body.Broken(); broken != nil {
			return nil, unknown, broken
		}
		switch {
		case slow:
			s.claim.report(pool.NoResponse)
			return nil, unknown, errNoResponse
		case http2.TooLarge(err):
			return nil, unknown, errTooLarge
		case http2.Calmed(err) && s.weighty():
			return nil, unknown, errTooLarge // so it seems; others may think otherwise
		}
		// What a connection that is going (GOAWAY) did not take is not the
		// backend's refusal: it may take it on another one.
		untaken := !sent.Load() || http2.WentAway(err)
		if untaken && again < transparent && s.ctx.Err() == nil && s.body.Replayable() {
			continue
		}
		if !untaken && s.stalls() {
			return nil, unknown, errBodySlow
		}
		how := s.blame(err)
		if untaken {
			how = notSent
		}
		return nil, how, &attemptError{"reset", err}
	}
}

// stalls reports whether the client is waited for, and has been for so long that the
// backend, if it ends now, may just have had enough of it.
func (s *stream) stalls() bool {
	since, awaited := s.body.Awaited()
	return awaited && !s.grpc && time.Since(since) > patience
}

// errTooLarge is a request whose head is larger than its backend takes.
var errTooLarge = errors.New("the backend takes no head of this size")

// largeHead is the size from which on a head is large for a server: of one field, nginx
// took no more than 4 KiB by default for long, and takes 8 KiB now.
const largeHead = 4 << 10

// weighty reports whether the request's head is likely to be why its backend asks for
// calm.
func (s *stream) weighty() bool {
	size := len(s.r.RequestURI)
	for name, values := range s.r.Header {
		for _, v := range values {
			size += len(name) + len(v)
		}
	}
	return size >= largeHead
}

// blame tells the pool what it means that no response came, and returns what that
// proves.
func (s *stream) blame(err error) proof {
	if s.ctx.Err() != nil {
		return unknown
	}
	code, reset := http2.Reset(err)
	switch {
	case s.backend().Left():
	case reset && code == http2.RefusedStream: // RFC 9113 8.7: it was not processed
		s.claim.report(pool.Gateway)
		return refused
	case reset && code == http2.Cancel: // gRPC's servers do so at a call's deadline
	case reset:
		s.claim.report(pool.Reset)
	case http2.WentAway(err), http2.EndedInOrder(err), s.claim.judged(), s.trunk.blamed.Swap(true):
	default:
		s.claim.report(pool.Reset)
	}
	return unknown
}

// mayRetry reports whether the request may be tried on another backend after an
// attempt that failed with that proof (RFC 9110 9.2.2).
func (s *stream) mayRetry(how proof) bool {
	switch {
	case how == served, !mayTry(s.tried[:], s.n, s.cfg), s.ctx.Err() != nil, !s.body.Replayable(), s.body.Broken() != nil:
		return false
	case how == unknown && !s.repeatable():
		return false
	}
	affords, paid := s.h.affords(how, s.cfg)
	s.paid = paid
	return affords
}

// repeatable reports whether the request may be acted upon twice.
func (s *stream) repeatable() bool {
	switch s.r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return true
	}
	return s.r.Header.Get("Idempotency-Key") != "" || s.r.Header.Get("X-Idempotency-Key") != ""
}
