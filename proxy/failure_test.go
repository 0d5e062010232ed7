package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"portside/pool"
)

// An answer of our own keeps to the rules of HTTP as a backend's would.
func TestHTTPErrorsKeepTheConnectionInOrder(t *testing.T) {
	s := startHTTP(t, pool.Config{}, Config{}, refusing(t))
	conn := s.raw(t)
	in := bufio.NewReader(conn)
	for _, c := range []struct{ request, method, connection string }{
		{"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n", "HEAD", ""},
		{"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "GET", ""},
		{"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", "POST", ""},
		{"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "POST", ""},
		{"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "GET", "keep-alive"},
		{"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "GET", "close"},
	} {
		_, _ = io.WriteString(conn, c.request)
		resp, err := http.ReadResponse(in, &http.Request{Method: c.method})
		if err != nil {
			t.Fatalf("%q: %v", c.request, err)
		}
		body, err := io.ReadAll(resp.Body)
		connection := resp.Header.Get("Connection")
		if resp.Close {
			connection = "close"
		}
		if resp.StatusCode != 502 || err != nil || connection != c.connection || (len(body) == 0) != (c.method == "HEAD") {
			t.Fatalf("%q: %d %v %q %v, want 502, Connection: %q, and a body unless to HEAD", c.request, resp.StatusCode, resp.Header, body, err, c.connection)
		}
	}
	if _, err := in.ReadByte(); err != io.EOF {
		t.Fatalf("%v behind Connection: close, want the end", err)
	}
	// Where the body has yet to come, what follows could not be told from it.
	conn = s.raw(t)
	_, _ = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n")
	if resp, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || !resp.Close {
		t.Fatalf("%v %v, want the connection to close", resp, err)
	}
}

func TestHTTPSecondTriesAreBounded(t *testing.T) {
	var seen atomic.Int64
	dies := func() string {
		return serveHTTP(t, func(http.ResponseWriter, *http.Request) {
			seen.Add(1)
			panic(http.ErrAbortHandler)
		})
	}
	addresses := []string{dies(), dies(), dies(), dies(), dies()}
	tries := func(pc pool.Config, cfg Config, requests int) (per float64, s *httpService) {
		s = startHTTP(t, pc, cfg, addresses...)
		seen.Store(0)
		c := newClient(t)
		for range requests {
			if status, _, err := fetch(c, s.url); status != 502 || err != nil {
				t.Fatal(status, err)
			}
		}
		return float64(seen.Load()) / float64(requests), s
	}
	never := pool.Config{Eject: pool.Eject{Consecutive: -1}}
	if n, _ := tries(never, Config{}, 10); n != 3 {
		t.Errorf("%v tries a request, want 3, the default", n)
	}
	if n, _ := tries(never, Config{Retry: Retry{Attempts: 1}}, 10); n != 1 {
		t.Errorf("%v tries a request with one attempt", n)
	}
	if n, _ := tries(never, Config{Retry: Retry{Attempts: 100, Budget: 1}}, 10); n != 5 {
		t.Errorf("%v tries a request, want each of 5 backends once", n)
	}
	n, s := tries(never, Config{Retry: Retry{Budget: 0.01}}, 300)
	if n > 1.5 || s.Stats().RetriesDenied.Load() == 0 {
		t.Errorf("%v tries a request, %d denied, want no more than the budget's floor", n, s.Stats().RetriesDenied.Load())
	}
	n, s = tries(pool.Config{Eject: pool.Eject{Consecutive: 1, Backoff: time.Minute, MaxPercent: 100}}, Config{}, 100)
	if !s.pool.FailingOpen() || n > 1.3 {
		t.Errorf("%v tries a request where all backends fail (failing open: %v), want no second ones", n, s.pool.FailingOpen())
	}
}

// With nowhere else to go there is no second try, nor one denied, and the budget is as it
// was.
func TestHTTPSecondTriesAreCountedWhenMade(t *testing.T) {
	for name, address := range map[string]string{
		"refuses":             refusing(t), // which would be free
		"ends without a word": startBackend(t, func(c *net.TCPConn) { _, _ = http.ReadRequest(bufio.NewReader(c)) }).address,
	} {
		s := startHTTP(t, pool.Config{Eject: pool.Eject{Consecutive: -1}}, Config{}, address)
		c := newClient(t)
		for range 300 {
			if status, _, err := fetch(c, s.url); status != 502 || err != nil {
				t.Fatal(status, err)
			}
		}
		if st := s.Stats(); st.Retries.Load() != 0 || st.RetriesDenied.Load() != 0 || st.Failed.Load() != 300 {
			t.Errorf("%s: %d second tries, %d denied, %d failed of 300 requests to a lone backend", name, st.Retries.Load(), st.RetriesDenied.Load(), st.Failed.Load())
		}
	}
}

// Each class of answer counts as eject.on says.
func TestHTTPOutcomes(t *testing.T) {
	for _, c := range []struct {
		on     pool.EjectOn
		answer string
		failed bool
	}{
		{pool.On5xx, "500 Internal Server Error", true},
		{pool.On5xx, "503 Service Unavailable", true},
		{pool.On5xx, "429 Too Many Requests", false},
		{pool.On5xx, "501 Not Implemented", false},
		{pool.On5xx, "505 HTTP Version Not Supported", false},
		{pool.On5xx, "511 Network Authentication Required", true},
		{pool.OnGateway, "500 Internal Server Error", false},
		{pool.OnGateway, "504 Gateway Timeout", true},
		{pool.OnConnect, "503 Service Unavailable", false},
	} {
		address := answering(t, "HTTP/1.1 "+c.answer+"\r\nContent-Length: 0\r\n\r\n").address
		s := startHTTP(t, pool.Config{Eject: pool.Eject{On: c.on}}, Config{}, address)
		status, _, err := fetch(newClient(t), s.url)
		if err != nil || !strings.HasPrefix(c.answer, fmt.Sprint(status)) {
			t.Fatal(status, err)
		}
		if got := stateOf(s.pool, address); (got.Failures > 0) != c.failed || got.Latency <= 0 {
			t.Errorf("%s with eject.on %v: %d failures, latency %s, want a failure: %v", c.answer, c.on, got.Failures, got.Latency, c.failed)
		}
	}
}

// What a backend does not implement is no failure over HTTP/2 either.
func TestH2COutcomes(t *testing.T) {
	for status, failed := range map[int]bool{429: false, 500: true, 501: false, 503: true, 505: false} {
		address := serveH2C(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		s := startHTTP(t, pool.Config{}, Config{}, address)
		if got, _, err := fetch(newH2CClient(t), s.url); got != status || err != nil {
			t.Fatal(got, err)
		}
		if got := stateOf(s.pool, address); (got.Failures > 0) != failed {
			t.Errorf("%d: %d failures, want one: %v", status, got.Failures, failed)
		}
	}
}

// The end of a connection that had been idle blames nobody, unless it comes in the middle
// of a response: then the backend was alive, and had the request.
func TestHTTPAResponseCutInItsHeadIsNoStaleConnection(t *testing.T) {
	b := startBackend(t, func(c *net.TCPConn) {
		in := bufio.NewReader(c)
		if _, err := http.ReadRequest(in); err == nil {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			_, _ = http.ReadRequest(in)
			_, _ = io.WriteString(c, "HTTP/1.1 200 O")
		}
	})
	s := startHTTP(t, pool.Config{Eject: pool.Eject{Consecutive: -1}}, Config{}, b.address)
	c := newClient(t)
	if status, _, err := fetch(c, s.url); status != 200 || err != nil {
		t.Fatal(status, err)
	}
	resp, err := c.Post(s.url, "text/plain", strings.NewReader("once"))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if n := stateOf(s.pool, b.address).Failures; resp.StatusCode != 502 || n != 1 {
		t.Errorf("status %d and %d failures, want 502 and one: it ended in the middle of what it said", resp.StatusCode, n)
	}
}

// A backend that was tried in vain is not the one to be forgiven for another's
// stale connection.
func TestHTTPOnlyTheStaleOneIsTriedTwice(t *testing.T) {
	stale := startBackend(t, func(c *net.TCPConn) {
		in := bufio.NewReader(c)
		if _, err := http.ReadRequest(in); err == nil {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			_, _ = http.ReadRequest(in) // is never answered
		}
	})
	s := startHTTP(t, pool.Config{Balance: pool.Random, Eject: pool.Eject{Consecutive: -1}}, Config{Retry: Retry{Attempts: 8, Budget: 1}}, stale.address)
	c := newClient(t)
	if status, _, err := fetch(c, s.url); status != 200 || err != nil {
		t.Fatal(status, err)
	}
	bad := refusing(t)
	s.pool.Update(endpointsOf(stale.address, bad))
	for range 60 {
		before := stateOf(s.pool, bad).Requests
		_, _, _ = fetch(c, s.url)
		if n := stateOf(s.pool, bad).Requests - before; n > 1 {
			t.Fatalf("the backend that refuses was tried %d times for one request", n)
		}
	}
}

// However many backends refuse, clients do not notice while one serves: what was
// sent to nobody is tried elsewhere at no cost.
func TestDeadBackendsAreNotNoticedWhileOneServes(t *testing.T) {
	good := serveHTTP(t, func(http.ResponseWriter, *http.Request) {})
	h2 := serveH2C(t, func(http.ResponseWriter, *http.Request) {})
	for name, c := range map[string]struct {
		good   string
		client *http.Client
	}{"HTTP/1.1": {good, newClient(t)}, "h2c": {h2, newH2CClient(t)}} {
		s := startHTTP(t, pool.Config{}, Config{}, c.good, refusing(t), refusing(t))
		failed := 0
		const requests = 1500
		for range requests {
			if status, _, err := fetch(c.client, s.url); status != 200 || err != nil {
				failed++
			}
		}
		retries := s.Stats().Retries.Load()
		if failed > 0 || retries > requests/10 {
			t.Errorf("%s: %d of %d requests failed and %d were tried twice, want none, and few: one of two dead ones is kept in rotation", name, failed, requests, retries)
		}
	}
}

// A backend is ejected, and well again; the other one goes. Who is ejected is asked
// before its time rather than the client told that there is nobody.
func TestEjectedBackendIsAskedWhenNobodyElseServes(t *testing.T) {
	good := serveHTTP(t, func(http.ResponseWriter, *http.Request) {})
	s := startHTTP(t, pool.Config{Eject: pool.Eject{Backoff: time.Minute}}, Config{}, good, refusing(t))
	ejectAddress(t, s.pool, good)
	c := newClient(t)
	for range 20 {
		if status, body, err := fetch(c, s.url); status != 200 || err != nil {
			t.Fatal(status, body, err)
		}
	}
	if b := stateOf(s.pool, good); b.State != pool.Active {
		t.Errorf("the backend that serves is %s", b.State)
	}
}

// ejectAddress has the backend at address fail until it is ejected.
func ejectAddress(t *testing.T, p *pool.Pool, address string) {
	t.Helper()
	for range 5 {
		var others []*pool.Backend
		for {
			l, err := p.Acquire(0, others)
			if err != nil {
				t.Fatal(err)
			}
			if l.Backend().Address() == address {
				l.Report(pool.Refused)
				l.Release()
				break
			}
			others = append(others, l.Backend())
			l.Release()
		}
	}
	if b := stateOf(p, address); b.State != pool.Ejected {
		t.Fatalf("%s is %s after 5 failures", address, b.State)
	}
}

// One that ends every connection after a response, and does not say so, has none of
// its connections kept.
func TestBackendThatEndsEachConnectionUnannounced(t *testing.T) {
	b := startBackend(t, func(conn *net.TCPConn) {
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	})
	s := startHTTP(t, pool.Config{}, Config{Retry: Retry{Budget: 0.01}}, b.address)
	c := newClient(t)
	for i := range 1000 {
		if status, body, err := fetch(c, s.url); status != 200 || err != nil {
			t.Fatal(i, status, body, err)
		}
	}
}

// What a broken response had brought is not lost with the rest.
func TestBrokenResponseBringsWhatThereWas(t *testing.T) {
	const part = 300 << 10
	address := serveHTTP(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000000")
		_, _ = w.Write(make([]byte, part))
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	s := startHTTP(t, pool.Config{}, Config{}, address)
	conn := s.raw(t)
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond) // all is there, and the break behind it
	n, err := io.Copy(io.Discard, resp.Body)
	if n != part || err == nil {
		t.Errorf("%d bytes and %v, want the %d that came, and that it is not whole", n, err, part)
	}
}

// A backend that ends each connection as soon as it has accepted it costs nobody a
// POST once it has been found out, not even as a trial.
func TestPostsAreNotSpentOnABackendThatEndsAtOnce(t *testing.T) {
	good := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
	ends := startBackend(t, func(*net.TCPConn) {}).address
	s := startHTTP(t, pool.Config{Eject: pool.Eject{Backoff: 20 * time.Millisecond, MaxBackoff: 20 * time.Millisecond}}, Config{}, good, ends)
	c := newClient(t)
	for i := range 200 {
		resp, err := c.Post(s.url, "text/plain", strings.NewReader("once"))
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != 200 || string(body) != "once" {
			t.Fatalf("request %d: %s %q", i, resp.Status, body)
		}
		time.Sleep(2 * time.Millisecond)
	}
	if b := stateOf(s.pool, ends); b.Failures < 7 {
		t.Errorf("it was tried %d times: too few to say that trials cost nothing", b.Failures)
	}
}

// Nor a request that may be made twice, but is larger than what is kept of it.
func TestLargeUploadsAreNotSpentOnABackendThatEndsAtOnce(t *testing.T) {
	good := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n)
	})
	const size = 3 << 20
	for how, end := range map[string]func(*net.TCPConn){"ends": closes, "resets": resets} {
		for framing, length := range map[string]int64{"length": size, "chunked": -1} {
			t.Run(how+", "+framing, func(t *testing.T) {
				bad := startBackend(t, end).address
				s := startHTTP(t, pool.Config{}, Config{}, good, bad)
				c := newClient(t)
				eventually(t, "it is never found out", func() bool { // a newcomer is not given long to end
					_, _, err := fetch(c, s.url)
					return err == nil && stateOf(s.pool, bad).Failures > 0
				})
				for i := range 20 {
					req, _ := http.NewRequestWithContext(t.Context(), "PUT", s.url, io.LimitReader(zeros{}, size))
					req.ContentLength = length
					resp, err := c.Do(req)
					if err != nil {
						t.Fatal(err)
					}
					body, _ := io.ReadAll(resp.Body)
					_ = resp.Body.Close()
					if resp.StatusCode != 200 || string(body) != fmt.Sprint(size) {
						t.Fatalf("request %d: %s %s", i, resp.Status, body)
					}
				}
			})
		}
	}
}

// A response that goes on, in silence or not, does not keep the backend out whose trial
// it is: after a second that is back, until the response is broken. One that is broken
// sooner does not bring it back.
func TestTrialOfALongResponseReadmitsWhileItGoesOn(t *testing.T) {
	for _, framing := range []string{"length", "chunked"} {
		t.Run(framing, func(t *testing.T) {
			t.Parallel()
			breaks := make(chan bool)
			a := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
				if framing == "length" {
					w.Header().Set("Content-Length", "100")
				}
				_, _ = io.WriteString(w, "x")
				_ = http.NewResponseController(w).Flush()
				select {
				case <-breaks:
				case <-r.Context().Done():
				}
				panic(http.ErrAbortHandler)
			})
			b := serveHTTP(t, func(http.ResponseWriter, *http.Request) {})
			s := startHTTP(t, pool.Config{Eject: pool.Eject{Backoff: 200 * time.Millisecond, MaxBackoff: 200 * time.Millisecond}}, Config{}, a, b)
			ejectAddress(t, s.pool, a)
			trial := func() *http.Response {
				for {
					time.Sleep(20 * time.Millisecond)
					if resp, err := newClient(t).Get(s.url); err != nil {
						t.Fatal(err)
					} else if resp.ContentLength != 0 { // the other one's is empty
						return resp
					}
				}
			}
			resp := trial()
			for range 10 {
				time.Sleep(20 * time.Millisecond)
				if got := stateOf(s.pool, a); got.State != pool.Ejected {
					t.Fatalf("%s (%s) at once, want it out while most responses would still be broken", got.State, got.Reason)
				}
			}
			breaks <- true
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			resp = trial()
			start := time.Now()
			eventually(t, "the backend is out as long as its trial's response goes on", func() bool { return stateOf(s.pool, a).State == pool.Active })
			if took := time.Since(start); took > early+time.Second {
				t.Errorf("it was back after %v, want it after %v", took, early)
			}
			breaks <- true
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			eventually(t, "it is still in rotation though its trial's response was broken", func() bool { return stateOf(s.pool, a).State == pool.Ejected })
		})
	}
}

