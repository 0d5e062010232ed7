package proxy

import (
	"net/http"
	"net/textproto"
	"sync"
)

// interim passes an attempt's 1xx responses on, such as 103 (RFC 8297). They come on
// the goroutine of net/http's that reads the backend's connection, which other streams
// share: it must not wait for this one's client. One that comes while the last is still
// being written is left out.
type interim struct {
	s *stream

	mu      sync.Mutex
	n       int
	writing bool
	over    bool // the wait is, and the client's answer is about to be made
	own     sync.WaitGroup
}

// pass is net/http's trace of one.
func (i *interim) pass(code int, head textproto.MIMEHeader) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.n++; i.n > maxInterim {
		return errInterim
	}
	if code == http.StatusProcessing {
		i.s.clock.prolongs()
	}
	if i.over || i.writing || code <= 101 { // 100 is between us and the backend
		return nil
	}
	i.writing = true
	i.own.Go(func() { i.write(code, http.Header(head)) })
	return nil
}

func (i *interim) write(code int, head http.Header) {
	_, _ = i.s.clock.write(func() error {
		h := i.s.w.Header()
		copyHead(h, head)
		i.s.w.WriteHeader(code)
		clear(h)
		return nil
	})
	i.s.clock.moves()
	i.mu.Lock()
	i.writing = false
	i.mu.Unlock()
}

// end says that the wait is over, and waits for what is being written.
func (i *interim) end() {
	i.mu.Lock()
	i.over = true
	i.mu.Unlock()
	i.own.Wait()
}
