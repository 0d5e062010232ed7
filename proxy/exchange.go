package proxy

import (
	"errors"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"portside/pool"
	"portside/proxy/http1"
	"portside/proxy/socket"
)

// exchange is what one request and its response need: buffers and parsed heads.
// A session borrows one when bytes come and gives it back when it is idle.
type exchange struct {
	in   []byte // from the client
	r, w int    // in[r:w] is read and not used yet
	out  []byte // the head for the backend, with what has come of the body

	back   []byte // from the backend, behind room for a longer head
	br, bw int    // back[br:bw] is read and not used yet

	head []byte // a response head, rebuilt

	req      http1.Request
	resp     http1.Response
	up       upload
	chunks   http1.ChunkReader // of the response
	tried    [MaxAttempts]*pool.Backend
	nTry     int
	stale    *stock // of the backend whose idle connection turned out to have ended
	forgiven bool   // an attempt did not count because of that
	fresh    bool   // one has: the request is sent on new connections alone from now on
	paid     bool   // the budget paid for the attempt under way

	began  time.Time
	since  time.Time // the attempt under way began
	status int       // of the answer; zero: none was given
	fault  string    // what went wrong, of the kinds of X-Portside-Error
	closes bool      // the connection ends with this response
	waited uint64    // in ms: the client was waited for, to take the response
	settle func()    // of a trial's response that is going out; see settle
}

const (
	inSize   = 16 << 10
	backSize = 32 << 10
	headRoom = 1 << 10 // before the response in back: rebuilt heads may be longer
)

var exchanges = sync.Pool{New: func() any {
	return &exchange{
		in:   make([]byte, inSize),
		back: make([]byte, headRoom+backSize),
		out:  make([]byte, 0, 8<<10),
		head: make([]byte, 0, 4<<10),
	}
}}

// release gives the exchange back. Buffers that had to grow are not kept.
func (s *httpSession) release() {
	x := s.x
	s.x = nil
	if len(x.in) > inSize {
		x.in = make([]byte, inSize)
	}
	if len(x.back) > headRoom+backSize {
		x.back = make([]byte, headRoom+backSize)
	}
	if cap(x.out) > 64<<10 {
		x.out = make([]byte, 0, 8<<10)
	}
	if cap(x.head) > 16<<10 {
		x.head = make([]byte, 0, 4<<10)
	}
	x.r, x.w = 0, 0
	x.req.Reset() // a head may have been given up half-way
	x.resp.Reset()
	exchanges.Put(x)
}

// dialogue is how many requests make a dialogue: until then it is asked after each
// whether the client has ended its stream together with it. Later on, that is left
// to the warden, and a system call is saved.
const dialogue = 3

// errServed ends a connection whose last request was served.
var errServed = errors.New("the last request was served")

// readable is called back when the client may have sent something. Waiting, it
// holds no exchange. What has come whole it serves on the spot: since the callback
// has not returned, the poller will tell of all that comes meanwhile, and whether
// something has come need not be asked before waiting again.
func (s *httpSession) readable(fd uintptr) (done bool) {
	if s.nothing(fd) {
		return false
	}
	for {
		n, failed := s.receive(fd)
		if n == 0 {
			return failed
		}
		all := n < len(s.x.in)
		if !s.rouse() || !s.serveWhole() || !s.enter(phaseIdle) {
			return true
		}
		if all && s.requests >= dialogue {
			return false
		}
	}
}

// receive reads what the client has sent into an exchange. If that is nothing, it
// reports whether there was an error, and not only nothing yet.
func (s *httpSession) receive(fd uintptr) (n int, failed bool) {
	if s.x == nil {
		s.x = exchanges.Get().(*exchange)
	}
	n, errno := socket.Recv(fd, s.x.in)
	switch {
	case errno == syscall.EAGAIN:
		s.release()
		return 0, false
	case errno != 0:
		s.readErr = os.NewSyscallError("recv", errno)
	case n == 0:
		s.readErr = io.EOF
	default:
		s.readErr, s.x.r, s.x.w = nil, 0, n
		return n, false
	}
	return 0, true
}

// serveWhole serves the requests that have come whole. It reports whether these
// were all, and others may follow.
func (s *httpSession) serveWhole() bool {
	for s.whole() {
		if !s.serve() {
			s.readErr = errServed
			return false
		}
		if s.x == nil {
			return true
		}
		if !s.enter(phaseHead) {
			return false
		}
	}
	return false
}

