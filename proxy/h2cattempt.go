package proxy

import (
	"context"
	"errors"
	"net"
	"time"

	"portside/pool"
	"portside/proxy/http2"
)

// choose leases a backend that was not tried, and finds a connection to it.
func (s *stream) choose(by *http2.Batch) (mine bool) {
	lease, err := s.h.pool.Acquire(s.client.key, s.tried[:s.n])
	if errors.Is(err, pool.ErrSyncing) { // no list is in
		s.apart(func(ctx context.Context) {
			if lease, err := s.h.acquire(ctx, s.client.key, s.tried[:s.n]); s.leased(lease, err, nil) {
				s.connect(ctx)
			}
		})
		return false
	}
	if !s.leased(lease, err, by) {
		return true
	}
	return s.join()
}

// leased takes in that the stream has been leased a backend, or why it has not: then it
// is over.
func (s *stream) leased(lease pool.Lease, err error, by *http2.Batch) bool {
	if err != nil {
		if s.last != nil {
			if s.paid {
				s.h.budget.giveBack()
			}
			err = s.last
		}
		s.failed(err)
		s.finish(by)
		return false
	}
	if s.last != nil {
		s.h.stats.Retries.Add(1)
	}
	s.since = time.Now()
	s.claim.begin(lease)
	s.tried[s.n] = lease.Backend()
	s.n++
	s.again, s.stale = 0, false
	if !lease.Trial() { // which is judged by itself
		s.claim.report(s.h.h2c.trunksTo(s.backend()).learn())
	}
	return true
}

// join takes a connection to the leased backend if there is one. Otherwise it reports
// false: one is made.
func (s *stream) join() (mine bool) {
	if t := s.h.h2c.trunksTo(s.backend()).ready(s.client, s.fresh); t != nil {
		s.trunk, s.stage = t, toAsk
		return true
	}
	s.apart(s.connect)
	return false
}

// connect waits for a connection to the leased backend.
func (s *stream) connect(ctx context.Context) {
	t, outcome, err := s.h.h2c.trunksTo(s.backend()).take(ctx, s.client, s.fresh)
	if err != nil {
		s.claim.report(outcome)
		s.lost(notSent, unreachable(err), nil)
		return
	}
	s.trunk, s.stage = t, toAsk
}

// ask sends the request.
func (s *stream) ask(by *http2.Batch) (mine bool) {
	s.claim.connected(s.grpc, s.cfg.Timeouts.Response)
	s.begins()
	s.stage = toWait
	c, err := s.trunk.Open(s.out, s, by)
	if err != nil {
		return s.fails(err, by)
	}
	s.c = c
	return true
}

// answered looks whether there is a response, or will be none.
func (s *stream) answered(by *http2.Batch) (mine bool) {
	resp, err := s.c.Head()
	if err == nil && resp != nil && s.passes() {
		s.responded = time.Now()
		s.stage = toPass
		s.head(resp)
		return true
	}
	if err == nil {
		err = s.ended()
	}
	if err == nil && s.slow() {
		err = errNoResponse
	}
	if err == nil {
		err = s.Body.Broken()
	}
	if err == nil {
		return true
	}
	s.c.Close(by)
	s.c = nil
	return s.fails(err, by)
}

// transparent is how often one attempt may go to another connection of the same
// backend because the one it was given took no new streams.
const transparent = 3

// fails takes in why the attempt had no response, and has the stream tried once more, or
// answered.
func (s *stream) fails(err error, by *http2.Batch) (mine bool) {
	if s.ended() != nil || errors.Is(err, errNoResponse) {
		s.trunk.givenUp.Add(1)
	}
	if broken := s.Body.Broken(); broken != nil {
		s.lost(unknown, broken, by)
		return true
	}
	switch {
	case errors.Is(err, errNoResponse):
		s.claim.report(pool.NoResponse)
		s.lost(unknown, errNoResponse, by)
		return true
	case errors.Is(err, http2.ErrTooLarge), http2.Calmed(err) && s.weighty():
		// So it seems; others may think otherwise.
		s.lost(unknown, errTooLarge, by)
		return true
	}
	// What a connection that is going (GOAWAY) did not take is not the
	// backend's refusal: it may take it on another one.
	untaken := http2.Untaken(err)
	if untaken && s.again < transparent && s.ended() == nil && s.Body.Replayable() {
		s.again++
		return s.join()
	}
	if !untaken && s.stalls() {
		s.lost(unknown, errBodySlow, by)
		return true
	}
	how := s.blame(err)
	if untaken {
		how = notSent
	}
	kind := "reset"
	if http2.Malformed(err) || errors.Is(err, errInterim) {
		kind = "bad_response"
	}
	s.lost(how, &attemptError{kind, err}, by)
	return true
}

