package proxy

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"portside/pool"
	"portside/proxy/http1"
	"portside/proxy/socket"
)

// A backend that answers and does not take the rest of a body must not get the
// next request on that connection: it would read it as the rest of the body.
func TestHTTPConnectionWithAHalfSentBodyIsNotUsedAgain(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	for extra := 4 << 10; extra <= 28<<10; extra += 8 << 10 {
		t.Run(fmt.Sprint(extra), func(t *testing.T) {
			t.Parallel()
			answer, heads := make(chan bool), atomic.Int64{}
			b := startBackend(t, func(c *net.TCPConn) {
				_ = c.SetReadBuffer(64 << 10)
				in := bufio.NewReader(c)
				for {
					r, err := http.ReadRequest(in)
					if err != nil {
						if !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
							t.Errorf("the backend read %v: not a request", err)
						}
						return
					}
					heads.Add(1)
					if r.ContentLength > 0 {
						<-answer
					}
					_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
					if r.ContentLength > 0 {
						time.Sleep(lingerTime + 500*time.Millisecond)
					}
					if n, err := io.Copy(io.Discard, r.Body); err != nil || n < r.ContentLength {
						return
					}
				}
			})
			s := startHTTP(t, pool.Config{}, Config{}, b.address)
			post := func(n int64) (*net.TCPConn, *bufio.Reader) {
				conn := s.raw(t)
				fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", n)
				go func() { _, _ = io.CopyN(conn, zeros{}, n) }()
				return conn, bufio.NewReader(conn)
			}
			// How much goes into the kernels' buffers, the first one tells.
			probe, _ := post(1 << 30)
			var room int64
			for still := 0; still < 5; time.Sleep(20 * time.Millisecond) {
				if n := s.Stats().Bytes.ToBackend.Load(); n != room {
					room, still = n, 0
				} else {
					still++
				}
			}
			_ = probe.Close()
			conn, in := post(room + int64(extra))
			time.Sleep(200 * time.Millisecond)
			close(answer)
			if resp, err := http.ReadResponse(in, nil); err != nil || resp.StatusCode != 200 {
				t.Fatal(resp, err)
			} else if _, _ = io.ReadAll(resp.Body); resp.Close {
				return // the last piece was not read yet
			}
			_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			if resp, err := http.ReadResponse(in, nil); err != nil || resp.StatusCode != 200 {
				t.Fatalf("the request behind: %v %v", resp, err)
			}
		})
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// The buffers of a session that has become a tunnel are somebody else's: its end
// must not touch them.
func TestHTTPTunnelsEndTouchesNoOtherSession(t *testing.T) {
	b := startBackend(t, func(c *net.TCPConn) {
		in := bufio.NewReader(c)
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		if r.Header.Get("Upgrade") != "" {
			_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n")
			_, _ = io.Copy(c, in)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err == nil {
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 6\r\n\r\n%06d", len(body))
		}
	})
	s := startHTTP(t, pool.Config{}, Config{}, b.address)
	for range 20 {
		tunnel := s.raw(t)
		_, _ = io.WriteString(tunnel, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		if resp, err := http.ReadResponse(bufio.NewReader(tunnel), nil); err != nil || resp.StatusCode != 101 {
			t.Fatal(resp, err)
		}
		time.Sleep(time.Millisecond)
		conn := s.raw(t)
		_, _ = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
		time.Sleep(time.Millisecond)
		_ = tunnel.Close()
		time.Sleep(3 * time.Millisecond)
		_, _ = conn.Write(make([]byte, 1000))
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("an upload during which a tunnel ended: %v %v", resp, err)
		}
	}
}

// fate is how a backend ends a request.
type fate int

const (
	serves fate = iota
	resetsAtOnce
	endsAfterHead
	endsInBody
	endsAfterBody
	endsInResponse
	fates
)

// chaos is a backend that decides about each request anew.
type chaos struct {
	*backend
	mu    sync.Mutex
	seen  map[string]int    // requests of which a byte was seen
	whole map[string]string // hashes of whole bodies
}

func startChaos(t *testing.T, next func() fate) *chaos {
	k := &chaos{seen: map[string]int{}, whole: map[string]string{}}
	k.backend = startBackend(t, func(c *net.TCPConn) {
		in := bufio.NewReader(c)
		for k.one(c, in, next()) {
		}
	})
	return k
}

func (k *chaos) one(c *net.TCPConn, in *bufio.Reader, f fate) bool {
	reset := func() bool {
		if rand.IntN(2) == 0 {
			_ = c.SetLinger(0)
		}
		return false
	}
	if _, err := in.Peek(1); err != nil {
		return false
	}
	r, err := http.ReadRequest(in)
	if err != nil {
		return false
	}
	k.mu.Lock()
	k.seen[r.URL.Path]++
	k.mu.Unlock()
	if f == resetsAtOnce || f == endsAfterHead {
		return reset()
	}
	h := sha256.New()
	if f == endsInBody {
		_, _ = io.CopyN(h, r.Body, 1+rand.Int64N(5000))
		return reset()
	}
	if _, err := io.Copy(h, r.Body); err != nil {
		return false
	}
	k.mu.Lock()
	k.whole[r.URL.Path] = fmt.Sprintf("%x", h.Sum(nil))
	k.mu.Unlock()
	if f == endsAfterBody {
		return reset()
	}
	text := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: 64\r\n\r\n%x", h.Sum(nil))
	if f == endsInResponse {
		text = text[:1+rand.IntN(len(text)-1)]
	}
	_, _ = io.WriteString(c, text)
	return f == serves || reset()
}

// Backends die at every point there is. What may be sent twice arrives whole and
// is answered; what may not is never seen twice.
func TestHTTPSecondTriesAtEveryPoint(t *testing.T) {
	n := 600
	if testing.Short() {
		n = 150
	}
	next := func() fate {
		if rand.IntN(3) > 0 {
			return serves
		}
		return fate(rand.IntN(int(fates)))
	}
	var all []*chaos
	var addresses []string
	for range 4 {
		k := startChaos(t, next)
		all = append(all, k)
		addresses = append(addresses, k.address)
	}
	s := startHTTP(t, pool.Config{Eject: pool.Eject{Consecutive: -1}}, Config{Retry: Retry{Budget: 1}}, addresses...)
	c := newClient(t)
	var wg sync.WaitGroup
	var answered, refused, broken atomic.Int64
	for w := range 4 {
		wg.Go(func() {
			for i := range n / 4 {
				method := []string{"GET", "PUT", "POST", "DELETE", "PATCH"}[rand.IntN(5)]
				var payload []byte
				if method != "GET" {
					payload = make([]byte, rand.IntN(40_000))
					for i := range payload {
						payload[i] = byte(rand.Uint32())
					}
				}
				path := fmt.Sprintf("/%s/%d-%d", method, w, i)
				req, _ := http.NewRequest(method, s.url+path, nil)
				switch rand.IntN(3) {
				case 0:
					req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(payload)), int64(len(payload))
				case 1: // chunked
					req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(payload)), -1
				default: // in pieces
					req.Body, req.ContentLength = io.NopCloser(&pieces{payload}), -1
				}
				if method == "GET" {
					req.Body, req.ContentLength = nil, 0
				}
				req.GetBody = nil
				resp, err := c.Do(req)
				if err != nil {
					broken.Add(1)
					continue
				}
				body, err := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				switch {
				case err != nil:
					broken.Add(1)
				case resp.StatusCode != 200:
					refused.Add(1)
				case string(body) != fmt.Sprintf("%x", sha256.Sum256(payload)):
					t.Errorf("%s arrived with another body", path)
				default:
					answered.Add(1)
				}
			}
		})
	}
	wg.Wait()
	total := map[string]int{}
	for _, k := range all {
		k.mu.Lock()
		for path, n := range k.seen {
			total[path] += n
			if n > 1 && path[1:4] != "POS" {
				t.Errorf("%s was sent %d times to one backend, though there were others", path, n)
			}
		}
		k.mu.Unlock()
	}
	for path, n := range total {
		if n > 1 && (path[:5] == "/POST" || path[:6] == "/PATCH") {
			t.Errorf("%s was seen %d times", path, n)
		}
	}
	t.Logf("%d answered, %d refused, %d broken off, %d second tries, %d denied", answered.Load(), refused.Load(), broken.Load(), s.Stats().Retries.Load(), s.Stats().RetriesDenied.Load())
	if s.Stats().Retries.Load() == 0 || answered.Load() < int64(n)/2 {
		t.Error("the test did not test")
	}
}

