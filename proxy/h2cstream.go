package proxy

import (
	"context"
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

	// For whoever advances the stream alone, which is one at a time: see goOn.
	stage stage
	out   http2.Out // what is sent to backends
	claim claim
	trunk *trunk
	c     *http2.ClientStream // the attempt's
	tried [MaxAttempts]*pool.Backend
	n     int       // tried so far
	again int       // how often the attempt was begun anew
	paid  bool      // the budget paid for the attempt under way
	stale bool      // its connection, idle before, turned out to have ended
	spent bool      // an attempt did not count because of that
	fresh time.Time // when that was: what was idle then is not used any more
	last  error     // why the attempt before failed
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
	toChoose stage = iota // a backend is to be chosen, and a connection to it found
	toAsk                 // both are there: the request is to be sent
	toWait                // it is sent, and no response has begun
	toPass                // the response has begun, and is passed on
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