// lost has another backend tried, as long as that is safe; else the stream is over.
func (s *stream) lost(how proof, err error, by *http2.Batch) {
	s.claim.end()
	if s.mayRetry(how) {
		s.last, s.stage = err, toChoose
		return
	}
	s.failed(err)
	s.finish(by)
}

// Interim passes a 1xx response on, such as 103 (RFC 8297).
func (s *stream) Interim(r *http2.Response, by *http2.Batch) error {
	if s.interims.Add(1) > maxInterim {
		return errInterim
	}
	s.Moved()
	if r.Status == 102 {
		s.prolongs()
	}
	if r.Status > 101 { // 100 is between us and the backend
		s.ServerStream.Interim(appendResponse(nil, r), by)
	}
	return nil
}

// stalls reports whether the client is waited for, and has been for so long that the
// backend, if it ends now, may just have had enough of it.
func (s *stream) stalls() bool {
	since, awaited := s.Body.Awaited()
	return awaited && !s.grpc && time.Since(since) > patience
}

// errTooLarge is a request whose head is larger than its backend takes.
var errTooLarge = errors.New("the backend takes no head of this size")

// largeHead is the size from which on a head is large for a server: of one field, nginx
// took no more than 4 KiB by default for long, and takes 8 KiB now.
const largeHead = 4 << 10

// weighty reports whether the request's head is likely to be why its backend asks for
// calm.
func (s *stream) weighty() bool { return len(s.out.Block) >= largeHead }

// blame tells the pool what it means that no response came, and returns what that
// proves.
func (s *stream) blame(err error) proof {
	if s.ended() != nil {
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
	case s.trunk.Unheard() && !http2.Malformed(err) && !errors.Is(err, net.ErrClosed):
		s.stale, s.fresh = true, time.Now() // which says nothing about the backend
	case http2.Untaken(err), http2.EndedInOrder(err), s.claim.judged(), s.trunk.blamed.Swap(true):
	case http2.Malformed(err), errors.Is(err, errInterim):
		s.claim.report(pool.Malformed)
	default:
		s.claim.report(pool.Reset)
	}
	return unknown
}

// mayRetry reports whether the request may be tried on another backend after an
// attempt that failed with that proof (RFC 9110 9.2.2).
func (s *stream) mayRetry(how proof) bool {
	forgive, tries := s.forgivable(), s.n
	if forgive {
		tries--
	}
	switch {
	case how == served, !mayTry(s.tried[:], tries, s.cfg), s.ended() != nil, !s.Body.Replayable(), s.Body.Broken() != nil:
		return false
	case how == unknown && !s.repeatable:
		return false
	}
	affords, paid := s.h.affords(how, s.cfg)
	s.paid = paid
	if affords && forgive {
		s.spent = true
		s.n--
	}
	return affords
}

// forgivable is as [httpSession.forgivable].
func (s *stream) forgivable() bool {
	if !s.stale || s.spent || s.cfg.Retry.Budget < 0 {
		return false
	}
	return !mayTry(s.tried[:], s.n, s.cfg) || !s.h.pool.Others(s.tried[:s.n])
}

// repeatable reports whether a request may be acted upon twice.
func repeatable(r *http2.Request) bool {
	switch r.Method {
	case "GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE":
		return true
	}
	return http2.Has(r.Fields, "idempotency-key") || http2.Has(r.Fields, "x-idempotency-key")
}
