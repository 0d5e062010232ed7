package proxy

import (
	"errors"
	"io"
	"net"
	"syscall"
	"time"

	"portside/pool"
	"portside/proxy/http1"
)

// passInterim passes a 1xx response on. An HTTP/1.0 client must not get one (RFC
// 9110 15.2).
func (s *httpSession) passInterim() error {
	x := s.x
	if x.req.Minor == 0 {
		return nil
	}
	x.head = http1.AppendEnd(x.resp.AppendHead(x.head[:0]))
	return s.toClient(x.head)
}

// passResponse passes the response on whose head is in x.resp. It reports whether
// c can carry another request.
func (s *httpSession) passResponse(c *backendConn) (keep bool, err error) {
	x := s.x
	x.closes = x.closes || !x.up.complete()
	source := x.resp.Framing
	s.rebuildHead()
	switch source.Kind {
	case http1.None:
		err = s.passHead(c)
	case http1.Length:
		err = s.passLength(c, source.Length)
	default:
		err = s.passStream(c, source.Kind)
	}
	s.ends(err)
	// Bytes behind a response were never asked for, and would be taken for the answer
	// to whatever is sent next.
	if err == nil && x.br != x.bw {
		c.stock.untidy.Store(true)
		return false, nil
	}
	return err == nil && x.resp.KeepAlive && source.Kind != http1.UntilClose, err
}

// rebuildHead makes x.head of x.resp, in the framing that the client can take.
func (s *httpSession) rebuildHead() {
	x := s.x
	resp := &x.resp
	x.closes = x.closes || s.h.draining.Load()
	switch {
	case x.req.Minor == 0 && resp.Kind == http1.Chunked, x.req.Minor == 0 && resp.Kind == http1.UntilClose:
		resp.Framing = http1.Framing{Kind: http1.UntilClose}
		x.closes = true
	case resp.Kind == http1.UntilClose:
		// Chunked, the client can tell the end from a break.
		resp.Framing = http1.Framing{Kind: http1.Chunked}
	}
	x.head = resp.AppendHead(x.head[:0])
	switch {
	case resp.Upgrade != nil && resp.Status == 426:
		x.head = http1.AppendField(x.head, "Upgrade", resp.Upgrade)
		x.head = append(x.head, "Connection: Upgrade, close\r\n"...)
		x.closes = true
	case x.closes:
		x.head = append(x.head, "Connection: close\r\n"...)
	case x.req.Minor == 0:
		x.head = append(x.head, "Connection: keep-alive\r\n"...)
	}
	x.head = http1.AppendEnd(x.head)
}

// begins takes in that the response goes out to the client; whole: all of it.
func (s *httpSession) begins(c *backendConn, whole bool) {
	x := s.x
	x.status = x.resp.Status
	c.stock.classes[x.status/100].Add(1)
	x.waited = 0
	switch {
	case whole:
		s.lease.Report(pool.Success)
	case s.lease.Trial(): // which may go on for hours, in silence
		said := make(chan struct{})
		timer := time.AfterFunc(early, func() { s.lease.Stays(); close(said) })
		x.settle = func() {
			if !timer.Stop() {
				<-said // the lease is of one goroutine at a time
			}
		}
	}
}

// settle has a trial's response, if this is one, be judged by what is reported next.
func (s *httpSession) settle() {
	if f := s.x.settle; f != nil {
		s.x.settle = nil
		f()
	}
}

// ends tells the pool how a response ended that was not whole at once. One that its
// backend has broken is a failure, whatever its head said; one that somebody else has
// ended was none.
func (s *httpSession) ends(err error) {
	s.settle()
	if err == nil {
		s.lease.Report(pool.Success)
		return
	}
	var bad *http1.SyntaxError
	switch {
	case s.ended(), errors.Is(err, errClientGone), s.x.up.lost() != nil:
		s.lease.Report(pool.Success)
	case errors.Is(err, net.ErrClosed), s.x.up.goesOn():
		// By ourselves; or by one that had answered before the request's end, and reset
		// for what else came of it.
	case errors.As(err, &bad) && bad.TooLarge(): // for us
		s.lease.Report(pool.Success)
	case bad != nil:
		s.lease.Report(pool.Malformed)
	case s.x.waited >= uint64(patience/time.Millisecond):
		s.lease.Report(pool.Success) // which may have had enough of a client that does not read
	case errors.Is(err, syscall.ECONNRESET) && s.x.up.framing.Kind != http1.None:
		s.lease.Report(pool.Success) // and not read all of the request: its end says so by a reset, be the response whole
	default:
		s.lease.Report(pool.CutShort)
	}
}

// passHead sends the head alone.
func (s *httpSession) passHead(c *backendConn) error {
	s.begins(c, true)
	return s.toClient(s.x.head)
}

