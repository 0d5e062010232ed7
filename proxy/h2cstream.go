package proxy

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"portside/pool"
	"portside/proxy/grpc"
	"portside/proxy/http2"
)

// stream is one request of an HTTP/2 client, and its response. It has no goroutine: each
// time that there is news, whoever brings it takes the stream as far as it comes without
// waiting.
type stream struct {
	h      *HTTP
	cfg    *Config
	client *h2cClient
	*http2.ServerStream
	grpc       bool
	timeout    time.Duration // of the call; zero: it has none
	repeatable bool          // the request may be acted upon twice

	news     atomic.Int64  // that came since somebody began to take the stream on; zero: nobody does
	moved    atomic.Uint64 // the tick at which bytes last moved
	interims atomic.Int64

	// Of who takes the stream on.
	stage stage
	out   http2.Out // what is sent to backends
	claim claim
	trunk *trunk
	c     *http2.ClientStream // the attempt's
	tried [MaxAttempts]*pool.Backend
	n     int   // tried so far
	again int   // how often the attempt was begun anew
	paid  bool  // the budget paid for the attempt under way
	last  error // why the attempt before failed
	passage

	began     time.Time
	since     time.Time // the attempt under way began
	responded time.Time // it had its response
	status    int       // of the answer, as HTTP says it; zero: none was given
	fault     string    // what went wrong, of the kinds of X-Portside-Error

	mu     sync.Mutex
	over   error              // why the stream is to end; nil: it goes on
	giveUp context.CancelFunc // ends a wait that does not hear of news
	clock  responseClock
}

// stage is how far a stream has come.
type stage uint8

const (
	toChoose stage = iota // a backend, and a connection to it
	toAsk                 // it is found: the request is to be sent
	toWait                // for the response
	toPass                // it on
	over
)

// backend is the one that serves the request, or is asked to.
func (s *stream) backend() *pool.Backend { return s.tried[s.n-1] }

// accept takes in a request of c's.
func (q *h2c) accept(c *h2cClient, st *http2.ServerStream, by *http2.Batch) {
	s := &stream{h: q.h, cfg: q.h.config(), client: c, ServerStream: st, began: time.Now()}
	s.grpc = grpc.Is(st.Get("content-type"))
	s.timeout = grpc.Timeout(st.Get(grpc.TimeoutField))
	s.repeatable = repeatable(&st.Request)
	s.Moved()
	if !c.streams.enter(maxServed) {
		st.Refuse(http2.EnhanceYourCalm)
		return
	}
	s.news.Store(1)
	st.Own(s)
	s.h.requests.Add(1)
	if s.valid() {
		s.out = s.request()
		if st.Request.Get("expect") != "" && !st.Request.Ended {
			st.Interim(http2.Block(nil, []http2.Field{{Name: ":status", Value: "100"}}), by)
		}
	} else {
		s.finish(by)
	}
	s.goOn(by)
}

// News has the stream go on, unless somebody does already: then that one looks once more.
func (s *stream) News(by *http2.Batch) {
	if s.news.Add(1) == 1 {
		s.goOn(by)
	}
}

// goOn takes the stream as far as it comes. The caller has seen to it that nobody else does.
func (s *stream) goOn(by *http2.Batch) {
	for {
		seen := s.news.Load()
		if !s.steps(by) {
			return
		}
		if s.news.CompareAndSwap(seen, 0) {
			return
		}
	}
}

// steps takes steps until there is nothing to do but wait. It reports false if from now
// on a goroutine of its own goes on.
func (s *stream) steps(by *http2.Batch) (mine bool) {
	for {
		before := s.stage
		switch s.stage {
		case toChoose:
			mine = s.choose(by)
		case toAsk:
			mine = s.ask(by)
		case toWait:
			mine = s.answered(by)
		case toPass:
			s.pass(by)
			mine = true
		case over:
			return true
		}
		if !mine {
			return false
		}
		if s.stage == before && (before == toWait || before == toPass) {
			return true
		}
	}
}

