package proxy

import (
	"errors"
	"io"
	"net"
	"time"

	"portside/pool"
	"portside/proxy/http1"
	"portside/proxy/http2"
)

// attempt serves the request on c, and sees to what remains of both.
func (s *httpSession) attempt(c *backendConn, cfg *Config) (how proof, again bool, err error) {
	x := s.x
	keep, how, err := s.converse(c, cfg)
	if s.x == nil {
		return how, false, err // it became a tunnel: x is somebody else's by now
	}
	x.up.stop()
	if how == served && !x.up.complete() {
		// What is left of the request has to be thrown away.
		s.linger, x.closes = true, true
	}
	s.conn.Store(nil)
	if keep && x.up.delivered && x.up.complete() && s.enter(phaseBusy) {
		c.stock.put(c, cfg.HTTP.MaxIdle, time.Now())
	} else {
		_ = c.Close()
	}
	return how, err == nil && !x.closes, err
}

// maxInterim is how many 1xx responses may come before the final one. A job that
// says 102 every few seconds needs many; nobody needs a flood.
const maxInterim = 1000

var errInterim = errors.New("too many interim responses")

// converse sends the request on c and passes the response on. It reports whether
// c can carry another request, as far as the response goes.
func (s *httpSession) converse(c *backendConn, cfg *Config) (keep bool, how proof, err error) {
	x := s.x
	x.br, x.bw = headRoom, headRoom
	if how, err = s.send(c); err != nil {
		return false, how, err
	}
	began := s.h.warden.tick.Load()
	for interim := 0; ; interim++ {
		if !s.watch.enter(phaseResponse, began) {
			return false, unknown, s.watch.why()
		}
		if err := s.readResponse(c); err != nil {
			how, err = s.noResponse(c, err)
			return false, how, err
		}
		if !x.resp.Interim() {
			break
		}
		if interim == maxInterim {
			s.lease.Report(pool.Malformed)
			return false, served, &attemptError{"bad_response", errInterim}
		}
		if err := s.passInterim(); err != nil {
			return false, served, err
		}
		if x.resp.Status == 102 { // to be given more time is what it is for
			began = s.h.warden.tick.Load()
		}
	}
	// Before it counts as what the client is told: the limit may have passed just now.
	if !s.enter(phaseBody) {
		how, err = s.givenUp()
		return false, how, err
	}
	s.judge(c)
	if x.resp.Status == 101 {
		return false, served, s.tunnel(c, cfg)
	}
	closes := x.closes
	keep, err = s.passResponse(c)
	if err != nil && x.status == 0 {
		x.closes = closes // nothing of it has reached the client
		return false, unknown, err
	}
	return keep, served, err
}

// send sends the request on c. If nothing is left of it to be read from the
// client, it also waits for the first of the response.
func (s *httpSession) send(c *backendConn) (proof, error) {
	x := s.x
	if x.up.ready() {
		return s.ask(c)
	}
	if !s.enter(phaseBody) {
		return notSent, s.watch.why()
	}
	n, err := c.Write(x.out)
	s.h.stats.Bytes.ToBackend.Add(int64(n))
	if err == nil {
		err = x.up.begin(s, c)
	}
	if err != nil {
		return s.broken(c, n == 0, err)
	}
	return unknown, nil
}

// ask sends a request that is whole, and reads the first of the response.
func (s *httpSession) ask(c *backendConn) (proof, error) {
	x := s.x
	x.up.delivered = false
	if !s.enter(phaseResponse) {
		return notSent, s.watch.why()
	}
	sent, n, err := c.Ask(x.out, x.back[x.bw:])
	s.h.stats.Bytes.ToBackend.Add(int64(sent))
	x.bw += n
	switch {
	case err == nil:
		x.up.delivered = true
	case sent < len(x.out):
		return s.broken(c, sent == 0, err)
	default:
		x.resp.Reset()
		return s.noResponse(c, err)
	}
	return unknown, nil
}

// broken says what a failed write of the head proves. On a connection that had
// been idle it says nothing about the backend.
func (s *httpSession) broken(c *backendConn, nothing bool, err error) (proof, error) {
	if s.ended() {
		return unknown, s.watch.why()
	}
	how := unknown
	if nothing {
		how = notSent
	}
	return how, s.unanswered(c, pool.Reset, err)
}

// unanswered is what to say of a connection that ended before the first of a response;
// blame has its backend blamed. One that has spoken HTTP/2 and never HTTP/1 may know
// nothing of the latter, as net/http with UnencryptedHTTP2 alone: it says so by ending.
func (s *httpSession) unanswered(c *backendConn, o pool.Outcome, err error) error {
	if s.h.h2c.spoke(c.backend) && !c.stock.answers.Load() && !errors.Is(err, net.ErrClosed) {
		s.h.hints.say(s.h.config().Log, hintHTTP1)
		return &attemptError{"reset", errSpeaksHTTP2}
	}
	s.blame(c, o, err)
	return &attemptError{"reset", err}
}

