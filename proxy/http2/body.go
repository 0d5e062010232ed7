package http2

import (
	"fmt"
	"sync"
	"time"
)

// Body is a request's body. What has come of it is kept, as long as it is little and no
// response has begun, so that another backend can be sent it too.
//
// Nobody waits for it: what comes is put down for the backend by whoever reads the
// client, and what did not fit by whoever reads the backend.
type Body struct {
	st *ServerStream

	mu       sync.Mutex
	declared int64 // -1: not
	got      int64
	buf      []byte // of the body, what came and is kept
	pos      int    // in buf: what the attempt has had
	returned int    // in buf: what was given back to the client's window
	gone     bool   // buf begins later than the body: it cannot be sent again
	settled  bool   // nobody will want it again
	over     bool   // so is the request
	none     bool   // there is no body
	ended    bool   // all has come
	trailers []Field
	broken   error
	to       *ClientStream // the attempt; nil: there is none
	whole    bool          // which has had all
	at       time.Time     // when the attempt had all; zero: not yet
	since    time.Time     // an attempt began, or had all there was
}

// kept is how much of a body is kept for a second try, in bytes.
const kept = 64 << 10

func (b *Body) init(st *ServerStream) {
	b.st, b.declared = st, st.Length
	if b.none = st.Request.Ended; b.none {
		b.ended = true
		if b.declared > 0 {
			b.broken = fmt.Errorf("%w: %d bytes of it are missing", ErrBody, b.declared)
		}
	}
}

// push takes in what has come. It is called by who reads the client.
func (b *Body) push(p []byte, end bool, trailers []Field, by *Batch) {
	b.mu.Lock()
	if b.over || b.broken != nil {
		b.mu.Unlock()
		b.st.back(len(p))
		return
	}
	b.got += int64(len(p))
	switch {
	case b.declared >= 0 && b.got > b.declared:
		b.broken = fmt.Errorf("%w: it is longer than it was to be", ErrBody)
	case end && b.declared >= 0 && b.got < b.declared:
		b.broken = fmt.Errorf("%w: %d bytes of it are missing", ErrBody, b.declared-b.got)
	}
	if b.broken != nil {
		b.mu.Unlock()
		b.st.back(len(p))
		b.st.spoil()
		b.st.events.News(by)
		return
	}
	b.buf = append(b.buf, p...)
	b.ended, b.trailers = end, trailers
	to := b.to
	back, err := b.pump()
	b.mu.Unlock()
	if len(p) > 0 || end {
		b.st.events.Moved()
	}
	b.went(to, back, err, by)
}

// went is what is to be done, without mu, when a part of the body has gone on.
func (b *Body) went(to *ClientStream, back int, err error, by *Batch) {
	if back > 0 {
		b.st.back(back)
		by.add(&b.st.c.conn)
	}
	switch {
	case to == nil:
	case err != nil:
		to.fail(err, Cancel, by)
	default:
		by.add(&to.c.conn)
	}
}

// pump puts down for the attempt what there is. It returns how much is to be given back
// to the client. The caller holds mu.
func (b *Body) pump() (back int, err error) {
	if b.to == nil || b.whole {
		return 0, nil
	}
	n, all, err := b.to.put(b.buf[b.pos:], b.ended, b.trailers)
	if n > 0 {
		b.pos += n
		b.since = time.Now()
	}
	if all && b.ended {
		b.whole = true
		if b.at.IsZero() {
			b.at = time.Now()
		}
	}
	if b.pos > b.returned {
		back = b.pos - b.returned
		b.returned = b.pos
	}
	b.forget()
	return back, err
}

// forget drops what the attempt has had of buf, if nobody can want it again. The caller
// holds mu.
func (b *Body) forget() {
	again := !b.settled && !b.gone && len(b.buf) < kept
	if b.pos == 0 || b.to == nil || again {
		return
	}
	b.gone = true
	switch rest := b.buf[b.pos:]; {
	case len(rest) == 0 && cap(b.buf) > kept:
		b.buf = nil
	case len(rest) > b.pos:
		return // not yet: it would be moved again and again
	default:
		b.buf = b.buf[:copy(b.buf, rest)]
	}
	b.returned -= b.pos
	b.pos = 0
}

// resume goes on with an attempt that may be sent more.
func (b *Body) resume(to *ClientStream, by *Batch) {
	b.mu.Lock()
	if b.to != to {
		b.mu.Unlock()
		return
	}
	before := b.pos
	back, err := b.pump()
	moved := back > 0 || b.pos != before
	b.mu.Unlock()
	if moved {
		b.st.events.Moved()
	}
	b.went(to, back, err, by)
}

// attach begins an attempt, which is sent the whole body.
func (b *Body) attach(to *ClientStream, by *Batch) {
	b.mu.Lock()
	b.to, b.pos, b.whole, b.at, b.since = to, 0, false, time.Time{}, time.Now()
	back, err := b.pump()
	b.mu.Unlock()
	b.went(to, back, err, by)
}

// detach ends an attempt.
func (b *Body) detach(to *ClientStream) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.to == to {
		b.to = nil
	}
}

// End ends the body with its request.
func (b *Body) End() {
	b.mu.Lock()
	rest := len(b.buf) - b.returned
	b.over, b.to, b.buf, b.pos, b.returned = true, nil, nil, 0, 0
	b.mu.Unlock()
	if rest > 0 {
		b.st.back(rest)
	}
}

// carried reports whether what there is goes on to the backend, be it slowly.
func (b *Body) carried(now time.Time, d time.Duration) bool {
	b.mu.Lock()
	to := b.to
	b.mu.Unlock()
	return to != nil && to.c.carries(&to.sender, now, d)
}

// None reports whether there is no body.
func (b *Body) None() bool { return b.none }

// Broken is an error if the client has broken the body, such as by sending less than
// its content-length says.
func (b *Body) Broken() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.broken
}

// Awaited reports whether the client is waited for, by a backend that has had all
// there is, and since when.
func (b *Body) Awaited() (since time.Time, is bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.since, !b.ended && !b.over && b.pos == len(b.buf)
}

// Replayable reports whether another attempt can be given the whole of it.
func (b *Body) Replayable() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.gone
}

// Settle says that a response has begun: nobody else will want the body.
func (b *Body) Settle() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.settled = true
	b.forget()
}

// Whole says since when the backend has had all of the body, if it has.
func (b *Body) Whole() (since time.Time, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.at, b.none || !b.at.IsZero()
}