// Trials that are due do not use up a request's attempts, however many there are.
func TestDueTrialsLeaveAttemptsForWhoServes(t *testing.T) {
	all := []string{serveHTTP(t, func(http.ResponseWriter, *http.Request) {})}
	for range 5 {
		all = append(all, refusing(t))
	}
	s := startHTTP(t, pool.Config{Eject: pool.Eject{Backoff: 20 * time.Millisecond, MaxBackoff: 20 * time.Millisecond}}, Config{}, all...)
	c := newClient(t)
	for range 200 { // until all are found out; five of six are more than three attempts
		_, _, _ = fetch(c, s.url)
	}
	for range 30 {
		time.Sleep(50 * time.Millisecond) // every trial is due
		if status, body, err := fetch(c, s.url); status != 200 || err != nil {
			t.Fatal(status, body, err)
		}
	}
}

// A backend that ends what is idle, once, as servers do that are reloaded, still has
// its connections kept afterwards.
func TestOneReloadOfABackendDoesNotEndKeepAlive(t *testing.T) {
	var made atomic.Int64
	var mu sync.Mutex
	idle := map[net.Conn]bool{}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(2 * time.Millisecond) }))
	srv.Config.ConnState = func(c net.Conn, st http.ConnState) {
		mu.Lock()
		defer mu.Unlock()
		switch st {
		case http.StateNew:
			made.Add(1)
		case http.StateIdle:
			idle[c] = true
		default:
			delete(idle, c)
		}
	}
	srv.Start()
	t.Cleanup(srv.Close)
	s := startHTTP(t, pool.Config{}, Config{}, strings.TrimPrefix(srv.URL, "http://"))
	c := newClient(t)
	load := func() {
		var clients sync.WaitGroup
		for range 16 {
			clients.Go(func() {
				for range 50 {
					if status, _, err := fetch(c, s.url); err != nil || status != 200 {
						t.Error(status, err)
					}
				}
			})
		}
		clients.Wait()
	}
	load()
	before := made.Load()
	mu.Lock()
	for c := range idle {
		_ = c.Close()
	}
	mu.Unlock()
	time.Sleep(20 * time.Millisecond)
	load()
	if n := made.Load() - before; n > 200 {
		t.Errorf("%d connections for 800 requests after idle ones were ended once", n)
	}
}

