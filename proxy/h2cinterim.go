package proxy

import (
	"net/http"
	"net/textproto"
	"sync"
)

// interim passes an attempt's 1xx responses on, such as 103 (RFC 8297). They come on
// a goroutine of net/http's, while the stream's own waits for the response.
type interim struct {
	s *stream

	mu   sync.Mutex
	n    int
	over bool // the wait, and the client's answer is being made
}

// pass is net/http's trace of one.
func (i *interim) pass(code int, head textproto.MIMEHeader) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.n++; i.n > maxInterim {
		return errInterim
	}
	if i.over || code <= 101 { // 100 is between us and the backend
		return nil
	}
	h := i.s.w.Header()
	copyHead(h, http.Header(head))
	i.s.w.WriteHeader(code)
	clear(h)
	i.s.clock.moves()
	return nil
}

// end says that the wait is over.
func (i *interim) end() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.over = true
}
