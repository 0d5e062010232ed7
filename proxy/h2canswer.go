package proxy

import (
	"errors"
	"strconv"
	"time"

	"portside/proxy/grpc"
	"portside/proxy/http2"
)

// answer is a response of our own. A gRPC client gets it as a status with a
// message, which is all that it would look at.
func (s *stream) answer(status int, kind, text string) {
	s.status, s.fault = status, kind
	s.h.stats.answer(status)
	text = "portside: " + text
	if s.grpc {
		s.answerCall(grpc.OfHTTP(status), text)
		return
	}
	text += "\n"
	fields := []http2.Field{
		{Name: ":status", Value: strconv.Itoa(status)},
		{Name: "date", Value: time.Now().UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")},
		{Name: "content-type", Value: "text/plain; charset=utf-8"},
		{Name: "cache-control", Value: "no-store"},
		{Name: "x-portside-error", Value: kind},
	}
	if status == 503 {
		fields = append(fields, http2.Field{Name: "retry-after", Value: "1"})
	}
	if s.Method == "HEAD" {
		text = ""
	}
	s.Answer(http2.Block(nil, fields), text)
}

// answerCall ends a gRPC call with its head.
func (s *stream) answerCall(code grpc.Code, text string) {
	s.Answer(http2.Block(nil, []http2.Field{
		{Name: ":status", Value: "200"},
		{Name: "content-type", Value: "application/grpc"},
		{Name: "x-portside-error", Value: s.fault},
		{Name: grpc.StatusField, Value: code.String()},
		{Name: grpc.MessageField, Value: grpc.Escape(text)},
	}), "")
}

// failed answers a request that no backend served, if there is somebody to answer.
func (s *stream) failed(err error) {
	over := s.ended()
	if errors.Is(over, errClientGone) {
		return
	}
	if s.grpc && http2.Cancelled(err) {
		s.cancelled()
		return
	}
	if over != nil { // a limit of ours: how the attempt then failed says nothing
		err = over
	}
	if errors.Is(err, http2.ErrBody) {
		s.answer(400, "bad_request", err.Error()+".")
		return
	}
	if !errors.Is(err, errBodySlow) {
		s.h.stats.Failed.Add(1)
	}
	if _, reset := http2.Reset(err); s.grpc && (reset || http2.Calmed(err)) {
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
	s.status, s.fault = code.HTTP(), "reset"
	s.h.stats.answer(s.status)
	s.answerCall(code, "portside: the backend reset the call before it had answered")
}

// overtime reports whether the call's deadline has passed.
func (s *stream) overtime() bool {
	return s.timeout > 0 && time.Since(s.began) >= s.timeout
}

// grpcOf is [grpc.OfError], but a call that was cancelled after its deadline is
// DEADLINE_EXCEEDED.
func (s *stream) grpcOf(err error) grpc.Code {
	if http2.Cancelled(err) && s.overtime() {
		return grpc.DeadlineExceeded
	}
	return grpc.OfError(err)
}

// observe takes in that the request is over.
func (s *stream) observe() {
	took := time.Since(s.began)
	if s.status == 0 {
		s.status = clientLeft
		s.h.stats.answer(clientLeft)
	}
	if s.status != clientLeft {
		s.h.duration.Observe(took)
	}
	log := s.h.cfgLog()
	if !log.wants(s.status) {
		return
	}
	e := line{
		client: []byte(s.client.address), method: []byte(s.Method), path: []byte(s.Path), host: []byte(s.Authority),
		major: 2, status: s.status, fault: s.fault, tries: s.n, began: s.began, took: took,
	}
	if s.n > 0 {
		e.backend = s.tried[s.n-1].Address()
	}
	log.add(&e)
}
