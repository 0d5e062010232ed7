package proxy

import (
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"portside/proxy/http1"
)

// upload moves a request's body to the backend. What came with the head goes with
// the head; only the rest, if there is one, needs a goroutine, since a response
// may come before the body has ended.
type upload struct {
	framing http1.Framing
	left    int64 // bytes of a body with a length that are not read yet
	chunks  http1.ChunkReader

	sent      []byte // what was sent of the body after the head, to be sent again
	excess    bool   // more was sent than is kept: it cannot be sent again
	delivered bool   // the backend that is tried now has been sent the whole request
	running   bool
	over      atomic.Bool // run has ended, or is about to
	stopping  atomic.Bool // stop wakes run: that is no failure
	ended     sync.WaitGroup
	at        time.Time             // when a body that came after its head was read whole
	finished  atomic.Bool           // the whole body has been read
	failure   atomic.Pointer[error] // of the client
	session   *httpSession
	conn      *backendConn
}

// replayed is how much of a body that came after its head is kept for a second
// try.
const replayed = 64 << 10

// errBodyCut is a client that ends in the middle of its request's body.
var errBodyCut = errors.New("the client left in the middle of its request")

// reset prepares u for a request with that framing.
func (u *upload) reset(framing http1.Framing) {
	u.framing, u.left = framing, framing.Length
	u.chunks.Reset(u.chunks.Trailer)
	u.sent, u.excess, u.running = u.sent[:0], false, false
	u.at = time.Time{}
	u.failure.Store(nil)
	u.finished.Store(framing.Empty())
}

// takeBuffered appends to x.out what x.in has of the body.
func (u *upload) takeBuffered(x *exchange) error {
	if u.finished.Load() || x.r == x.w {
		return nil
	}
	if u.framing.Kind == http1.Length {
		n := int(min(u.left, int64(x.w-x.r)))
		x.out = append(x.out, x.in[x.r:x.r+n]...)
		u.took(x, n)
		return nil
	}
	data, n, err := u.chunks.Decode(x.in[x.r:x.w])
	if err != nil {
		return err
	}
	x.out = http1.AppendChunk(x.out, data)
	x.r += n
	if u.chunks.Done() {
		x.out = http1.AppendLastChunk(x.out, u.chunks.Trailer)
		u.finished.Store(true)
	}
	return nil
}

// took notes that n bytes of x.in were of the body.
func (u *upload) took(x *exchange, n int) {
	x.r += n
	u.left -= int64(n)
	if u.left == 0 {
		u.finished.Store(true)
	}
}

// complete reports whether the client's whole body was read: what follows on its
// connection is its next request. Whether the backend has it is another question.
func (u *upload) complete() bool { return u.finished.Load() && u.lost() == nil }

// goesOn reports whether the backend has not been sent the whole request yet.
func (u *upload) goesOn() bool { return u.running && (!u.over.Load() || !u.delivered) }

// lost is why the client's body cannot be had, or nil.
func (u *upload) lost() error {
	if e := u.failure.Load(); e != nil {
		return *e
	}
	return nil
}

// replayable reports whether what was sent can be sent once more.
func (u *upload) replayable() bool { return !u.excess }

// repeatable reports whether the whole body can be sent once more, even after all of it
// has been sent. Of one without a length nobody knows.
func (u *upload) repeatable() bool {
	if u.finished.Load() {
		return !u.excess
	}
	return u.framing.Kind == http1.Length && int64(len(u.sent))+u.left <= replayed
}

// ready reports whether the whole request lies in x.out.
func (u *upload) ready() bool { return u.finished.Load() && len(u.sent) == 0 }

// begin sends to c what an earlier attempt had sent, and starts to send the rest.
func (u *upload) begin(s *httpSession, c *backendConn) error {
	u.delivered = false
	if len(u.sent) > 0 {
		n, err := c.Write(u.sent)
		s.h.stats.Bytes.ToBackend.Add(int64(n))
		if err != nil {
			return err
		}
	}
	if u.finished.Load() {
		u.delivered = true
		return nil
	}
	u.session, u.conn, u.running = s, c, true
	u.over.Store(false)
	u.stopping.Store(false)
	u.ended.Go(u.run)
	return nil
}

// stop ends the sending of a body whose response has ended, or will not come. The
// body can still be sent to another backend, if what was sent of it is kept.
func (u *upload) stop() {
	if !u.running {
		return
	}
	if !u.over.Load() {
		u.hurry()
	}
	u.ended.Wait()
	u.running = false
	u.session.watch.upload.Store(nobody)
	u.session, u.conn = nil, nil
}

