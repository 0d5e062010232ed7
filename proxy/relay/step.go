package relay

import (
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"portside/proxy/parking"
	"portside/proxy/socket"
)

// A relay at rest need not wake up for a few bytes: whoever was woken for it moves
// them in one step, which waits for nothing, and it rests on. What a step is not made
// for, the two directions do once they have been woken: to wait for a side that takes
// no more, to move much, to pass on a loss.

// many is how many buffers one way a step moves at most.
const many = 4

// Step moves what there is to move, by the news of both sides. A result that is
// [Resting] means that there is nothing more to be done for now, one without an
// end that the relay has to be resumed; any other is the end of the relay, as
// after [Run].
func (q *Rested) Step(news parking.News) Result {
	if news == (parking.News{}) {
		return Result{}
	}
	if q.known(news) {
		return Result{End: Resting, Rested: q}
	}
	q.since = time.Now()
	s := take(q)
	defer s.drop()
	if !s.move(&q.toClient, news[1]) || !s.move(&q.toBackend, news[0]) {
		if q.early != nil {
			q.backend.conn.Close()
			return Result{End: Early, Err: q.early}
		}
		return Result{}
	}
	if q.toClient.ended && q.toBackend.ended {
		q.backend.conn.Close()
		q.client.conn.Close()
		return Result{ToBackend: q.toBackend.moved, ToClient: q.toClient.moved, End: Done, BackendFirst: q.backendFirst, Taken: q.taken}
	}
	return Result{End: Resting, Rested: q}
}

// known reports whether news are none: of a client whose stream has ended, only that it
// is lost is any.
func (q *Rested) known(news parking.News) bool {
	return q.toBackend.ended && news[1] == 0 && news[0]&parking.Lost == 0
}

// begin begins at rest, after a first step.
func begin(client, backend Conn, cfg *Config) Result {
	q := newRested(client, backend, cfg)
	if q.client.raw == nil || q.backend.raw == nil {
		return newRelay(client, backend, cfg).run()
	}
	q.since = time.Now()
	if cfg.Early > 0 {
		q.earlyUntil = q.since.Add(cfg.Early)
	}
	s := take(q)
	ok := s.move(&q.toBackend, parking.Readable)
	s.drop()
	if !ok {
		return q.Resume(false)
	}
	return Result{End: Resting, Rested: q}
}

// endEarly reports whether the backend's end is an early one.
func (q *Rested) endEarly(err error) bool {
	if q.moved() || !time.Now().Before(q.earlyUntil) {
		return false
	}
	q.early = err
	return true
}

// moved reports whether a byte or an end has reached the other side.
func (q *Rested) moved() bool {
	return q.toBackend.moved > 0 || q.toClient.moved > 0 || q.toBackend.ended || q.toClient.ended
}

// step is what a step works with.
type step struct {
	q     *Rested
	buf   *buffer
	out   []byte // to be sent
	n     int    // was received, or sent
	errno syscall.Errno

	// The callbacks given to the sockets, made once so that no step allocates.
	onRecv, onSend func(fd uintptr)
}

var steps = sync.Pool{New: func() any {
	s := &step{}
	s.onRecv = func(fd uintptr) { s.n, s.errno = socket.Recv(fd, s.buf[:]) }
	s.onSend = func(fd uintptr) { s.n, s.errno = socket.Send(fd, s.out) }
	return s
}}

func take(q *Rested) *step {
	s := steps.Get().(*step)
	s.q, s.buf = q, buffers.Get().(*buffer)
	return s
}

func (s *step) drop() {
	buffers.Put(s.buf)
	s.q, s.buf, s.out = nil, nil, nil
	steps.Put(s)
}

// move moves what has come from one side to the other, which e tells of. It
// reports false if that takes more than a step.
func (s *step) move(k *kept, e parking.Event) bool {
	src, dst := s.q.of(k)
	if k.ended && k == &s.q.toBackend && e&parking.Lost != 0 {
		src.lost = syscall.ECONNRESET // the backend still works for it
		return false
	}
	if e == 0 || k.ended {
		return true
	}
	for range many {
		if src.raw.Control(s.onRecv) != nil {
			return false // closed from outside
		}
		switch {
		case s.errno == syscall.EAGAIN:
			return true
		case s.errno != 0:
			src.lost = os.NewSyscallError("read", s.errno)
			_ = k == &s.q.toClient && s.q.endEarly(src.lost)
			return false
		case s.n == 0 && k == &s.q.toClient && s.q.endEarly(io.EOF):
			return false
		case s.n == 0:
			return s.end(k, dst)
		}
		n := s.n
		if !s.deliver(k, dst, s.buf[:n]) {
			return false
		}
		if n < size && e&(parking.Ended|parking.Urgent) == 0 {
			return true // that was all, or there will be news
		}
	}
	return false
}

// end passes a clean end on.
func (s *step) end(k *kept, dst *rest) bool {
	q := s.q
	if k.ended = true; q.toClient.ended && q.toBackend.ended {
		return true // the close that follows says so
	}
	q.backendFirst = k == &q.toClient
	q.taken = q.backendFirst && q.toBackend.moved > 0 && unsent(q.backend.raw) == 0
	if err := dst.conn.CloseWrite(); err != nil {
		dst.lost = err
		return false
	}
	return true
}

// deliver sends b to dst.
func (s *step) deliver(k *kept, dst *rest, b []byte) bool {
	if !k.admitted && k == &s.q.toClient && s.q.firstByte != nil {
		s.q.firstByte()
	}
	s.out = b
	if dst.raw.Control(s.onSend) != nil || s.errno != 0 {
		s.n = 0
	}
	s.q.count(k, s.n)
	k.admitted = k.admitted || s.n > 0 || k == &s.q.toClient
	if s.n == len(b) {
		return true
	}
	k.pending = append([]byte(nil), b[s.n:]...)
	if s.errno != 0 && s.errno != syscall.EAGAIN {
		dst.lost = os.NewSyscallError("write", s.errno)
	}
	return false
}