// pieces come in pieces with pauses between.
type pieces struct{ rest []byte }

func (r *pieces) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		return 0, io.EOF
	}
	time.Sleep(time.Duration(rand.IntN(1500)) * time.Microsecond)
	n := copy(p[:min(len(p), 1+rand.IntN(9000))], r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// A PUT that is being streamed when its backend dies, while the proxy waits for
// the client, goes on at another backend with nothing lost.
func TestHTTPStreamedBodyMovesToAnotherBackend(t *testing.T) {
	died := make(chan bool, 1)
	dies := startBackend(t, func(c *net.TCPConn) {
		r, err := http.ReadRequest(bufio.NewReader(c))
		if err != nil {
			return
		}
		_, _ = io.CopyN(io.Discard, r.Body, 20_000)
		_ = c.SetLinger(0)
		_ = c.Close()
		died <- true
	})
	good := startChaos(t, func() fate { return serves })
	s := startHTTP(t, pool.Config{Eject: pool.Eject{Consecutive: -1}}, Config{}, dies.address, good.address)
	for _, framing := range []string{"length", "chunked"} {
		for range 2 { // one of the two goes to the one that dies
			payload := bytes.Repeat([]byte("0123456789"), 4000)
			pr, pw := io.Pipe()
			req, _ := http.NewRequest("PUT", s.url+"/x", pr)
			if framing == "length" {
				req.ContentLength = int64(len(payload))
			}
			go func() {
				_, _ = pw.Write(payload[:20_000])
				select {
				case <-died:
				case <-time.After(200 * time.Millisecond):
				}
				time.Sleep(20 * time.Millisecond)
				_, _ = pw.Write(payload[20_000:])
				_ = pw.Close()
			}()
			resp, err := newClient(t).Do(req)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if want := fmt.Sprintf("%x", sha256.Sum256(payload)); resp.StatusCode != 200 || string(body) != want {
				t.Fatalf("%s: %d %s, want the whole body at the second backend", framing, resp.StatusCode, body)
			}
		}
	}
	if s.Stats().Retries.Load() == 0 {
		t.Fatal("no second try: the test did not test")
	}
}

// countWriter counts what it is given.
type countWriter struct{ n *atomic.Int64 }

func (w countWriter) Write(p []byte) (int, error) {
	w.n.Add(int64(len(p)))
	return len(p), nil
}

// What goes to a second backend once more is sent, and counted, once more.
func TestBytesOfASecondTryAreCounted(t *testing.T) {
	const size = 50 << 10
	var received atomic.Int64
	takes := func(c *net.TCPConn) {
		r, err := http.ReadRequest(bufio.NewReader(io.TeeReader(c, countWriter{&received})))
		if err == nil {
			_, _ = io.Copy(io.Discard, r.Body)
		}
	}
	dies := startBackend(t, func(c *net.TCPConn) {
		takes(c)
		_ = c.SetLinger(0)
	})
	good := startBackend(t, func(c *net.TCPConn) {
		takes(c)
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	})
	s := startHTTP(t, pool.Config{Eject: pool.Eject{Consecutive: -1}}, Config{}, dies.address, good.address)
	c := newClient(t)
	for range 4 { // one of two goes to the one that dies
		received.Store(0)
		before := s.Stats().Bytes.ToBackend.Load()
		req, _ := http.NewRequest("PUT", s.url, &pieces{make([]byte, size)})
		req.ContentLength = size
		resp, err := c.Do(req)
		if err != nil || resp.StatusCode != 200 {
			t.Fatal(resp, err)
		}
		_ = resp.Body.Close()
		if counted := s.Stats().Bytes.ToBackend.Load() - before; counted != received.Load() {
			t.Fatalf("%d bytes to backends are counted, want the %d they received, of %d second tries so far",
				counted, received.Load(), s.Stats().Retries.Load())
		}
	}
	if s.Stats().Retries.Load() == 0 {
		t.Fatal("no second try: the test did not test")
	}
}

// A backend takes a piece in the very moment in which it is found too slow: what then
// wakes the upload, which waits for its client again, is no loss of that, and the body
// can be sent to another backend.
func TestUploadOfATooSlowBackendIsNotTheClientsLoss(t *testing.T) {
	silent := startBackend(t, func(c *net.TCPConn) { _, _ = io.Copy(io.Discard, c) })
	for why, lost := range map[error]bool{errNoResponse: false, errBodySlow: true} {
		s := &httpSession{h: NewHTTP(pool.New(pool.Config{}), Config{}), ctx: t.Context(), x: exchanges.Get().(*exchange)}
		c := &backendConn{}
		for _, end := range []*socket.Conn{&s.client, &c.Conn} {
			conn, err := net.Dial("tcp", silent.address)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = conn.Close() })
			if err := end.Init(conn.(*net.TCPConn)); err != nil {
				t.Fatal(err)
			}
		}
		s.x.up.reset(http1.Framing{Kind: http1.Length, Length: 10})
		s.x.up.sent = append(s.x.up.sent, "half "...)
		s.conn.Store(c)
		s.enter(phaseResponse)
		if !s.watch.end(phaseResponse, 0, why) {
			t.Fatal("it cannot be ended")
		}
		s.wake(why)
		_ = c.SetDeadline(time.Time{}) // the write was quicker
		if err := s.x.up.begin(s, c); err != nil {
			t.Fatal(err)
		}
		s.x.up.ended.Wait()
		if err := s.x.up.lost(); (err != nil) != lost {
			t.Errorf("ended as %q, the client is said to be lost: %v, want that: %v", why, err, lost)
		}
	}
}