// apart goes on with wait, which may have to, on a goroutine of its own.
func (s *stream) apart(wait func(ctx context.Context)) {
	s.h.h2c.own.Go(func() {
		ctx, end := s.waiting()
		wait(ctx)
		end()
		s.goOn(nil)
	})
}

// finish ends the stream: it is answered, or nobody is there to be.
func (s *stream) finish(by *http2.Batch) {
	s.stage = over
	if s.c != nil {
		if n := len(s.rest); n > 0 {
			s.c.GiveBack(n, by)
		}
		s.c.Close(by)
		s.c = nil
		s.claim.end()
	}
	s.observe()
	if b := s.out.Block; b != nil {
		s.out.Block = nil
		putBlock(b)
	}
	s.Finish(by)
	s.client.streams.leave()
}

// Moved takes in that bytes have moved.
func (s *stream) Moved() { s.moved.Store(s.h.warden.tick.Load()) }

// Gone takes in that the client has left.
func (s *stream) Gone(by *http2.Batch) { s.end(errClientGone, by) }

// end ends the stream, if it goes on.
func (s *stream) end(why error, by *http2.Batch) {
	s.mu.Lock()
	if s.over != nil {
		s.mu.Unlock()
		return
	}
	s.over = why
	if s.giveUp != nil {
		s.giveUp()
	}
	s.mu.Unlock()
	s.News(by)
}

// ended is why the stream is to end; nil: it goes on.
func (s *stream) ended() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.over
}

// waiting is for what waits: its context ends with the stream.
func (s *stream) waiting() (_ context.Context, end func()) {
	ctx, cancel := context.WithCancel(s.h.h2c.ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.giveUp = cancel; s.over != nil {
		cancel()
	}
	return ctx, func() {
		s.mu.Lock()
		s.giveUp = nil
		s.mu.Unlock()
		cancel()
	}
}

// valid reports whether the request can be served; else it is answered.
func (s *stream) valid() bool {
	if s.Method == "CONNECT" {
		s.answer(501, "bad_request", "CONNECT is not served here.")
		return false
	}
	if s.Large {
		s.answer(431, "bad_request", "The request's head is larger than it may be.")
		return false
	}
	if bad := s.cfg.HTTP.Limits.Refuse(s.Method, s.Path, s.Authority, s.values); bad != nil {
		s.answer(bad.Status, "bad_request", bad.Reason+".")
		return false
	}
	if s.Bad != "" {
		s.answer(400, "bad_request", s.Bad+" (RFC 9113 8.2, 8.3).")
		return false
	}
	if broken := s.Body.Broken(); broken != nil {
		s.failed(broken)
		return false
	}
	return true
}

// values are those of the request's fields.
func (s *stream) values(yield func(string) bool) {
	for i := range s.Fields {
		if s.Fields[i].Name != "host" && !yield(s.Fields[i].Value) {
			return
		}
	}
}

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
	s.again = 0
	if !lease.Trial() { // which is judged by itself
		s.claim.report(s.h.h2c.trunksTo(s.backend()).learn())
	}
	return true
}

// join takes a connection to the leased backend if there is one. Otherwise it reports
// false: one is made.
func (s *stream) join() (mine bool) {
	if t := s.h.h2c.trunksTo(s.backend()).ready(s.client); t != nil {
		s.trunk, s.stage = t, toAsk
		return true
	}
	s.apart(s.connect)
	return false
}

// connect waits for a connection to the leased backend.
func (s *stream) connect(ctx context.Context) {
	t, outcome, err := s.h.h2c.trunksTo(s.backend()).take(ctx, s.client)
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
	switch {
	case how == served, !mayTry(s.tried[:], s.n, s.cfg), s.ended() != nil, !s.Body.Replayable(), s.Body.Broken() != nil:
		return false
	case how == unknown && !s.repeatable:
		return false
	}
	affords, paid := s.h.affords(how, s.cfg)
	s.paid = paid
	return affords
}

// repeatable reports whether a request may be acted upon twice.
func repeatable(r *http2.Request) bool {
	switch r.Method {
	case "GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE":
		return true
	}
	return http2.Has(r.Fields, "idempotency-key") || http2.Has(r.Fields, "x-idempotency-key")
}
