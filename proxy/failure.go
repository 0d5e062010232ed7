package proxy

import (
	"errors"
	"fmt"
	"net"

	"portside/pool"
	"portside/proxy/http1"
)

// attemptError is why no backend served a request, and how that is told.
type attemptError struct {
	kind string // of X-Portside-Error
	err  error
}

func (e *attemptError) Error() string { return e.kind + ": " + e.err.Error() }
func (e *attemptError) Unwrap() error { return e.err }

// status is what the client is answered.
func (e *attemptError) status() int {
	if e.kind == "overloaded" {
		return 503
	}
	return 502
}

// unreachable is a backend that could not be connected to, or that we had nothing to
// connect to with.
func unreachable(err error) *attemptError {
	if pool.OwnFault(err) {
		return &attemptError{"overloaded", err}
	}
	return &attemptError{"connect_failed", err}
}

// told is how a request that no backend has served is answered.
type told struct {
	status int
	kind   string // of X-Portside-Error
	text   string
}

// tell says how the client is told of err; false: it is not, having left.
func tell(err error) (told, bool) {
	var ae *attemptError
	switch {
	case errors.Is(err, errClientGone):
		return told{}, false
	case errors.Is(err, errHeadSlow): // it has come whole, just behind its limit
		return told{408, "timeout", "The request head did not arrive in time."}, true
	case errors.Is(err, errBodySlow):
		return told{408, "timeout", "The request's body did not arrive in time."}, true
	case errors.Is(err, errNoResponse), errors.Is(err, errIdle):
		return told{504, "timeout", "The backend did not answer in time."}, true
	case errors.Is(err, errDraining):
		return told{503, "draining", "This proxy is stopping, and the backend had not answered in time."}, true
	case errors.Is(err, errTooLarge):
		return told{431, "bad_request", "The request's head is larger than the backend takes."}, true
	case errors.Is(err, pool.ErrSyncing):
		return told{503, "no_backends", "The first list of this service's backends is not in yet."}, true
	case errors.Is(err, pool.ErrEmpty):
		return told{503, "no_backends", "There is no backend for this service now."}, true
	case errors.Is(err, pool.ErrTried):
		return told{502, "connect_failed", "No backend of this service could be reached."}, true
	case errors.As(err, &ae):
		return told{ae.status(), ae.kind, explain(ae)}, true
	}
	return told{502, "connect_failed", err.Error()}, true
}

// failed answers a request that no backend served.
func (s *httpSession) failed(err error) bool {
	if s.ended() || errors.Is(err, errNoResponse) || errors.Is(err, errBodySlow) {
		return s.abort(err)
	}
	s.h.stats.Failed.Add(1)
	t, _ := tell(err)
	return s.answer(t.status, t.kind, t.text)
}

func explain(e *attemptError) string {
	switch e.kind {
	case "connect_failed":
		return "No backend of this service could be reached: " + plainly(e.err)
	case "overloaded":
		return "This proxy cannot make another connection now: " + plainly(e.err)
	case "bad_response":
		var bad *http1.SyntaxError
		switch {
		case errors.As(e.err, &bad) && bad.TooLarge():
			return fmt.Sprintf("The backend's response is more than this proxy takes: %s (64 KiB of head, %d fields, 8 KiB of trailers at most).", bad.Reason, http1.MaxAnswerFields)
		case errors.Is(e.err, errSpeaksHTTP2):
			return "The backend speaks nothing but HTTP/2 with prior knowledge (h2c), and this request came over HTTP/1."
		}
		return "The backend's response is not valid HTTP: " + e.err.Error()
	}
	if errors.Is(e.err, errSpeaksHTTP2) {
		return "The backend ended the connection at a request over HTTP/1; so far it has spoken nothing but HTTP/2 with prior knowledge (h2c)."
	}
	if errors.Is(e.err, net.ErrClosed) { // by ourselves
		return "The backend left this service before it had answered."
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

// faultOf is the kind of what broke a response that had begun.
func faultOf(err error) string {
	var ae *attemptError
	switch {
	case errors.Is(err, errClientGone):
		return ""
	case errors.Is(err, errIdle), errors.Is(err, errNoResponse), errors.Is(err, errBodySlow):
		return "timeout"
	case errors.Is(err, errDraining):
		return "draining"
	case errors.As(err, &ae):
		return ae.kind
	}
	return "reset"
}

// abort ends a request that can be neither answered nor tried again, except that
// a response which never began can still be answered for.
func (s *httpSession) abort(err error) bool {
	if why := s.watch.why(); why != nil {
		err = why
	}
	if s.x.up.lost() == nil && !errors.Is(err, errClientGone) && !errors.Is(err, errBodySlow) && !errors.Is(err, errHeadSlow) {
		s.h.stats.Failed.Add(1)
	}
	if s.x.status != 0 {
		s.x.fault = faultOf(err)
		// Part of a response is out. Its end must not look like a whole one's. Where
		// the framing shows that something is missing the client gets what there was;
		// else, and where it does not read, a reset, and no end of the stream before it.
		s.linger = s.x.resp.Kind != http1.UntilClose && s.x.fault != "" && s.x.fault != "timeout" && s.x.fault != "draining"
		if !s.linger {
			_ = s.client.SetLinger(0)
		}
		return false
	}
	lost := s.x.up.lost()
	var bad *http1.SyntaxError
	switch {
	case errors.As(lost, &bad):
		s.refuse(bad)
		return false
	case lost != nil && errors.Is(err, lost): // the client has left in the middle of its request
		return false
	}
	t, ok := tell(err)
	if !ok {
		return false
	}
	if s.watch.why() == errNoResponse && !s.revive() {
		s.x.closes = true
	}
	again := s.answer(t.status, t.kind, t.text)
	if errors.Is(err, errDraining) {
		s.linger = s.linger && !s.x.up.complete() // there is no time for more
		return false
	}
	return again
}