// A slow reader of a large response, and a slow backend of a large upload, make
// the sender wait; the proxy holds a buffer, not the body.
func TestHTTPBackpressureBothWays(t *testing.T) {
	const size = 200 << 20
	if testing.Short() {
		t.Skip("moves 400 MB")
	}
	release := make(chan bool)
	var written atomic.Int64
	address := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "PUT" {
			<-release
			n, _ := io.Copy(io.Discard, r.Body)
			fmt.Fprint(w, n)
			return
		}
		w.Header().Set("Content-Length", fmt.Sprint(size))
		buf := make([]byte, 64<<10)
		for range size / len(buf) {
			n, err := w.Write(buf)
			written.Add(int64(n))
			if err != nil {
				return
			}
		}
	})
	s := startHTTP(t, pool.Config{}, Config{}, address)
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapInuse
	}
	before := heap()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, "GET", s.url, nil)
	resp, err := newClient(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var sent atomic.Int64
	up, _ := http.NewRequestWithContext(ctx, "PUT", s.url, &counted{io.LimitReader(zeros{}, size), &sent})
	result := make(chan string, 1)
	uploads := newClient(t)
	uploads.Timeout = time.Minute
	go func() {
		resp, err := uploads.Do(up)
		if err != nil {
			result <- err.Error()
			return
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		result <- string(b)
	}()
	time.Sleep(500 * time.Millisecond)
	if n := written.Load(); n > 64<<20 {
		t.Errorf("the backend could write %d MB to a client that reads nothing", n>>20)
	}
	if n := sent.Load(); n > 64<<20 {
		t.Errorf("the client could send %d MB to a backend that reads nothing", n>>20)
	}
	if grown := int64(heap()) - int64(before); grown > 8<<20 {
		t.Errorf("the heap grew by %d KB for two transfers that stand still", grown>>10)
	}
	close(release)
	if n, err := io.Copy(io.Discard, resp.Body); n != size || err != nil {
		t.Errorf("%d bytes down, %v", n, err)
	}
	if got := <-result; got != fmt.Sprint(size) {
		t.Errorf("up: %s, want %d bytes", got, size)
	}
}

type counted struct {
	io.Reader
	n *atomic.Int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// Whether a body can be sent again is known before it has been sent.
func TestUploadsThatCanBeSentAgain(t *testing.T) {
	for name, c := range map[string]struct {
		framing http1.Framing
		came    int // with the head
		sent    int // to another backend, behind it
		want    bool
	}{
		"none":             {http1.Framing{}, 0, 0, true},
		"whole":            {http1.Framing{Kind: http1.Length, Length: 10 * replayed}, 10 * replayed, 0, true},
		"small":            {http1.Framing{Kind: http1.Length, Length: replayed}, 0, 0, true},
		"small, some sent": {http1.Framing{Kind: http1.Length, Length: replayed + 10}, 10, replayed / 2, true},
		"large":            {http1.Framing{Kind: http1.Length, Length: replayed + 11}, 10, 0, false},
		"large, some sent": {http1.Framing{Kind: http1.Length, Length: replayed + 11}, 10, replayed / 2, false},
		"of any size":      {http1.Framing{Kind: http1.Chunked}, 0, 0, false},
	} {
		var u upload
		u.reset(c.framing)
		if c.came > 0 {
			u.took(&exchange{}, c.came)
		}
		u.sent, u.left = make([]byte, c.sent), u.left-int64(c.sent)
		if got := u.repeatable(); got != c.want {
			t.Errorf("%s: it can be sent again: %t", name, got)
		}
	}
}