// An answer, if a bad one, is no reason to hold what cannot be sent twice.
func TestPostsAreNotHeldForBadAnswers(t *testing.T) {
	b := serveHTTP(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusInternalServerError)
	})
	s := startHTTP(t, pool.Config{}, Config{}, b)
	c := newClient(t)
	if _, _, err := fetch(c, s.url); err != nil { // it has answered
		t.Fatal(err)
	}
	p := s.pool
	l, err := p.Acquire(0, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Release()
	l.Report(pool.Success)
	for range 3 {
		resp, err := c.Post(s.url, "text/plain", strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
	}
	if !l.Backend().Proven() {
		t.Error("a backend that answers, with 500, is held to be one that may not")
	}
}

// For want of something of ours the backend is not blamed, nor the client told that it
// could not be reached.
func TestOwnWantIsOverload(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
		kind   string
		says   pool.Outcome
	}{
		{syscall.EMFILE, 503, "overloaded", pool.Unknown},
		{syscall.EADDRNOTAVAIL, 503, "overloaded", pool.Unknown},
		{syscall.ECONNREFUSED, 502, "connect_failed", pool.Refused},
	} {
		err := &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", c.err)}
		if e := unreachable(err); e.status() != c.status || e.kind != c.kind || dialOutcome(err) != c.says {
			t.Errorf("%v: %d %s, %s; want %d %s, %s", c.err, e.status(), e.kind, dialOutcome(err), c.status, c.kind, c.says)
		}
	}
}

