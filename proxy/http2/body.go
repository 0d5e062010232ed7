package http2

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"
)

// Body is a request's body. What has come of it is kept, as long as it is
// little and no response has begun, so that another backend can be sent it too.
// A nil one is the body of a request that has none.
//
// An attempt may have to end while nothing comes, and what ends a read of the
// client's ends the body. So no attempt reads the client: fetch does, on a
// goroutine of its own, into buf, where one attempt at a time takes it.
//
// Its methods may be called at the same time.
type Body struct {
	from  io.ReadCloser // the client's
	names []string      // of announced trailers
	tail  http.Header   // their values, once all has come; nobody but who reads from, and take then, may look
	moved func()        // called when a piece has come, or gone on
	came  func()        // called when an attempt has had all

	fetching sync.WaitGroup

	mu      sync.Mutex
	changed sync.Cond // anything of what follows
	buf     []byte    // of the body, what came and is kept
	pos     int       // in buf: what the attempt has had
	gone    bool      // buf begins later than the body: it cannot be sent again
	settled bool      // nobody will want it again
	begun   bool      // to be fetched
	reading bool      // the client is waited for
	over    bool      // so is the request
	err     error     // that ended it, io.EOF among them
	at      time.Time // when an attempt had all; zero: not yet
	since   time.Time // an attempt began, or had all there was, or the client was asked for more: the last of these
	attempt *upload   // that reads
}

// kept is how much of a body is kept for a second try, in bytes.
const kept = 64 << 10

// NewBody is what is read from, and then the trailers in tail. It calls came when an
// attempt has had all, and moved whenever something has come or gone on.
func NewBody(from io.ReadCloser, tail http.Header, moved, came func()) *Body {
	b := &Body{from: from, names: slices.Collect(maps.Keys(tail)), tail: tail, moved: moved, came: came}
	b.changed.L = &b.mu
	return b
}

// upload is the body as one attempt reads it, and the trailers it sends: net/http
// reads their names before the body, and their values behind it.
type upload struct {
	*Body
	trailer http.Header
}

// Open returns the body for one more attempt, and its trailers. The one before is over.
// Nothing is read before the attempt does.
func (b *Body) Open() (io.ReadCloser, http.Header) {
	b.mu.Lock()
	defer b.mu.Unlock()
	u := &upload{Body: b}
	if len(b.names) > 0 {
		u.trailer = make(http.Header, len(b.names))
		for _, name := range b.names {
			u.trailer[name] = nil
		}
	}
	b.attempt = u
	b.pos = 0
	b.since = time.Now()
	b.changed.Broadcast()
	return u, u.trailer
}

// Read returns what an earlier attempt had been sent, then what comes.
func (u *upload) Read(p []byte) (int, error) {
	n, whole, err := u.take(p)
	switch {
	case n > 0:
		u.moved()
	case whole:
		u.came()
	}
	return n, err
}

// take is Read; whole says that this is the first attempt to have had all.
func (u *upload) take(p []byte) (n int, whole bool, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.begun {
		u.begun = true
		u.fetching.Go(u.fetch)
	}
	for {
		switch {
		case u.attempt != u:
			return 0, false, os.ErrClosed
		case u.pos < len(u.buf):
			n = copy(p, u.buf[u.pos:])
			u.pos += n
			u.since = time.Now()
			u.changed.Broadcast()
			return n, false, nil
		case u.err == io.EOF:
			for name := range u.trailer {
				u.trailer[name] = u.tail[name]
			}
			whole = u.at.IsZero()
			if whole {
				u.at = time.Now()
			}
			return 0, whole, io.EOF
		case u.err != nil:
			return 0, false, u.err
		}
		u.changed.Wait()
	}
}

// Close ends the attempt's reading. The client's body is still there for another.
func (u *upload) Close() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.attempt == u {
		u.attempt = nil
		u.changed.Broadcast()
	}
	return nil
}

// fetch reads the client's body to its end.
func (b *Body) fetch() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.err == nil && b.room() {
		free := b.buf[len(b.buf):cap(b.buf)] // which nobody else touches
		b.reading, b.since = true, time.Now()
		b.mu.Unlock()
		n, err := b.from.Read(free)
		b.moved()
		b.mu.Lock()
		b.reading = false
		if b.forget() {
			n = copy(b.buf[:n], free)
		}
		b.buf = b.buf[:len(b.buf)+n]
		b.err = err
		b.changed.Broadcast()
	}
}

// The least room that is read into: a call's message mostly fits, and an upload's
// pieces are not small.
const (
	firstRoom = 2 << 10
	laterRoom = 16 << 10
)

// room waits until there is room in buf, or reports that the request is over. The
// caller holds mu.
func (b *Body) room() bool {
	for !b.over {
		if !b.forget() && len(b.buf) >= kept {
			b.changed.Wait()
			continue
		}
		if cap(b.buf)-len(b.buf) < firstRoom/2 {
			bigger := make([]byte, len(b.buf), max(firstRoom, min(8*cap(b.buf), cap(b.buf)+laterRoom)))
			copy(bigger, b.buf)
			b.buf = bigger
		}
		return true
	}
	return false
}

// forget empties buf of what nobody can want again, once the attempt has had it. The
// caller holds mu.
func (b *Body) forget() bool {
	had := b.pos == len(b.buf) && b.attempt != nil
	if !had || len(b.buf) == 0 || !b.settled && len(b.buf) < kept {
		return false
	}
	b.gone, b.buf, b.pos = true, b.buf[:0], 0
	return true
}

// Stop ends the reading of whatever attempt there is.
func (b *Body) Stop() {
	if b != nil {
		b.mu.Lock()
		b.attempt = nil
		b.changed.Broadcast()
		b.mu.Unlock()
	}
}

// End ends the body with its request, and waits until nobody reads it.
func (b *Body) End() {
	if b == nil {
		return
	}
	b.mu.Lock()
	b.over, b.attempt = true, nil
	b.changed.Broadcast()
	b.mu.Unlock()
	_ = b.from.Close()
	b.fetching.Wait()
}

// ErrBody is a body that its client has broken.
var ErrBody = errors.New("the request's body is broken")

// Broken is an error if the client has broken the body, such as by sending less than
// its content-length says.
func (b *Body) Broken() error {
	if b == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil || b.err == io.EOF || b.over {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrBody, b.err)
}

// Awaited reports whether the client is waited for, by a backend that has had all
// there is, and since when.
func (b *Body) Awaited() (since time.Time, is bool) {
	if b == nil {
		return time.Time{}, false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.since, b.reading && b.pos == len(b.buf)
}

// Replayable reports whether another attempt can be given the whole of it.
func (b *Body) Replayable() bool {
	if b == nil {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.gone
}

// Settle says that a response has begun.
func (b *Body) Settle() {
	if b != nil {
		b.mu.Lock()
		b.settled = true
		b.mu.Unlock()
	}
}

// Whole says since when the backend has had all of the body, if it has.
func (b *Body) Whole() (since time.Time, ok bool) {
	if b == nil {
		return time.Time{}, true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.at, !b.at.IsZero()
}