// hurry has run end: at once, or when the last piece is written, which a backend
// that has answered and does not take it is not given long for.
func (u *upload) hurry() {
	s, finished := u.session, u.finished.Load()
	if finished {
		_ = u.conn.SetWriteDeadline(time.Now().Add(lingerTime))
	} else {
		u.stopping.Store(true)
		_ = u.conn.SetWriteDeadline(past)
		_ = s.client.SetReadDeadline(past)
	}
	u.ended.Wait()
	_ = u.conn.SetWriteDeadline(time.Time{})
	if !finished && !s.ended() {
		_ = s.client.SetReadDeadline(time.Time{})
	}
}

// uploadSize is of the buffers uploads read into, chunk framing included.
const uploadSize = 32 << 10

var uploadBuffers = sync.Pool{New: func() any { return new([uploadSize]byte) }}

// run reads the client and writes the backend until the body has ended. An error
// of the backend's is for the reader of its response to see.
func (u *upload) run() {
	s := u.session
	defer u.over.Store(true)
	defer s.watch.upload.Store(forKernel)
	buf := uploadBuffers.Get().(*[uploadSize]byte)
	defer uploadBuffers.Put(buf)
	for !u.finished.Load() {
		s.watch.upload.Store(forClient)
		n, err := s.client.Read(buf[http1.ChunkRoom : uploadSize-http1.ChunkTail])
		s.watch.upload.Store(forBackend)
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded) && (u.stopping.Load() || s.watch.why() == errNoResponse):
			return // the latter for a piece that the backend has just taken, too late
		case err == io.EOF:
			u.lose(errBodyCut)
			return
		default:
			u.lose(err)
			return
		}
		s.watch.moved.Store(s.h.warden.tick.Load())
		piece, rest, err := u.frame(buf[:], http1.ChunkRoom, http1.ChunkRoom+n)
		if err != nil {
			u.lose(err)
			return
		}
		s.x.keep(rest)
		if !u.send(piece) {
			return
		}
	}
	u.delivered = true
}

// finish notes that the whole body has been read.
func (u *upload) finish() {
	u.at = time.Now()
	u.finished.Store(true)
}

// keep puts what follows a body, the next request, behind what was read before.
func (x *exchange) keep(rest []byte) {
	if len(rest) == 0 {
		return
	}
	if x.w+len(rest) > len(x.in) {
		// The old buffer stays alive: the request parsed in it is still of use.
		x.in = append(append(make([]byte, 0, 2*(x.w+len(rest))), x.in[:x.w]...), rest...)
		x.w = len(x.in)
		x.in = x.in[:cap(x.in)]
		return
	}
	x.w += copy(x.in[x.w:], rest)
}

// lose gives the body up and has the reader of the response know.
func (u *upload) lose(err error) {
	u.failure.Store(&err)
	_ = u.conn.SetReadDeadline(past)
}

// frame turns buf[from:to], just read, into what is sent, and what is behind the
// body.
func (u *upload) frame(buf []byte, from, to int) (piece, rest []byte, err error) {
	if u.framing.Kind == http1.Length {
		n := int(min(u.left, int64(to-from)))
		if u.left -= int64(n); u.left == 0 {
			u.finish()
		}
		return buf[from : from+n], buf[from+n : to], nil
	}
	data, taken, err := u.chunks.Decode(buf[from:to])
	if err != nil {
		return nil, nil, err
	}
	rest = buf[from+taken : to]
	if u.chunks.Done() {
		// A copy: the framing might not fit before the next request.
		piece = http1.AppendLastChunk(http1.AppendChunk(nil, data), u.chunks.Trailer)
		u.finish()
		return piece, rest, nil
	}
	at := offset(buf, data)
	return http1.WrapChunk(buf, at, at+len(data)), rest, nil
}

// offset is where part, a slice of whole, begins in it.
func offset(whole, part []byte) int {
	if len(part) == 0 {
		return 0
	}
	return cap(whole) - cap(part)
}

// send sends a piece and keeps it for a second try, as long as there is room.
func (u *upload) send(piece []byte) bool {
	if len(piece) == 0 {
		return true
	}
	if len(u.sent)+len(piece) > replayed {
		u.excess = true
		u.sent = u.sent[:0]
	} else if !u.excess {
		u.sent = append(u.sent, piece...)
	}
	n, err := u.conn.Write(piece)
	s := u.session
	s.h.stats.Bytes.ToBackend.Add(int64(n))
	s.watch.moved.Store(s.h.warden.tick.Load())
	return err == nil
}
