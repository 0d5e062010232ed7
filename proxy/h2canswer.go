package proxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"
)

func (c grpcCode) text() string { return strconv.Itoa(int(c)) }

// answer is a response of our own. A gRPC client gets it as a status with a
// message, which is all that it would look at.
func (s *stream) answer(status int, kind, text string) {
	s.status, s.fault = status, kind
	s.h.stats.answered[status/100].Add(1)
	text = "portside: " + text
	h := s.w.Header()
	h.Set("X-Portside-Error", kind)
	if s.grpc {
		s.answerCall(grpcFor(status), text)
		return
	}
	text += "\n"
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	if status == http.StatusServiceUnavailable {
		h.Set("Retry-After", "1")
	}
	s.w.WriteHeader(status)
	if s.r.Method != http.MethodHead {
		_, _ = io.WriteString(s.w, text)
	}
}

// answerCall ends a gRPC call with its head.
func (s *stream) answerCall(code grpcCode, text string) {
	h := s.w.Header()
	h.Set("Content-Type", "application/grpc")
	h["Content-Length"] = nil
	h.Set(grpcStatusField, code.text())
	h.Set(grpcMessageField, grpcEscape(text))
	s.w.WriteHeader(http.StatusOK)
}

// grpcFor is the gRPC status of what we say as HTTP.
func grpcFor(status int) grpcCode {
	switch status {
	case http.StatusGatewayTimeout, http.StatusRequestTimeout:
		return grpcDeadlineExceeded
	case http.StatusBadRequest:
		return grpcInternal // as gRPC maps HTTP's (doc/http-grpc-status-mapping.md)
	case http.StatusRequestURITooLong, http.StatusRequestHeaderFieldsTooLarge:
		return grpcResourceExhausted // to be told from an outage, and not to be tried again
	case http.StatusNotImplemented:
		return grpcUnimplemented
	case clientLeft:
		return grpcCancelled
	}
	return grpcUnavailable
}

// failed answers a request that no backend served, if there is somebody to answer.
func (s *stream) failed(err error) {
	if s.r.Context().Err() != nil {
		s.status = clientLeft
		return
	}
	if s.grpc && isCancel(err) {
		s.cancelled()
		return
	}
	if cause := context.Cause(s.ctx); cause != nil { // a limit of ours: how the attempt then failed says nothing
		err = cause
	}
	if errors.Is(err, errBody) {
		s.answer(400, "bad_request", err.Error()+".")
		return
	}
	if !errors.Is(err, errBodySlow) {
		s.h.stats.Failed.Add(1)
	}
	if _, reset := resetCode(err); reset && s.grpc {
		s.wasReset(err)
		return
	}
	if t, ok := tell(err); ok {
		s.answer(t.status, t.kind, t.text)
	}
}

// cancelled answers a call that the backend has cancelled, as its servers do when
// the call's deadline has passed: their clocks may be ahead of the client's, who is
// to be told of the deadline and not of a failure.
func (s *stream) cancelled() {
	if s.overtime() {
		s.answer(504, "timeout", "The call's deadline has passed.")
		return
	}
	s.answer(clientLeft, "reset", "The backend cancelled the call.")
}

// wasReset answers a call whose stream the backend has reset with the status that its
// code means: UNAVAILABLE would have the client make the call again, which the
// backend may have acted upon.
func (s *stream) wasReset(err error) {
	code := s.grpcOf(err)
	s.status, s.fault = code.http(), "reset"
	s.h.stats.answered[s.status/100].Add(1)
	s.w.Header().Set("X-Portside-Error", s.fault)
	s.answerCall(code, "portside: the backend reset the call before it had answered")
}

// overtime reports whether the call's deadline has passed.
func (s *stream) overtime() bool {
	d := grpcTimeout(s.r.Header)
	return d > 0 && time.Since(s.began) >= d
}

// grpcOf is like the function grpcOf, but a call that was cancelled after its deadline
// is DEADLINE_EXCEEDED.
func (s *stream) grpcOf(err error) grpcCode {
	if isCancel(err) && s.overtime() {
		return grpcDeadlineExceeded
	}
	return grpcOf(err)
}

// observe takes in that the request is over.
func (s *stream) observe() {
	took := time.Since(s.began)
	if s.status == 0 {
		s.status = clientLeft
	}
	if s.status != clientLeft {
		s.h.duration.Observe(took)
	}
	log := s.h.cfgLog()
	if !log.wants(s.status) {
		return
	}
	e := line{
		client: []byte(s.client.address), method: []byte(s.r.Method), path: pathOf(s.r.URL), host: []byte(s.r.Host),
		major: 2, status: s.status, fault: s.fault, tries: s.n, began: s.began, took: took,
	}
	if s.n > 0 {
		e.backend = s.tried[s.n-1].Address()
	}
	log.add(&e)
}
