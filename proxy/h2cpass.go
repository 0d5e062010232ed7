package proxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"portside/pool"
)

// passBuffers are what responses are read into.
var passBuffers = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// pass passes the response on, piece by piece as it comes.
func (s *stream) pass(resp *http.Response) {
	s.clock.passes()
	s.body.settle()
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
	rc := http.NewResponseController(s.w)
	if resp.ContentLength != 0 {
		if err := rc.Flush(); err != nil {
			return errors.Join(errClientGone, err)
		}
	}
	buf := passBuffers.Get().(*[32 << 10]byte)
	defer passBuffers.Put(buf)
	for {
		n, err := resp.Body.Read(buf[:])
		if n > 0 {
			s.claim.report(pool.Success)
			s.clock.moves()
			if _, err := s.w.Write(buf[:n]); err != nil {
				return errors.Join(errClientGone, err)
			}
			if err := rc.Flush(); err != nil {
				return errors.Join(errClientGone, err)
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

// judge tells the pool what the head of the response says of its backend. What
// gRPC has to say may be still to come.
func (s *stream) judge(resp *http.Response) {
	now := time.Now()
	if whole, ok := s.body.whole(); ok {
		since := s.since
		if whole.After(since) {
			since = whole
		}
		s.claim.lease.Latency(now.Sub(since), now)
	}
	if code, ok := grpcStatus(resp.Header); ok && s.grpc {
		s.claim.report(code.outcome())
		return
	}
	switch status := resp.StatusCode; {
	case status >= 502 && status <= 504:
		s.claim.report(pool.Gateway)
	case status >= 500:
		s.claim.report(pool.ServerError)
	case !s.grpc:
		s.claim.report(pool.Success)
	}
}

// conclude takes in how the response ended: what gRPC says, and the class to count
// the answer under.
func (s *stream) conclude(resp *http.Response) {
	if s.grpc && resp.StatusCode == http.StatusOK {
		code, ok := grpcStatus(resp.Trailer)
		if !ok {
			code, ok = grpcStatus(resp.Header)
		}
		if ok {
			s.claim.report(code.outcome())
			s.status = code.http()
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
	cause := context.Cause(s.ctx)
	switch {
	case errors.Is(cause, errIdle), errors.Is(cause, errBodySlow), s.r.Context().Err() != nil, errors.Is(err, errClientGone):
		if s.r.Context().Err() != nil {
			s.status = clientLeft
		}
		s.count()
		panic(http.ErrAbortHandler)
	}
	s.h.stats.Failed.Add(1)
	s.fault = faultOf(err)
	s.blame(err)
	if !s.grpc || resp.StatusCode != http.StatusOK {
		s.count()
		panic(http.ErrAbortHandler)
	}
	code := s.grpcOf(err)
	s.status = code.http()
	s.count()
	h := s.w.Header()
	h[http.TrailerPrefix+grpcStatusField] = []string{code.text()}
	h[http.TrailerPrefix+grpcMessageField] = []string{grpcEscape("portside: the backend ended the connection in the middle of its response")}
}