// whole reports whether a request has come that can be served without reading from
// the client. If so, its head is parsed.
func (s *httpSession) whole() bool {
	x := s.x
	x.reset()
	n, err := x.req.Parse(x.in[x.r:x.w], s.h.config().HTTP.Limits)
	if err != nil || x.req.Upgrade != nil {
		return false
	}
	if x.req.Kind == http1.Chunked || x.req.Length > int64(x.w-x.r-n) {
		return false
	}
	x.r += n
	return true
}

// serveOne waits for a request and serves it. It reports whether another may
// follow on the connection.
func (s *httpSession) serveOne() bool {
	if s.x == nil {
		if !s.awaitRequest() {
			return false
		}
	} else if !s.enter(phaseHead) {
		return false
	}
	if !s.readHead() {
		s.observe()
		return false
	}
	return s.serve()
}

// serve serves the request whose head is parsed. It reports whether another may
// follow on the connection; the exchange is given back unless one has.
func (s *httpSession) serve() bool {
	x := s.x
	s.requests++
	x.began = time.Now()
	s.h.requests.Add(1)
	again := s.proxy()
	if s.x == nil {
		return false // it became a tunnel, and ended
	}
	if x.status == 0 {
		x.status = clientLeft
		s.h.stats.answer(clientLeft)
	}
	s.observe()
	if !again {
		s.linger = s.linger || x.r < x.w
		return false
	}
	if x.r == x.w {
		s.release()
	}
	return true
}

// reset forgets the request before.
func (x *exchange) reset() {
	x.status, x.fault, x.closes, x.nTry, x.forgiven, x.fresh = 0, "", false, 0, false, false
}

// readHead reads and parses a request head. If it cannot, it has answered as far
// as an answer makes sense.
func (s *httpSession) readHead() bool {
	x := s.x
	x.reset()
	limits := s.h.config().HTTP.Limits
	for {
		n, err := x.req.Parse(x.in[x.r:x.w], limits)
		if err == nil {
			x.r += n
			return true
		}
		if err != http1.ErrIncomplete {
			s.forget()
			s.refuse(err)
			return false
		}
		x.makeRoom()
		m, err := s.client.Read(x.in[x.w:])
		if err != nil {
			s.forget()
			if s.watch.why() == errHeadSlow {
				t, _ := tell(errHeadSlow)
				s.answer(t.status, t.kind, t.text)
			}
			return false
		}
		x.w += m
	}
}

// forget gives up a head that was not understood. What the exchange still holds
// is of another request, maybe another client's.
func (s *httpSession) forget() {
	x := s.x
	x.req.Reset()
	x.req.Method, x.req.MethodID, x.req.Path, x.req.Host, x.req.Minor = nil, 0, nil, nil, 1
	x.up.reset(http1.Framing{})
	x.closes = true
	x.began = time.Now()
}

// makeRoom sees to it that there is room behind in[:w]: what is used is dropped,
// and the buffer grows to what the largest head may need.
func (x *exchange) makeRoom() {
	if x.w < len(x.in) {
		return
	}
	if x.r > 0 {
		x.w = copy(x.in, x.in[x.r:x.w])
		x.r = 0
		return
	}
	bigger := make([]byte, 4*len(x.in)+1)
	x.w = copy(bigger, x.in[:x.w])
	x.in = bigger
}

// close ends the client's connection. A client that may still be sending is let
// read our answer first: a close with bytes unread is a reset, which can overtake
// the answer (RFC 9112 9.6).
func (s *httpSession) close() {
	if s.x != nil {
		if s.linger {
			s.lingering()
		}
		s.release()
	}
	_ = s.client.Close()
}

// Lingering is bounded in time and bytes.
const (
	lingerTime  = 2 * time.Second
	lingerBytes = 64 << 20
)

func (s *httpSession) lingering() {
	_ = s.client.CloseWrite()
	_ = s.client.SetReadDeadline(time.Now().Add(lingerTime))
	for left := lingerBytes; left > 0; {
		n, err := s.client.Read(s.x.in)
		if err != nil {
			return
		}
		left -= n
	}
}

// observe takes in that the request is over.
func (s *httpSession) observe() {
	x := s.x
	if x == nil || x.status == 0 || x.began.IsZero() {
		return
	}
	took := time.Since(x.began)
	if x.status != clientLeft {
		s.h.duration.Observe(took)
	}
	log := s.h.cfgLog()
	if !log.wants(x.status) {
		return
	}
	e := line{
		client: s.clientAddress(), method: x.req.Method, path: x.req.Path, host: x.req.Host,
		minor: x.req.Minor, status: x.status, fault: x.fault, tries: x.nTry, began: x.began, took: took,
	}
	if x.nTry > 0 {
		e.backend = x.tried[x.nTry-1].Address()
	}
	log.add(&e)
}
