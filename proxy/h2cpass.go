package proxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"sync"

	"portside/pool"
	"portside/proxy/grpc"
	"portside/proxy/http2"
)

// passBuffers are what responses are read into.
var passBuffers = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// pass passes the response on, piece by piece as it comes.
func (s *stream) pass(resp *http.Response) {
	s.passing = true
	s.body.Settle()
	s.judge(resp)
	h := s.w.Header()
	copyHead(h, resp.Header)
	for name := range resp.Trailer { // announced ones
		h.Add("Trailer", name)
	}
	s.status = resp.StatusCode
	s.w.WriteHeader(resp.StatusCode)
	err := s.passBody(resp)
	if err != nil {
		s.broken(resp, err)
		return
	}
	for name, values := range resp.Trailer {
		if !slices.Contains(h["Trailer"], name) {
			name = http.TrailerPrefix + name
		}
		h[name] = values
	}
	s.conclude(resp)
}

// passBody passes the body on. A response that is known to have none is left to
// end with its head: gRPC calls that Trailers-Only.
func (s *stream) passBody(resp *http.Response) error {
	if s.r.Method == http.MethodHead || resp.StatusCode == http.StatusNotModified {
		return nil // whatever its content-length (RFC 9110 8.6); the client's interest ends with the head
	}
	if resp.ContentLength != 0 {
		if err := s.toClient(nil); err != nil {
			return err
		}
	}
	buf := passBuffers.Get().(*[32 << 10]byte)
	defer passBuffers.Put(buf)
	for {
		n, err := resp.Body.Read(buf[:])
		if n > 0 {
			s.claim.report(pool.Success)
			s.clock.moves()
			if err := s.toClient(buf[:n]); err != nil {
				return err
			}
			s.clock.moves()
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
}

// toClient sends a piece, and whatever there was before it.
func (s *stream) toClient(piece []byte) error {
	ok, err := s.clock.write(func() error {
		if _, err := s.w.Write(piece); err != nil {
			return err
		}
		return http.NewResponseController(s.w).Flush()
	})
	switch {
	case !ok:
		return context.Cause(s.ctx)
	case err != nil:
		return errors.Join(errClientGone, err)
	}
	return nil
}

// judge tells the pool what the head of the response says of its backend. What
// gRPC has to say may be still to come.
func (s *stream) judge(resp *http.Response) {
	now := s.responded
	if whole, ok := s.body.Whole(); ok {
		since := s.since
		if whole.After(since) {
			since = whole
		}
		s.claim.lease.Latency(now.Sub(since), now)
	}
	if code, ok := grpc.Status(resp.Header); ok && s.grpc {
		s.claim.report(outcomeOf(code))
		return
	}
	if o := outcomeOfStatus(resp.StatusCode); o != pool.Success || !s.grpc {
		s.claim.report(o)
	}
}

// outcomeOf is what a call's status says of its backend: that it cannot serve now.
// Other errors are the application's way of answering.
func outcomeOf(c grpc.Code) pool.Outcome {
	if c == grpc.Unavailable {
		return pool.Gateway
	}
	return pool.Success
}

// conclude takes in how the response ended: what gRPC says, and the class to count
// the answer under.
func (s *stream) conclude(resp *http.Response) {
	if s.grpc && resp.StatusCode == http.StatusOK {
		code, ok := grpc.Status(resp.Trailer)
		if !ok {
			code, ok = grpc.Status(resp.Header)
		}
		if ok {
			s.claim.report(outcomeOf(code))
			s.status = code.HTTP()
		}
	}
	s.count()
}

func (s *stream) count() {
	classes := &s.h.stockOf(s.backend()).classes
	if class := s.status / 100; class < len(classes) {
		classes[class].Add(1)
	}
}

// broken ends a response in the middle. gRPC has words for it; for other clients
// the end must not look like a whole one's: net/http resets the stream.
func (s *stream) broken(resp *http.Response, err error) {
	switch broken := s.body.Broken(); {
	case s.r.Context().Err() != nil:
	case broken != nil:
		s.brokenBody(resp, http.StatusBadRequest, broken)
		return
	case http2.TooLarge(err):
		s.brokenBody(resp, http.StatusRequestHeaderFieldsTooLarge, errTooLarge)
		return
	}
	idle := errors.Is(context.Cause(s.ctx), errIdle)
	switch {
	case idle:
		s.fault = "timeout"
	case s.r.Context().Err() != nil:
		s.status = clientLeft
		s.count()
		panic(http.ErrAbortHandler)
	case errors.Is(err, errClientGone):
		s.count()
		panic(http.ErrAbortHandler)
	default:
		s.fault = faultOf(err)
		s.blame(err)
	}
	s.h.stats.Failed.Add(1)
	if !s.grpc || resp.StatusCode != http.StatusOK || errors.Is(err, errClientGone) {
		s.count()
		panic(http.ErrAbortHandler)
	}
	code, text := s.grpcOf(err), "the backend ended the connection in the middle of its response"
	s.status = code.HTTP()
	if idle { // a client that follows something will call again
		code, text, s.status = grpc.Unavailable, "nothing has moved for as long as timeouts.idle", http.StatusGatewayTimeout
	}
	s.count()
	s.endCall(code, text)
}

// brokenBody ends a response whose request turned out to be broken, which is none of the
// backend's doing, and tells of it as HTTP would by status.
func (s *stream) brokenBody(resp *http.Response, status int, why error) {
	s.status, s.fault = status, "bad_request"
	s.count()
	if !s.grpc || resp.StatusCode != http.StatusOK {
		panic(http.ErrAbortHandler)
	}
	s.endCall(grpc.OfHTTP(status), why.Error())
}

// endCall ends a call whose response has begun.
func (s *stream) endCall(code grpc.Code, text string) {
	h := s.w.Header()
	h[http.TrailerPrefix+grpc.StatusField] = []string{code.String()}
	h[http.TrailerPrefix+grpc.MessageField] = []string{grpc.Escape("portside: " + text)}
}