// Our own limits are no fault of a backend's.
func TestResponsesThatAreTooLargeBlameNobody(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	for name, c := range map[string]struct {
		answer string
		status int
		text   string
	}{
		"many fields":   {ok + strings.Repeat("Set-Cookie: a=b\r\n", 200) + "Connection: close\r\nContent-Length: 0\r\n\r\n", 200, ""},
		"more fields":   {ok + strings.Repeat("Set-Cookie: a=b\r\n", 257) + "Content-Length: 0\r\n\r\n", 502, "too many fields"},
		"a large head":  {ok + "X: " + strings.Repeat("x", 65<<10) + "\r\nContent-Length: 0\r\n\r\n", 502, "head too large"},
		"large trailer": {ok + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: " + strings.Repeat("x", 9<<10) + "\r\n\r\n", 502, "trailer section too large"},
	} {
		t.Run(name, func(t *testing.T) {
			address := answering(t, c.answer).address
			s := startHTTP(t, pool.Config{}, Config{}, address)
			for range 6 {
				status, text, err := fetch(newClient(t), s.url)
				if status != c.status || err != nil || !strings.Contains(text, c.text) || c.text != "" && !strings.Contains(text, "more than this proxy takes") {
					t.Fatalf("%d %s %v, want %d and which limit it was", status, text, err, c.status)
				}
			}
			if got := stateOf(s.pool, address); got.Failures != 0 {
				t.Errorf("%d failures counted", got.Failures)
			}
		})
	}
}

// Nothing of what is no response reaches the client: another backend is asked, if that
// is safe.
func TestGarbageInsteadOfAResponseIsNotNoticed(t *testing.T) {
	for name, says := range map[string]string{
		"no status line":    "\x00\x01garbage",
		"another protocol":  "SSH-2.0-x\r\n",
		"a bad field":       "HTTP/1.1 200 OK\r\nX Y: z\r\n\r\n",
		"a bad first chunk": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			bad := answering(t, says).address
			good := serveHTTP(t, func(http.ResponseWriter, *http.Request) {})
			s := startHTTP(t, pool.Config{}, Config{}, bad, good)
			c := newClient(t)
			posts := 0
			for i := range 8 { // every other one is for the bad one, until that is ejected
				resp, err := c.Post(s.url, "text/plain", strings.NewReader("once"))
				if err != nil {
					t.Fatal(err)
				}
				_ = resp.Body.Close()
				if resp.StatusCode == 502 && resp.Header.Get("X-Portside-Error") == "bad_response" {
					posts++
				}
				if status, text, err := fetch(c, s.url); status != 200 || err != nil {
					t.Fatalf("request %d: %d %s %v: the client noticed", i, status, text, err)
				}
			}
			if got := stateOf(s.pool, bad); got.State != pool.Ejected || got.Failures != 5 {
				t.Errorf("it is %s after %d failures, want it ejected after 5", got.State, got.Failures)
			}
			if posts == 0 || s.Stats().Failed.Load() != int64(posts) {
				t.Errorf("%d POSTs failed, %d counted; want some: what may have been acted upon is not sent again", posts, s.Stats().Failed.Load())
			}
			eventually(t, "a request is not counted once", func() bool { return s.total() == 16 })
		})
	}
}