// blame reports o, unless c had been idle and may have gone stale, or was cut by
// ourselves.
func (s *httpSession) blame(c *backendConn, o pool.Outcome, err error) {
	switch {
	case errors.Is(err, net.ErrClosed):
	case c.uses > 0:
		c.stock.learn(time.Since(c.since), c.uses == 1)
		s.x.stale, s.x.fresh = c.stock, true
	default:
		s.lease.Report(o)
	}
}

// forgivable reports whether the attempt just made does not count, nor its backend as
// tried: its idle connection had gone stale, which says nothing about it, and there is
// no other backend, or no other attempt.
func (s *httpSession) forgivable(cfg *Config) bool {
	x := s.x
	if x.stale == nil || x.forgiven || cfg.Retry.Budget < 0 {
		return false
	}
	return !mayTry(x.tried[:], x.nTry, cfg) || !s.h.pool.Others(x.tried[:x.nTry])
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
		if x.bw == len(x.back) && x.br > headRoom { // what is before it has been used
			x.bw = headRoom + copy(x.back[headRoom:], x.back[x.br:x.bw])
			x.br = headRoom
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
func (s *httpSession) noResponse(c *backendConn, err error) (proof, error) {
	x := s.x
	if s.ended() {
		if s.watch.why() == errNoResponse {
			c.overlooked()
		}
		return s.givenUp()
	}
	if lost := x.up.lost(); lost != nil {
		return unknown, lost
	}
	var bad *http1.SyntaxError
	if errors.As(err, &bad) {
		return s.malformed(c.backend, bad)
	}
	if s.stalls() {
		return unknown, errBodySlow
	}
	o := pool.Reset
	if err == io.EOF {
		o = pool.Closed
	}
	if x.bw == x.br {
		return unknown, s.unanswered(c, o, err)
	}
	c.uses = 0 // it was alive: what it ended, it ended in the middle
	s.blame(c, o, err)
	return unknown, &attemptError{"reset", err}
}

// givenUp says what it proves that the session has been ended before there was a
// response, and whom to blame.
func (s *httpSession) givenUp() (proof, error) {
	why := s.watch.why()
	if why == errNoResponse {
		s.lease.Report(pool.NoResponse)
	}
	return unknown, why
}

// malformed says what it proves that what came is no response, and whom to blame.
func (s *httpSession) malformed(b *pool.Backend, err *http1.SyntaxError) (proof, error) {
	x := s.x
	if http2.Greets(x.back[x.br:x.bw]) {
		// It knows nothing of the request, which is no preface. Clients with the wrong
		// protocol must not have it set aside where it serves others well.
		s.h.hints.say(s.h.config().Log, hintHTTP1)
		if !s.h.h2c.spoke(b) {
			s.lease.Report(pool.Malformed)
		}
		return refused, &attemptError{"bad_response", errSpeaksHTTP2}
	}
	if err.TooLarge() { // which is a limit of ours: others would answer the same
		return served, &attemptError{"bad_response", err}
	}
	s.lease.Report(pool.Malformed)
	return unknown, &attemptError{"bad_response", err} // of which nothing has reached the client
}

// errSpeaksHTTP2 is a backend that was asked over HTTP/1 and greets as HTTP/2 has it, or
// ends without a word where it has spoken nothing but HTTP/2.
var errSpeaksHTTP2 = errors.New("it speaks HTTP/2 with prior knowledge (h2c), not HTTP/1")

// patience is for how long a client sends nothing of its upload before the end of a
// backend that has had all there is may be its answer to that.
const patience = time.Second / 2

// stalls reports whether the client is waited for, and has been for so long that the
// backend, if it ends now, may just have had enough of it: nginx ends a connection then
// without a word.
func (s *httpSession) stalls() bool {
	_, since := s.watch.load()
	moved := s.watch.moved.Load()
	if s.watch.upload.Load() != forClient || s.x.req.Has(http1.Expect) && moved <= since {
		return false // or waits, itself, for the backend to say 100
	}
	return s.h.warden.tick.Load() > max(since, moved)+uint64(patience/time.Millisecond)
}

// judge takes in what the head of the response says of its backend. That it has
// succeeded, the body has to show; see begins and ends.
func (s *httpSession) judge(c *backendConn) {
	x := s.x
	now := time.Now()
	s.latency(now)
	c.stock.answered()
	if o := outcomeOfStatus(x.resp.Status); o != pool.Success {
		s.lease.Report(o)
	}
	c.bare = x.resp.Kind == http1.None
	if c.uses > 0 {
		c.stock.lasted()
	}
	if x.resp.Idle > 0 {
		c.stock.expect(x.resp.Idle)
	}
}

// outcomeOfStatus is what an answer's status says of its backend. One that does not know
// a method (501) or a version (505) is well: it says so of what the client sent.
func outcomeOfStatus(status int) pool.Outcome {
	switch {
	case status >= 502 && status <= 504:
		return pool.Gateway
	case status >= 500 && status != 501 && status != 505:
		return pool.ServerError
	}
	return pool.Success
}

// latency tells the pool how long the backend took to answer what it had been
// sent. How long the client took to send it is none of its doing.
func (s *httpSession) latency(now time.Time) {
	x := s.x
	since := x.since
	if x.up.running {
		if !x.up.finished.Load() {
			return
		}
		since = x.up.at
	}
	s.lease.Latency(now.Sub(since), now)
}
