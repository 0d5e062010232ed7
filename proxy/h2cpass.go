package proxy

import (
	"errors"
	"time"

	"portside/pool"
	"portside/proxy/grpc"
	"portside/proxy/http2"
)

// passage is how far the response has been passed on.
type passage struct {
	resp     *http2.Response
	rest     []byte // of its body, what was taken and is to be put down
	buf      []byte // to be given for what is taken next
	headed   bool   // its head is put down
	ends     bool   // with rest the response ends
	trailers []http2.Field
}

// head begins to pass a response on.
func (s *stream) head(resp *http2.Response) {
	s.resp = resp
	s.Moved()
	s.Body.Settle()
	s.judge(resp)
	s.status = resp.Status
	if !s.grpc && !resp.Ended {
		s.claim.goesOn()
	}
}

// pass passes the response on, as far as it has come and the client takes it.
func (s *stream) pass(by *http2.Batch) {
	over, err := s.passOn(by)
	s.Flush(by)
	switch {
	case err != nil:
		s.broken(s.resp, err)
		s.finish(by)
	case over:
		s.conclude(s.resp, s.trailers)
		s.finish(by)
	}
}

// passOn is pass, and reports whether the response is over, or broken.
func (s *stream) passOn(by *http2.Batch) (over bool, err error) {
	if !s.headed {
		s.headed = true
		// A response that is known to have no body is left to end with its head: gRPC calls
		// that Trailers-Only. The client's interest in a HEAD ends there, too.
		end := s.resp.Ended || s.out.Mute || s.resp.Status == 304
		block := appendResponse(getBlock(), s.resp)
		err := s.Head(block, end)
		putBlock(block)
		switch {
		case err != nil:
			return false, errClientGone
		case end:
			return true, nil
		}
	}
	for {
		if len(s.rest) > 0 || s.ends {
			if all, err := s.toClient(by); err != nil || !all {
				return false, err
			}
			if s.ends {
				return true, nil
			}
		}
		data, ended, trailers, err := s.c.Take(s.buf)
		if len(data) > 0 {
			s.Moved()
			if time.Since(s.responded) > early { // it may go on for hours
				s.claim.report(pool.Success)
			}
		}
		s.buf, s.rest, s.ends = data, data, ended && len(trailers) == 0
		switch {
		case len(data) > 0, s.ends: // what is behind it is taken with the next
			continue
		case ended:
			s.trailers = trailers
			block := http2.Block(getBlock(), trailers)
			err := s.Trail(block)
			putBlock(block)
			if err != nil {
				return false, errClientGone
			}
			return true, nil
		case err != nil:
			return false, err
		}
		if over := s.ended(); over != nil {
			return false, over
		}
		return false, s.Body.Broken()
	}
}

// toClient puts down what was taken of the body, and reports whether that is all.
func (s *stream) toClient(by *http2.Batch) (all bool, err error) {
	n, all, err := s.Put(s.rest, s.ends)
	if n > 0 {
		s.c.GiveBack(n, by)
		s.Moved()
		s.rest = s.rest[n:]
	}
	switch {
	case err != nil:
		return false, errClientGone
	case all:
		return true, nil
	}
	return false, s.ended()
}

// judge tells the pool what the head of the response says of its backend, if that is
// nothing good: a response is good when it is whole.
func (s *stream) judge(resp *http2.Response) {
	if whole, ok := s.Body.Whole(); ok {
		s.claim.lease.Latency(s.responded.Sub(later(s.since, whole)), s.responded)
	}
	if o := outcomeOfStatus(resp.Status); o != pool.Success {
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
func (s *stream) conclude(resp *http2.Response, trailers []http2.Field) {
	if s.grpc && resp.Status == 200 {
		code, ok := grpc.Status(http2.Get(trailers, grpc.StatusField))
		if !ok {
			code, ok = grpc.Status(http2.Get(resp.Fields, grpc.StatusField))
		}
		if ok {
			s.claim.report(outcomeOf(code))
			s.status = code.HTTP()
		}
	}
	s.claim.report(pool.Success)
	s.count()
}

func (s *stream) count() {
	classes := &s.h.stockOf(s.backend()).classes
	if class := s.status / 100; class < len(classes) {
		classes[class].Add(1)
	}
}

// broken ends a response in the middle. gRPC has words for it; for other clients
// the end must not look like a whole one's: the stream is reset.
func (s *stream) broken(resp *http2.Response, err error) {
	over := s.ended()
	if over != nil {
		s.trunk.givenUp.Add(1)
	}
	broken := s.Body.Broken()
	if over != nil || broken != nil || errors.Is(err, errClientGone) || errors.Is(err, http2.ErrTooLarge) {
		s.spare()
	} else {
		s.cut(err)
	}
	switch {
	case errors.Is(over, errClientGone), errors.Is(err, errClientGone):
		s.count()
		return
	case broken != nil:
		s.brokenBody(resp, 400, broken)
		return
	case errors.Is(err, http2.ErrTooLarge):
		s.brokenBody(resp, 431, errTooLarge)
		return
	}
	s.fault = faultOf(err)
	s.h.stats.Failed.Add(1)
	if !s.grpc || resp.Status != 200 {
		s.count()
		s.Reset(http2.InternalError)
		return
	}
	code, text := s.grpcOf(err), "the backend ended the connection in the middle of its response"
	s.status = code.HTTP()
	if errors.Is(over, errIdle) { // a client that follows something will call again
		code, text, s.status = grpc.Unavailable, "nothing has moved for as long as timeouts.idle", 504
	}
	s.count()
	s.endCall(code, text)
}

// spare tells the pool that the response was ended by somebody else than its backend,
// which did well as far as it went. Of a call nobody knows.
func (s *stream) spare() {
	if !s.grpc {
		s.claim.report(pool.Success)
	}
}

// cut tells the pool what it means that the backend has broken its response off.
func (s *stream) cut(err error) {
	if s.grpc {
		s.blame(err)
		return
	}
	_, reset := http2.Reset(err)
	switch {
	case s.backend().Left(), http2.EndedInOrder(err):
	case http2.Malformed(err):
		s.claim.report(pool.Malformed)
	case !reset && s.trunk.blamed.Swap(true): // one connection is one failure
	default:
		s.claim.report(pool.CutShort)
	}
}

// brokenBody ends a response whose request turned out to be broken, which is none of the
// backend's doing, and tells of it as HTTP would by status.
func (s *stream) brokenBody(resp *http2.Response, status int, why error) {
	s.status, s.fault = status, "bad_request"
	s.count()
	if !s.grpc || resp.Status != 200 {
		s.Reset(http2.InternalError)
		return
	}
	s.endCall(grpc.OfHTTP(status), why.Error())
}

// endCall ends a call whose response has begun.
func (s *stream) endCall(code grpc.Code, text string) {
	_ = s.Trail(http2.Block(nil, []http2.Field{
		{Name: grpc.StatusField, Value: code.String()},
		{Name: grpc.MessageField, Value: grpc.Escape("portside: " + text)},
	}))
}