// total is how many requests are counted, by the class of their answer.
func (s *httpService) total() (n uint64) {
	for _, classes := range s.Classes() {
		for _, m := range classes {
			n += m
		}
	}
	for _, m := range s.Stats().Answered() {
		n += m
	}
	return n
}

// A backend that breaks its responses behind their heads is found out, and no trial
// passes by such a head. Each request counts once.
func TestBackendThatBreaksItsResponsesIsEjected(t *testing.T) {
	const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	for name, pieces := range map[string][]string{
		"cut short at once":       {"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\nabc"},
		"cut short later":         {"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n", "abc", "def"},
		"a bad chunk at once":     {chunked + "zz\r\n"},
		"a bad chunk later":       {chunked, "3\r\nabc\r\n", "zz\r\n"},
		"no last chunk":           {chunked + "3\r\nabc\r\n"},
		"a chunk behind its head": {chunked, "3\r\nabc\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := startBackend(t, func(c *net.TCPConn) {
				if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
					for _, piece := range pieces {
						_, _ = io.WriteString(c, piece)
						time.Sleep(2 * time.Millisecond)
					}
				}
			})
			good := serveHTTP(t, func(http.ResponseWriter, *http.Request) {})
			s := startHTTP(t, pool.Config{Eject: pool.Eject{Backoff: 20 * time.Millisecond}}, Config{}, b.address, good)
			c := newClient(t)
			const requests = 60
			for range requests {
				_, _, _ = fetch(c, s.url)
				time.Sleep(5 * time.Millisecond)
			}
			got := stateOf(s.pool, b.address)
			if got.State != pool.Ejected || got.Failures < 6 {
				t.Errorf("it is %s after %d failures, want it ejected, and trials to fail", got.State, got.Failures)
			}
			if got.Requests != got.Failures {
				t.Errorf("%d failures of %d requests, want each to be one", got.Failures, got.Requests)
			}
			eventually(t, "a request is not counted once", func() bool { return s.total() == requests })
		})
	}
}

