package proxy

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// h2cBody is a request's body. What has come of it is kept, as long as it is
// little and no response has begun, so that another backend can be sent it too.
// A nil one is the body of a request that has none.
type h2cBody struct {
	from  io.ReadCloser // the client's; one attempt reads it at a time
	moved func()        // called when a piece has come
	came  func()        // called when all has

	mu      sync.Mutex
	kept    []byte
	gone    bool // of what came, some is not in kept: it cannot be sent again
	settled bool // nobody will want it again
	reading bool
	err     error     // that ended it, io.EOF among them
	ours    bool      // err is for our own closing
	at      time.Time // when it had come whole; zero: not yet
}

// h2cUpload is the body as one attempt reads it.
type h2cUpload struct {
	*h2cBody
	pos    int // in kept
	closed bool
}

// Read returns what an earlier attempt had been sent, then what comes.
func (u *h2cUpload) Read(p []byte) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case u.closed:
		return 0, os.ErrClosed
	case u.pos < len(u.kept):
		n := copy(p, u.kept[u.pos:])
		u.pos += n
		return n, nil
	case u.err != nil:
		return 0, u.err
	}
	u.reading = true
	u.mu.Unlock()
	n, err := u.from.Read(p)
	u.moved()
	u.mu.Lock()
	u.reading = false
	u.keep(p[:n])
	u.pos = len(u.kept)
	if err != nil {
		u.err, u.ours = err, u.closed
	}
	if err == io.EOF {
		u.at = time.Now()
		u.came()
	}
	return n, err
}

// keep keeps a piece that came, as long as there is room. The caller holds mu.
func (b *h2cBody) keep(piece []byte) {
	if len(piece) == 0 {
		return
	}
	if b.settled || b.gone || len(b.kept)+len(piece) > replayed {
		b.gone, b.kept = true, nil
		return
	}
	b.kept = append(b.kept, piece...)
}

// Close ends the attempt's reading. A read under way can be ended only together
// with the body: net/http knows no other way.
func (u *h2cUpload) Close() error {
	u.mu.Lock()
	u.closed = true
	stuck := u.reading
	if stuck {
		u.gone = true
	}
	u.mu.Unlock()
	if stuck {
		return u.from.Close()
	}
	return nil
}

// open returns the body for one more attempt.
func (b *h2cBody) open() io.ReadCloser { return &h2cUpload{h2cBody: b} }

// errBody is a body that its client has broken.
var errBody = errors.New("the request's body is broken")

// broken is an error if the client has broken the body, such as by sending less than
// its content-length says.
func (b *h2cBody) broken() error {
	if b == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil || b.err == io.EOF || b.ours {
		return nil
	}
	return fmt.Errorf("%w: %w", errBody, b.err)
}

// awaited reports whether the client is waited for.
func (b *h2cBody) awaited() bool {
	if b == nil {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.reading
}

// replayable reports whether another attempt can be given the whole of it.
func (b *h2cBody) replayable() bool {
	if b == nil {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.gone
}

// settle says that a response has begun.
func (b *h2cBody) settle() {
	if b != nil {
		b.mu.Lock()
		b.settled = true
		b.mu.Unlock()
	}
}

// whole says since when the body has been there, if it is.
func (b *h2cBody) whole() (since time.Time, ok bool) {
	if b == nil {
		return time.Time{}, true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.at, !b.at.IsZero()
}