// withHead puts x.head right before x.back[from:to], where there is room, so that
// one write sends both. It returns what to write.
func (s *httpSession) withHead(from, to int) ([]byte, error) {
	x := s.x
	if n := len(x.head); n <= from {
		copy(x.back[from-n:from], x.head)
		return x.back[from-n : to], nil
	}
	return x.back[from:to], s.toClient(x.head)
}

// passLength sends the head and n bytes of body.
func (s *httpSession) passLength(c *backendConn, n int64) error {
	x := s.x
	first := int(min(n, int64(x.bw-x.br)))
	s.begins(c, int64(first) == n)
	piece, err := s.withHead(x.br, x.br+first)
	x.br += first
	for left := n - int64(first); err == nil; {
		if err = s.toClient(piece); err != nil || left == 0 {
			return err
		}
		m, rerr := s.fromBackend(c, 0, len(x.back))
		if rerr != nil {
			return rerr
		}
		take := int(min(left, int64(m)))
		piece, left = x.back[:take], left-int64(take)
		x.br, x.bw = take, m
	}
	return err
}

// passStream sends the head and a body whose length is not known before its end.
func (s *httpSession) passStream(c *backendConn, source http1.Kind) error {
	x := s.x
	x.chunks.Reset(x.chunks.Trailer)
	from, to := x.br, x.bw
	first, began := true, s.h.warden.tick.Load()
	for {
		data, done, err := s.decode(source, from, to)
		if err != nil {
			return &attemptError{"bad_response", err}
		}
		piece, tail := s.encode(data, done)
		if first {
			first = false
			s.begins(c, done)
			at := from
			if len(piece) > 0 {
				at = offset(x.back, piece)
			}
			if piece, err = s.withHead(at, at+len(piece)); err != nil {
				return err
			}
		}
		if err := s.toClient(piece); err != nil {
			return err
		}
		if done {
			return s.toClient(tail)
		}
		n, err := s.fromBackend(c, headRoom, len(x.back)-http1.ChunkTail)
		if err == io.EOF && source == http1.UntilClose {
			if x.resp.Kind == http1.Chunked {
				return s.toClient(http1.AppendLastChunk(x.head[:0], nil))
			}
			return nil
		}
		if err != nil {
			return err
		}
		if s.h.warden.tick.Load() > began+uint64(early/time.Millisecond) {
			s.settle()
			s.lease.Report(pool.Success) // what has no length may go on for hours
		}
		from, to = headRoom, headRoom+n
	}
}

// decode takes the source's framing off x.back[from:to].
func (s *httpSession) decode(source http1.Kind, from, to int) (data []byte, done bool, err error) {
	x := s.x
	if source == http1.UntilClose {
		x.br, x.bw = to, to
		return x.back[from:to], false, nil
	}
	data, n, err := x.chunks.Decode(x.back[from:to])
	x.br, x.bw = from+n, to
	return data, x.chunks.Done(), err
}

// encode puts the client's framing on data, which lies in x.back, and returns it
// there, with what ends the body if that is due and there is room; otherwise the
// end is the tail.
func (s *httpSession) encode(data []byte, done bool) (piece, tail []byte) {
	x := s.x
	piece = data
	if x.resp.Kind == http1.Chunked && len(data) > 0 {
		at := offset(x.back, data)
		if at+len(data)+http1.ChunkTail > len(x.back) {
			// The very end of the first read: make room behind it.
			copy(x.back[at-http1.ChunkTail:], data)
			at -= http1.ChunkTail
		}
		piece = http1.WrapChunk(x.back, at, at+len(data))
	}
	if !done || x.resp.Kind != http1.Chunked {
		return piece, nil
	}
	if len(piece) == 0 {
		piece = x.back[x.br:x.br]
	}
	if cap(piece)-len(piece) < len(x.chunks.Trailer)+lastChunk {
		return piece, http1.AppendLastChunk(nil, x.chunks.Trailer)
	}
	return http1.AppendLastChunk(piece, x.chunks.Trailer), nil
}

// lastChunk is how long the end of a chunked body is without trailers.
const lastChunk = len("0\r\n\r\n")

// fromBackend reads into x.back[from:to].
func (s *httpSession) fromBackend(c *backendConn, from, to int) (int, error) {
	if !s.enter(phaseBody) {
		return 0, s.watch.why()
	}
	n, err := c.Read(s.x.back[from:to])
	if err != nil {
		if s.ended() {
			err = s.watch.why()
		} else if lost := s.x.up.lost(); lost != nil {
			err = lost
		}
	}
	return n, err
}

// toClient writes to the client.
func (s *httpSession) toClient(piece []byte) error {
	if len(piece) == 0 {
		return nil
	}
	if !s.enter(phaseBody) {
		return s.watch.why()
	}
	began := s.h.warden.tick.Load()
	n, err := s.client.Write(piece)
	s.x.waited += s.h.warden.tick.Load() - began
	s.h.stats.Bytes.ToClient.Add(int64(n))
	if err != nil && !s.ended() {
		err = errors.Join(errClientGone, err)
	}
	return err
}