// Whoever else ends a response, or has the backend end it, is not the backend.
func TestResponseThatTheBackendDidNotBreak(t *testing.T) {
	endless := func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			_, _ = w.Write(make([]byte, 1000))
			w.(http.Flusher).Flush()
			time.Sleep(time.Millisecond)
		}
	}
	for name, c := range map[string]struct {
		cfg    Config
		serve  func(*net.TCPConn)
		handle http.HandlerFunc
		ask    func(t *testing.T, s *httpService)
	}{
		"the client leaves": {handle: endless, ask: func(t *testing.T, s *httpService) {
			resp, err := newClient(t).Get(s.url)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.CopyN(io.Discard, resp.Body, 5000)
			_ = resp.Body.Close()
		}},
		"nothing moves": {cfg: Config{Timeouts: Timeouts{Idle: 50 * time.Millisecond}}, handle: func(w http.ResponseWriter, r *http.Request) {
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, ask: func(t *testing.T, s *httpService) { _, _, _ = fetch(newClient(t), s.url) }},
		"it leaves": {cfg: Config{CloseOnRemove: true}, handle: endless, ask: func(t *testing.T, s *httpService) {
			resp, err := newClient(t).Get(s.url)
			if err != nil {
				t.Fatal(err)
			}
			s.pool.Update(nil)
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}},
		"the request goes on": {serve: func(c *net.TCPConn) {
			if _, err := http.ReadRequest(bufio.NewReaderSize(c, 16)); err == nil {
				_, _ = io.WriteString(c, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 5000\r\n\r\nabc")
				time.Sleep(5 * time.Millisecond)
				resets(c)
			}
		}, ask: func(t *testing.T, s *httpService) {
			conn := s.raw(t)
			_, _ = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nhalf")
			_, _ = io.ReadAll(conn)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var address string
			if c.serve != nil {
				address = startBackend(t, c.serve).address
			} else {
				address = serveHTTP(t, c.handle)
			}
			s := startHTTP(t, pool.Config{Guard: pool.Guard{Off: true}}, c.cfg, address)
			lease, err := s.pool.Acquire(0, nil)
			if err != nil {
				t.Fatal(err)
			}
			lease.Release()
			c.ask(t, s)
			eventually(t, "it is still asked", func() bool { return lease.Backend().InFlight() == 0 })
			if lease.Backend().Failing() {
				t.Error("it is held to have failed")
			}
		})
	}
}
