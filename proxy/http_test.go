package proxy

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"portside/discovery"
	"portside/pool"
	"portside/proxy/http1"
)

// httpService is a running HTTP proxy.
type httpService struct {
	*HTTP
	pool    *pool.Pool
	address string
	url     string
	stop    func() int64
}

func startHTTP(t testing.TB, pc pool.Config, cfg Config, addresses ...string) *httpService {
	t.Helper()
	s := &httpService{}
	s.pool = newTestPool(pc, func(b *pool.Backend) { s.BackendLeft(b) })
	s.HTTP = NewHTTP(s.pool, cfg)
	s.address, s.stop = serveFront(t, s.pool, s.HTTP, addresses)
	s.url = "http://" + s.address
	return s
}

// serveHTTP is a backend of net/http's.
func serveHTTP(t testing.TB, handler http.HandlerFunc) string {
	t.Helper()
	srv := httptest.NewServer(handler)
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
	})
	return srv.Listener.Addr().String()
}

func newClient(t testing.TB) *http.Client {
	tr := &http.Transport{MaxIdleConnsPerHost: 100, DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 20 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func fetch(c *http.Client, url string) (status int, body string, err error) {
	resp, err := c.Get(url)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

func TestHTTPBalancesEachRequestOfAConnection(t *testing.T) {
	var addresses []string
	for i := range 3 {
		addresses = append(addresses, serveHTTP(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, i) }))
	}
	s := startHTTP(t, pool.Config{}, Config{}, addresses...)
	c := newClient(t)
	got := map[string]int{}
	for range 30 {
		status, body, err := fetch(c, s.url)
		if err != nil || status != 200 {
			t.Fatal(status, err)
		}
		got[body]++
	}
	if got["0"] != 10 || got["1"] != 10 || got["2"] != 10 {
		t.Fatalf("answers %v over one connection, want ten of each", got)
	}
	if n := s.Stats().Connections.Load(); n != 1 {
		t.Fatalf("%d client connections, want one", n)
	}
	eventually(t, "not 30 durations observed", func() bool { return s.Duration().Count == 30 })
	if n := s.Classes()[addresses[0]]["2xx"]; n != 10 {
		t.Fatalf("%d answers of class 2xx counted, want 10", n)
	}
}

// What is counted of an address is what its present holder has answered: one that still
// finishes something when it comes back is the one that left.
func TestHTTPCountsOfAReturnedAddress(t *testing.T) {
	finish := make(chan struct{})
	a := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			<-finish
		}
	})
	s := startHTTP(t, pool.Config{}, Config{}, a)
	c := newClient(t)
	for range 7 {
		if status, _, err := fetch(c, s.url); err != nil || status != 200 {
			t.Fatal(status, err)
		}
	}
	slow := make(chan error, 1)
	go func() { _, _, err := fetch(c, s.url+"/slow"); slow <- err }()
	eventually(t, "the slow request is not under way", func() bool { return s.pool.Status().Backends[0].InFlight == 1 })
	s.pool.Update(nil)
	s.pool.Update([]discovery.Endpoint{{Address: a}})
	three := func(want uint64) {
		t.Helper()
		for range 3 {
			if status, _, err := fetch(c, s.url); err != nil || status != 200 {
				t.Fatal(status, err)
			}
		}
		for range 20 { // the order of a map is not the same twice
			if n := s.Classes()[a]["2xx"]; n != want {
				t.Fatalf("%d answers counted, want %d", n, want)
			}
		}
	}
	three(10)
	eventually(t, "not just the request that has been there all the while is in flight", func() bool { return s.pool.Status().Backends[0].InFlight == 1 })
	close(finish)
	if err := <-slow; err != nil {
		t.Error(err)
	}
	eventually(t, "the request stays in flight", func() bool { return s.pool.Status().Backends[0].InFlight == 0 })
	s.pool.Update(nil)
	s.pool.Update([]discovery.Endpoint{{Address: a}})
	three(3)
}

func TestHTTPReusesBackendConnections(t *testing.T) {
	var conns atomic.Int64
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") }))
	srv.Config.ConnState = func(_ net.Conn, st http.ConnState) {
		if st == http.StateNew {
			conns.Add(1)
		}
	}
	srv.Start()
	defer srv.Close()
	s := startHTTP(t, pool.Config{}, Config{}, srv.Listener.Addr().String())
	c := newClient(t)
	for range 100 {
		if _, body, err := fetch(c, s.url); body != "ok" || err != nil {
			t.Fatal(body, err)
		}
	}
	if n := conns.Load(); n != 1 {
		t.Fatalf("%d connections to the backend for 100 requests in a row, want one", n)
	}
	s.stop()
}

// What is sent both ways arrives, in each framing, and each size around the
// buffers' edges.
func TestHTTPCarriesBodies(t *testing.T) {
	address := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("backend read: %v", err)
		}
		w.Header().Set("X-Length", fmt.Sprint(r.ContentLength))
		if r.Header.Get("X-Chunked") == "" {
			w.Header().Set("Content-Length", fmt.Sprint(len(body)))
			_, _ = w.Write(body)
			return
		}
		for len(body) > 0 {
			n := min(1+rand.IntN(40_000), len(body))
			_, _ = w.Write(body[:n])
			w.(http.Flusher).Flush()
			body = body[n:]
		}
	})
	s := startHTTP(t, pool.Config{}, Config{}, address)
	c := newClient(t)
	sizes := []int{0, 1, 100, 4096, inSize - 200, inSize - 1, inSize, inSize + 1, backSize - 300, backSize, backSize + 1, 64 << 10, 100_000, 1 << 20, 5 << 20}
	for _, size := range sizes {
		payload := make([]byte, size)
		for i := range payload {
			payload[i] = byte(i * 7)
		}
		for _, chunkedUp := range []bool{false, true} {
			for _, chunkedDown := range []bool{false, true} {
				var body io.Reader = bytes.NewReader(payload)
				if chunkedUp {
					body = struct{ io.Reader }{body}
				}
				req, _ := http.NewRequest("POST", s.url+"/x", body)
				if chunkedDown {
					req.Header.Set("X-Chunked", "1")
				}
				resp, err := c.Do(req)
				if err != nil {
					t.Fatalf("%d bytes, chunked up %v down %v: %v", size, chunkedUp, chunkedDown, err)
				}
				got, err := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				if err != nil || !bytes.Equal(got, payload) {
					t.Fatalf("%d bytes, chunked up %v down %v: %d came back, %v", size, chunkedUp, chunkedDown, len(got), err)
				}
			}
		}
	}
	if n := s.Stats().Connections.Load(); n != 1 {
		t.Errorf("%d client connections, want one: bodies that were carried whole do not end it", n)
	}
}

func TestHTTPCarries50MBBothWays(t *testing.T) {
	size := 50 << 20
	if testing.Short() {
		size = 5 << 20
	}
	sum := func(r io.Reader) (string, error) {
		h := sha256.New()
		_, err := io.Copy(h, r)
		return fmt.Sprintf("%x", h.Sum(nil)), err
	}
	payload := func() io.Reader { return io.LimitReader(rand.NewChaCha8([32]byte{1}), int64(size)) }
	want, _ := sum(payload())
	address := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		got, err := sum(r.Body)
		if err != nil {
			t.Errorf("backend read: %v", err)
		}
		w.Header().Set("X-Sum", got)
		_, _ = io.Copy(w, payload())
	})
	s := startHTTP(t, pool.Config{}, Config{}, address)
	resp, err := newClient(t).Post(s.url, "", struct{ io.Reader }{payload()})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := sum(resp.Body)
	if err != nil || got != want || resp.Header.Get("X-Sum") != want {
		t.Fatalf("up %s, down %s, %v, want %s both ways", resp.Header.Get("X-Sum"), got, err, want)
	}
}

func TestHTTPForwardedFields(t *testing.T) {
	fields := func(w http.ResponseWriter, r *http.Request) {
		for name, values := range r.Header {
			if strings.Contains(name, "_") { // as CGI has it, it is one of the others
				fmt.Fprintf(w, "%s: %s|", name, values)
			}
		}
		fmt.Fprintf(w, "%s%s%s|%s|%s|%s|%s", r.Header.Get("X-Forwarded-Port"), r.Header.Get("X-Real-IP"), r.Header.Get("X-Forwarded-For"), r.Header.Get("X-Forwarded-Host"), r.Header.Get("X-Forwarded-Proto"), r.Header.Get("Via"), r.Host)
	}
	for how, want := range map[Forwarded]string{
		ForwardedAppend:  "9981.2.3.4, 5.6.7.8, 127.0.0.1|given.example|http|1.1 portside|orders.example",
		ForwardedReplace: "127.0.0.1|orders.example|http|1.1 portside|orders.example",
		ForwardedOff:     "9981.2.3.4|given.example|||orders.example",
	} {
		for version, c := range map[string]struct {
			backend string
			client  *http.Client
		}{"1.1": {serveHTTP(t, fields), newClient(t)}, "2.0": {serveH2C(t, fields), newH2CClient(t)}} {
			s := startHTTP(t, pool.Config{}, Config{HTTP: HTTPConfig{Forwarded: how}}, c.backend)
			req, _ := http.NewRequest("GET", s.url, nil)
			req.Host = "orders.example"
			req.Header["X-Forwarded-For"] = []string{"1.2.3.4", "5.6.7.8"}
			if how == ForwardedOff {
				req.Header["X-Forwarded-For"] = []string{"1.2.3.4"}
			}
			req.Header.Set("X-Forwarded-Host", "given.example")
			req.Header["x-forwarded-PORT"] = []string{"99"}
			req.Header.Set("X-Real-IP", "8")
			if how == ForwardedReplace {
				req.Header["X-Forwarded_for"] = []string{"6.6.6.6"}
				req.Header["X_Real_Ip"] = []string{"6.6.6.6"}
			}
			resp, err := c.client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if want := strings.Replace(want, "1.1 portside", version+" portside", 1); string(body) != want {
				t.Errorf("%s over HTTP/%s: backend saw %s, want %s", how, version, body, want)
			}
		}
	}
}

func TestHTTPHopByHopFieldsStayBehind(t *testing.T) {
	seen := make(chan http.Header, 1)
	address := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		seen <- r.Header.Clone()
		w.Header().Set("Connection", "X-Private")
		w.Header().Set("X-Private", "1")
		w.Header().Set("X-Kept", "1")
		w.Header().Set("Keep-Alive", "timeout=5")
	})
	s := startHTTP(t, pool.Config{}, Config{}, address)
	conn := s.raw(t)
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: X-Mine, keep-alive\r\nX-Mine: 1\r\nKeep-Alive: 1\r\nTE: trailers, deflate\r\nProxy-Connection: x\r\nX-Kept: 1\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	got := <-seen
	for _, name := range []string{"X-Mine", "Keep-Alive", "Proxy-Connection"} {
		if got.Get(name) != "" {
			t.Errorf("the backend saw %s", name)
		}
	}
	if got.Get("X-Kept") != "1" || got.Get("Te") != "trailers" {
		t.Errorf("the backend saw %v, want X-Kept and TE: trailers", got)
	}
	if resp.Header.Get("X-Private") != "" || resp.Header.Get("Keep-Alive") != "" || resp.Header.Get("X-Kept") != "1" {
		t.Errorf("the client saw %v, want X-Kept alone", resp.Header)
	}
}

// raw is a connection to the service.
func (s *httpService) raw(t testing.TB) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	t.Cleanup(func() { _ = c.Close() })
	return c.(*net.TCPConn)
}

func TestHTTPPipelinedRequestsAreAnsweredInOrder(t *testing.T) {
	address := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s", r.URL.Path, body)
	})
	s := startHTTP(t, pool.Config{}, Config{}, address)
	conn := s.raw(t)
	var batch strings.Builder
	for i := range 50 {
		switch i % 3 {
		case 0:
			fmt.Fprintf(&batch, "GET /%d HTTP/1.1\r\nHost: x\r\n\r\n", i)
		case 1:
			fmt.Fprintf(&batch, "POST /%d HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", i)
		case 2:
			fmt.Fprintf(&batch, "POST /%d HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", i)
		}
	}
	go func() {
		for text := batch.String(); text != ""; {
			n := min(1+rand.IntN(300), len(text))
			_, _ = io.WriteString(conn, text[:n])
			text = text[n:]
			time.Sleep(time.Duration(rand.IntN(500)) * time.Microsecond)
		}
	}()
	in := bufio.NewReader(conn)
	for i := range 50 {
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatalf("response %d: %v", i, err)
		}
		body, _ := io.ReadAll(resp.Body)
		want := fmt.Sprintf("/%d ", i)
		if i%3 != 0 {
			want += "abc"
		}
		if string(body) != want {
			t.Fatalf("response %d is %q, want %q", i, body, want)
		}
	}
}

func TestHTTPExpectContinue(t *testing.T) {
	address := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/no" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		body, _ := io.ReadAll(r.Body)
		_, _ = w.Write(body)
	})
	s := startHTTP(t, pool.Config{}, Config{}, address)
	for path, want := range map[string]string{"/yes": "HTTP/1.1 100 Continue", "/no": "HTTP/1.1 403 Forbidden"} {
		conn := s.raw(t)
		_, _ = io.WriteString(conn, "POST "+path+" HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
		in := bufio.NewReader(conn)
		line, err := in.ReadString('\n')
		if strings.TrimSpace(line) != want || err != nil {
			t.Fatalf("%s: %q, %v, want %q before the body is sent", path, line, err, want)
		}
		if path == "/yes" {
			_, _ = in.ReadString('\n')
			_, _ = io.WriteString(conn, "hello")
			resp, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			if body, _ := io.ReadAll(resp.Body); string(body) != "hello" {
				t.Fatalf("body %q", body)
			}
		}
	}
}

func TestHTTPInterimResponsesArePassedOn(t *testing.T) {
	address := serveHTTP(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</a.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(200)
	})
	s := startHTTP(t, pool.Config{}, Config{}, address)
	conn := s.raw(t)
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	in := bufio.NewReader(conn)
	first, err := http.ReadResponse(in, nil)
	if err != nil || first.StatusCode != 103 || first.Header.Get("Link") == "" {
		t.Fatalf("first %v, %v, want 103 with its Link", first, err)
	}
	if second, err := http.ReadResponse(in, nil); err != nil || second.StatusCode != 200 {
		t.Fatalf("second %v, %v, want 200", second, err)
	}
	old := s.raw(t)
	_, _ = io.WriteString(old, "GET / HTTP/1.0\r\n\r\n")
	if only, err := http.ReadResponse(bufio.NewReader(old), nil); err != nil || only.StatusCode != 200 {
		t.Fatalf("an HTTP/1.0 client got %v, %v, want 200 alone", only, err)
	}
}

func TestHTTP10Clients(t *testing.T) {
	address := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/chunked" {
			_, _ = w.Write([]byte("one "))
			w.(http.Flusher).Flush()
			_, _ = w.Write([]byte("two"))
			return
		}
		fmt.Fprint(w, "whole")
	})
	s := startHTTP(t, pool.Config{}, Config{}, address)
	for _, c := range []struct{ request, body string }{
		{"GET / HTTP/1.0\r\n\r\n", "whole"},
		{"GET /chunked HTTP/1.0\r\nHost: x\r\n\r\n", "one two"},
	} {
		conn := s.raw(t)
		_, _ = io.WriteString(conn, c.request)
		all, err := io.ReadAll(conn)
		if err != nil {
			t.Fatal(err)
		}
		head, body, _ := strings.Cut(string(all), "\r\n\r\n")
		if body != c.body || strings.Contains(head, "Transfer-Encoding") {
			t.Errorf("%q got %q, want the plain body %q until the close", c.request, all, c.body)
		}
	}
	conn := s.raw(t)
	in := bufio.NewReader(conn)
	for range 2 {
		_, _ = io.WriteString(conn, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
		resp, err := http.ReadResponse(in, nil)
		if err != nil || resp.Header.Get("Connection") != "keep-alive" {
			t.Fatalf("%v, %v, want the connection kept as was asked", resp, err)
		}
		_, _ = io.ReadAll(resp.Body)
	}
}

func TestHTTPTrailersBothWays(t *testing.T) {
	address := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body)
		w.Header().Set("Trailer", "X-Down")
		_, _ = io.WriteString(w, "body "+r.Trailer.Get("X-Up"))
		w.Header().Set("X-Down", "down")
	})
	s := startHTTP(t, pool.Config{}, Config{}, address)
	req, _ := http.NewRequest("POST", s.url, struct{ io.Reader }{strings.NewReader("x")})
	req.Trailer = http.Header{"X-Up": {"up"}}
	resp, err := newClient(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	if string(body) != "body up" || resp.Trailer.Get("X-Down") != "down" {
		t.Fatalf("body %q, trailer %v, want both trailers carried", body, resp.Trailer)
	}
}

func TestHTTPServerSentEventsAreNotHeldBack(t *testing.T) {
	next := make(chan string)
	address := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.(http.Flusher).Flush()
		for {
			select {
			case e := <-next:
				fmt.Fprintf(w, "data: %s\n\n", e)
				w.(http.Flusher).Flush()
			case <-r.Context().Done():
				return
			}
		}
	})
	s := startHTTP(t, pool.Config{}, Config{}, address)
	resp, err := newClient(t).Get(s.url)
	if err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(resp.Body)
	for i := range 20 {
		next <- fmt.Sprint(i)
		line, err := in.ReadString('\n')
		if line != fmt.Sprintf("data: %d\n", i) || err != nil {
			t.Fatalf("event %d: %q, %v", i, line, err)
		}
		_, _ = in.ReadString('\n')
	}
	_ = resp.Body.Close()
}

// A client that leaves while it waits has its backend's request ended within a
// second.
func TestHTTPClientGoneEndsTheBackendsRequest(t *testing.T) {
	for _, how := range []string{"reset", "end", "end in the middle of a stream"} {
		t.Run(how, func(t *testing.T) {
			began, gone := make(chan bool, 1), make(chan time.Time, 1)
			address := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
				if strings.Contains(how, "stream") {
					_, _ = io.WriteString(w, "first")
					w.(http.Flusher).Flush()
				}
				began <- true
				<-r.Context().Done()
				gone <- time.Now()
			})
			s := startHTTP(t, pool.Config{}, Config{}, address)
			conn := s.raw(t)
			_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			<-began
			time.Sleep(50 * time.Millisecond)
			left := time.Now()
			if how == "reset" {
				_ = conn.SetLinger(0)
			}
			if how == "end" {
				_ = conn.CloseWrite()
			} else {
				_ = conn.Close()
			}
			select {
			case at := <-gone:
				if took := at.Sub(left); took > time.Second {
					t.Fatalf("the backend's request ended after %s, want within a second", took)
				}
			case <-time.After(5 * time.Second):
				t.Fatal("the backend works on for nobody")
			}
			for _, b := range s.pool.Status().Backends {
				if b.Failures != 0 {
					t.Fatal("the backend was blamed for its client's leaving")
				}
			}
		})
	}
}

func TestHTTPTimeouts(t *testing.T) {
	release := make(chan bool)
	address := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/stalls" {
			_, _ = io.WriteString(w, "first")
			w.(http.Flusher).Flush()
		}
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	defer close(release)
	t.Run("response", func(t *testing.T) {
		s := startHTTP(t, pool.Config{}, Config{Timeouts: Timeouts{Response: 100 * time.Millisecond}}, address)
		began := time.Now()
		resp, err := newClient(t).Get(s.url)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if took := time.Since(began); resp.StatusCode != 504 || resp.Header.Get("X-Portside-Error") != "timeout" || took > atOnce {
			t.Fatalf("%d %v after %s, want 504 timeout after 100 ms", resp.StatusCode, resp.Header, took)
		}
		if b := stateOf(s.pool, address); b.Failures != 1 {
			t.Fatalf("%+v, want the silence counted against the backend", b)
		}
	})
	t.Run("head", func(t *testing.T) {
		s := startHTTP(t, pool.Config{}, Config{Timeouts: Timeouts{Head: 150 * time.Millisecond}}, address)
		conn := s.raw(t)
		began := time.Now()
		go func() {
			for _, c := range "GET / HTTP/1.1\r\nHost: slow.example\r\nX: " {
				if _, err := conn.Write([]byte{byte(c)}); err != nil {
					return
				}
				time.Sleep(30 * time.Millisecond)
			}
		}()
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if took := time.Since(began); err != nil || resp.StatusCode != 408 || took > atOnce {
			t.Fatalf("%v, %v after %s, want 408 after 150 ms, however the bytes trickle", resp, err, took)
		}
	})
	t.Run("idle in a body", func(t *testing.T) {
		s := startHTTP(t, pool.Config{}, Config{Timeouts: Timeouts{Idle: 100 * time.Millisecond}}, address)
		resp, err := newClient(t).Get(s.url + "/stalls")
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		_, err = io.ReadAll(resp.Body)
		if took := time.Since(began); err == nil || took > atOnce {
			t.Fatalf("a stalled body ended with %v after %s, want it broken off, and not to look whole", err, took)
		}
	})
	t.Run("idle between requests", func(t *testing.T) {
		s := startHTTP(t, pool.Config{}, Config{Timeouts: Timeouts{Idle: 100 * time.Millisecond}}, address)
		conn := s.raw(t)
		began := time.Now()
		if _, err := conn.Read(make([]byte, 1)); err != io.EOF || time.Since(began) > atOnce {
			t.Fatalf("%v after %s, want an idle client let go after 100 ms", err, time.Since(began))
		}
	})
}

func TestHTTPErrorsSayWhatTheyAre(t *testing.T) {
	garbage := startBackend(t, func(c *net.TCPConn) {
		_, _ = c.Read(make([]byte, 1000))
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd")
	})
	for _, c := range []struct {
		name      string
		addresses []string
		status    int
		kind      string
	}{
		{"no backends", []string{}, 503, "no_backends"},
		{"refused", []string{refusing(t)}, 502, "connect_failed"},
		{"closed", []string{startBackend(t, closes).address}, 502, "reset"},
		{"garbage", []string{garbage.address}, 502, "bad_response"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := startHTTP(t, pool.Config{}, Config{}, c.addresses...)
			client := newClient(t)
			for range 2 { // the connection stays good
				resp, err := client.Get(s.url)
				if err != nil {
					t.Fatal(err)
				}
				body, _ := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				if resp.StatusCode != c.status || resp.Header.Get("X-Portside-Error") != c.kind || len(body) < 20 {
					t.Fatalf("%d %s %q, want %d %s and a sentence", resp.StatusCode, resp.Header.Get("X-Portside-Error"), body, c.status, c.kind)
				}
				if c.status == 503 && resp.Header.Get("Retry-After") == "" {
					t.Fatal("503 without Retry-After")
				}
			}
			if n := s.Stats().Connections.Load(); n != 1 {
				t.Fatalf("%d client connections, want one: an error of a backend's is no reason to close", n)
			}
		})
	}
}

// Before the first list nobody knows that there is no backend.
func TestHTTPSaysThatThereIsNoListYet(t *testing.T) {
	s := startHTTP(t, pool.Config{}, Config{Timeouts: Timeouts{Connect: 20 * time.Millisecond}})
	if status, body, err := fetch(newClient(t), s.url); err != nil || status != 503 || !strings.Contains(body, "not in yet") {
		t.Errorf("%d %q %v, want a 503 that says that the list is not in", status, body, err)
	}
}

func TestHTTPMismatchIsSaid(t *testing.T) {
	s := startHTTP(t, pool.Config{}, Config{}, refusing(t))
	conn := s.raw(t)
	_, _ = conn.Write([]byte{22, 3, 1, 0, 5, 1, 0, 0, 1, 3})
	if all, _ := io.ReadAll(conn); !bytes.Equal(all, tlsAlert[:]) {
		t.Fatalf("%v, want a TLS alert", all)
	}
}

// 1 of 3 is bad from the start: GETs never fail, nor does anything that was not
// sent.
func TestHTTPHidesABadBackend(t *testing.T) {
	for name, bad := range map[string]func(t *testing.T) string{
		"refuses": refusing,
		"resets":  func(t *testing.T) string { return startBackend(t, resets).address },
		"closes":  func(t *testing.T) string { return startBackend(t, closes).address },
	} {
		t.Run(name, func(t *testing.T) {
			ok := func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") }
			address := bad(t)
			s := startHTTP(t, pool.Config{}, Config{}, serveHTTP(t, ok), address, serveHTTP(t, ok))
			c := newClient(t)
			for i := range 300 {
				if status, body, err := fetch(c, s.url); status != 200 || err != nil {
					t.Fatalf("GET %d: %d %q %v", i, status, body, err)
				}
			}
			if got := stateOf(s.pool, address); got.State != pool.Ejected {
				t.Fatalf("the bad backend is %s, want ejected", got.State)
			}
		})
	}
}

func TestHTTPPostIsRetriedOnlyWhenNotSent(t *testing.T) {
	var posts atomic.Int64
	ok := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body)
		posts.Add(1)
		fmt.Fprint(w, "ok")
	}
	s := startHTTP(t, pool.Config{}, Config{}, serveHTTP(t, ok), refusing(t))
	c := newClient(t)
	for i := range 50 {
		resp, err := c.Post(s.url, "", strings.NewReader("payload"))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != 200 {
			t.Fatalf("POST %d: %d, though a refused connection proves that nothing was sent", i, resp.StatusCode)
		}
	}
	if n := posts.Load(); n != 50 {
		t.Fatalf("%d posts arrived of 50", n)
	}

	// This one reads the whole request, then dies: who knows what it did.
	var seen atomic.Int64
	dies := startBackend(t, func(c *net.TCPConn) {
		r, err := http.ReadRequest(bufio.NewReader(c))
		if err == nil {
			_, _ = io.ReadAll(r.Body)
			seen.Add(1)
		}
	})
	s = startHTTP(t, pool.Config{Eject: pool.Eject{Consecutive: -1}}, Config{}, dies.address, serveHTTP(t, ok))
	failed := int64(0)
	for range 40 {
		resp, err := c.Post(s.url, "", strings.NewReader("payload"))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode == 502 {
			failed++
		}
	}
	if seen.Load() == 0 || failed != seen.Load() {
		t.Fatalf("%d posts reached the dying backend, %d clients were told; want each told, none sent twice", seen.Load(), failed)
	}
	req, _ := http.NewRequest("POST", s.url, strings.NewReader("payload"))
	req.Header.Set("Idempotency-Key", "k")
	for range 10 {
		req.Body = io.NopCloser(strings.NewReader("payload"))
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != 200 {
			t.Fatalf("a POST with an Idempotency-Key: %d, want it tried again", resp.StatusCode)
		}
	}
}

// Backends that close after every few responses, said or unsaid: no GET fails, no
// POST is seen twice.
func TestHTTPBackendsThatCloseAfterSomeResponses(t *testing.T) {
	for _, said := range []bool{true, false} {
		t.Run(fmt.Sprintf("said %v", said), func(t *testing.T) {
			var mu sync.Mutex
			seen := map[string]int{}
			closing := func(c *net.TCPConn) {
				in := bufio.NewReader(c)
				for i := 1; ; i++ {
					r, err := http.ReadRequest(in)
					if err != nil {
						return
					}
					_, _ = io.ReadAll(r.Body)
					mu.Lock()
					seen[r.URL.Path]++
					mu.Unlock()
					last := i == 7
					extra := ""
					if last && said {
						extra = "Connection: close\r\n"
					}
					_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n"+extra+"Content-Length: 2\r\n\r\nok")
					if last {
						return
					}
				}
			}
			s := startHTTP(t, pool.Config{}, Config{}, startBackend(t, closing).address)
			c := newClient(t)
			n := 1000
			if testing.Short() {
				n = 200
			}
			for i := range n {
				if status, _, err := fetch(c, fmt.Sprintf("%s/get/%d", s.url, i)); status != 200 || err != nil {
					t.Fatalf("GET %d: %d %v", i, status, err)
				}
				resp, err := c.Post(fmt.Sprintf("%s/post/%d", s.url, i), "", strings.NewReader("x"))
				if err != nil {
					t.Fatal(err)
				}
				_, _ = io.ReadAll(resp.Body)
				_ = resp.Body.Close()
			}
			for path, n := range seen {
				if strings.HasPrefix(path, "/post") && n > 1 {
					t.Errorf("%s was seen %d times", path, n)
				}
			}
		})
	}
}

func TestHTTPTruncatedResponsesDoNotLookWhole(t *testing.T) {
	for name, text := range map[string]string{
		"length":  "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
		"chunked": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nhalf",
		"bad":     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			b := startBackend(t, func(c *net.TCPConn) {
				_, _ = c.Read(make([]byte, 1000))
				_, _ = io.WriteString(c, text)
				time.Sleep(20 * time.Millisecond)
			})
			s := startHTTP(t, pool.Config{}, Config{}, b.address)
			resp, err := newClient(t).Get(s.url)
			if err != nil {
				return // broken off before the head was read: as good
			}
			defer resp.Body.Close()
			if body, err := io.ReadAll(resp.Body); err == nil && resp.StatusCode != 502 {
				t.Fatalf("half a response came as %q without an error", body)
			}
		})
	}
}

func TestHTTPEarlyResponseWhileTheBodyComes(t *testing.T) {
	b := startBackend(t, func(c *net.TCPConn) {
		_, _ = c.Read(make([]byte, 100))
		_, _ = io.WriteString(c, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
		time.Sleep(100 * time.Millisecond)
	})
	s := startHTTP(t, pool.Config{}, Config{}, b.address)
	conn := s.raw(t)
	_, _ = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n")
	stop := make(chan bool)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				if _, err := conn.Write(make([]byte, 1000)); err != nil {
					return
				}
				time.Sleep(time.Millisecond)
			}
		}
	})
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || resp.StatusCode != 413 {
		t.Fatalf("%v, %v, want the early 413", resp, err)
	}
	if body, err := io.ReadAll(resp.Body); string(body) != "big" || err != nil {
		t.Fatalf("body %q, %v", body, err)
	}
	close(stop)
	wg.Wait()
}

func TestHTTPStreamsBothWaysAtOnce(t *testing.T) {
	address := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		_ = rc.EnableFullDuplex()
		_ = rc.Flush()
		in := bufio.NewReader(r.Body)
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			_, _ = io.WriteString(w, "echo "+line)
			_ = rc.Flush()
		}
	})
	s := startHTTP(t, pool.Config{}, Config{}, address)
	pr, pw := io.Pipe()
	resp, err := newClient(t).Post(s.url, "", pr)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	in := bufio.NewReader(resp.Body)
	for i := range 20 {
		fmt.Fprintf(pw, "%d\n", i)
		if line, err := in.ReadString('\n'); line != fmt.Sprintf("echo %d\n", i) || err != nil {
			t.Fatalf("line %d: %q, %v", i, line, err)
		}
	}
	_ = pw.Close()
	if rest, err := io.ReadAll(in); len(rest) != 0 || err != nil {
		t.Fatalf("rest %q, %v", rest, err)
	}
}

func TestHTTPUpgradeIsATunnel(t *testing.T) {
	b := startBackend(t, func(c *net.TCPConn) {
		in := bufio.NewReader(c)
		r, err := http.ReadRequest(in)
		if err != nil || r.Header.Get("Upgrade") != "echo" {
			_, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\nwelcome ")
		_, _ = io.Copy(c, in)
	})
	s := startHTTP(t, pool.Config{}, Config{}, b.address)
	conn := s.raw(t)
	_, _ = io.WriteString(conn, "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nearly ")
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil || resp.StatusCode != 101 || resp.Header.Get("Upgrade") != "echo" {
		t.Fatalf("%v, %v, want 101", resp, err)
	}
	_, _ = io.WriteString(conn, "later")
	_ = conn.CloseWrite()
	all, err := io.ReadAll(in)
	if string(all) != "welcome early later" || err != nil {
		t.Fatalf("%q, %v, want both ways, early bytes included, and half-closed", all, err)
	}
}

func TestHTTPDrain(t *testing.T) {
	began, release := make(chan bool, 1), make(chan bool)
	address := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			began <- true
			<-release
		}
		fmt.Fprint(w, "ok")
	})
	s := startHTTP(t, pool.Config{}, Config{DrainTimeout: 10 * time.Second}, address)
	idle := s.raw(t)
	_, _ = io.WriteString(idle, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	in := bufio.NewReader(idle)
	if resp, err := http.ReadResponse(in, nil); err != nil {
		t.Fatal(err)
	} else {
		_, _ = io.ReadAll(resp.Body)
	}
	result := make(chan error, 1)
	go func() {
		resp, err := newClient(t).Get(s.url + "/slow")
		if err == nil {
			if !resp.Close {
				err = errors.New("the last response of a draining service does not say that the connection ends")
			}
			_ = resp.Body.Close()
		}
		result <- err
	}()
	<-began
	cut := make(chan int64)
	go func() { cut <- s.stop() }()
	if _, err := in.ReadByte(); err != io.EOF {
		t.Fatalf("an idle client reads %v while draining, want the end", err)
	}
	close(release)
	if err := <-result; err != nil {
		t.Fatalf("the request that had begun: %v", err)
	}
	if n := <-cut; n != 0 {
		t.Fatalf("%d cut, want none", n)
	}
}

// What is cut at the end of the drain is our doing, and no backend is blamed.
func TestHTTPDrainSaysThatItCuts(t *testing.T) {
	t.Parallel()
	began, release := make(chan bool, 1), make(chan bool)
	defer close(release)
	s := startHTTP(t, pool.Config{}, Config{DrainTimeout: 100 * time.Millisecond}, serveHTTP(t, func(http.ResponseWriter, *http.Request) {
		began <- true
		<-release
	}))
	result := make(chan string, 1)
	go func() {
		resp, err := newClient(t).Get(s.url)
		if err != nil {
			result <- err.Error()
			return
		}
		_ = resp.Body.Close()
		result <- fmt.Sprint(resp.StatusCode, resp.Header.Get("X-Portside-Error"), resp.Close)
	}()
	<-began
	start := time.Now()
	if n := s.stop(); n != 1 {
		t.Errorf("%d cut, want one", n)
	}
	if took := time.Since(start); took > 1500*time.Millisecond {
		t.Errorf("the drain took %v", took)
	}
	if got, want := <-result, fmt.Sprint(503, "draining", true); got != want {
		t.Errorf("the client got %s, want %s", got, want)
	}
	for _, b := range s.pool.Status().Backends {
		if b.Failures != 0 {
			t.Errorf("%d failures are counted against %s", b.Failures, b.Address)
		}
	}
}

// What was read of a head that nobody completes is no part of the next client's.
func TestHTTPExchangeIsGivenBackClean(t *testing.T) {
	s := &httpSession{h: NewHTTP(pool.New(pool.Config{}), Config{}), ctx: t.Context()}
	x := exchanges.Get().(*exchange)
	s.x = x
	x.w = copy(x.in, "POST /admin HTTP/1.1\r\nHost: victim\r\nAuthorization: secret\r\nX-Half: ")
	if s.whole() {
		t.Fatal("half a head is taken for a whole one")
	}
	s.release()
	x.w = copy(x.in, "GET / HTTP/1.1\r\nHost: other\r\nUser-Agent: one-that-is-as-long-as-what-was-there-before\r\nA: b\r\n\r\n")
	if _, err := x.req.Parse(x.in[:x.w], http1.Limits{}); err != nil || string(x.req.Host) != "other" || string(x.req.Path) != "/" {
		t.Errorf("%s of %s, %v: read with what was left of another's head", x.req.Path, x.req.Host, err)
	}
}

// A body that goes on until the connection ends is nothing that nobody asked for.
func TestHTTPBodyUntilCloseIsNotUntidy(t *testing.T) {
	b := startBackend(t, func(c *net.TCPConn) {
		if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.0 200 OK\r\n\r\nfirst")
		time.Sleep(50 * time.Millisecond)
		_, _ = io.WriteString(c, "second")
	})
	s := startHTTP(t, pool.Config{}, Config{}, b.address)
	if status, body, err := fetch(newClient(t), s.url); status != 200 || body != "firstsecond" || err != nil {
		t.Fatal(status, body, err)
	}
	s.stocks.Range(func(_, st any) bool {
		if st.(*stock).untidy.Load() {
			t.Error("the backend counts as one that sends what nobody asked for")
		}
		return true
	})
}

// The warden and a cut may end a session in one moment.
func TestWatchEndsOnce(t *testing.T) {
	for range 500 {
		var w watch
		w.enter(phaseHead, 1)
		var ends atomic.Int64
		var all sync.WaitGroup
		for _, why := range []error{errHeadSlow, errDraining} {
			all.Go(func() {
				if w.end(phaseHead, 1, why) {
					ends.Add(1)
					w.settle()
				}
			})
		}
		for w.why() == nil {
			runtime.Gosched()
		}
		why := w.why()
		all.Wait()
		if n := ends.Load(); n != 1 || w.why() != why || w.enter(phaseIdle, 2) {
			t.Fatalf("ended %d times, by %v and then %v", n, why, w.why())
		}
	}
}

// Backends are killed and started again, one after another, under traffic.
func TestHTTPRollingRestartFailsNothing(t *testing.T) {
	var servers [3]*restartable
	var addresses []string
	for i := range servers {
		servers[i] = newRestartable(t)
		addresses = append(addresses, servers[i].address)
	}
	s := startHTTP(t, pool.Config{Eject: pool.Eject{Backoff: 100 * time.Millisecond}}, Config{}, addresses...)
	ctx, cancel := context.WithCancel(t.Context())
	var traffic sync.WaitGroup
	var sent, failed atomic.Int64
	for range 4 {
		traffic.Go(func() {
			c := newClient(t)
			for ctx.Err() == nil {
				status, body, err := fetch(c, s.url)
				sent.Add(1)
				if err != nil || status != 200 {
					failed.Add(1)
					t.Errorf("%d %q %v", status, body, err)
				}
				time.Sleep(2 * time.Millisecond)
			}
		})
	}
	for range 2 {
		for _, srv := range servers {
			srv.kill()
			time.Sleep(150 * time.Millisecond)
			srv.start(t)
			time.Sleep(300 * time.Millisecond)
		}
	}
	cancel()
	traffic.Wait()
	t.Logf("%d requests, %d failed, %d second tries", sent.Load(), failed.Load(), s.Stats().Retries.Load())
}

// restartable is a backend that dies without a word, as by kill -9.
type restartable struct {
	address string
	srv     *http.Server
	ln      net.Listener
	wg      sync.WaitGroup
}

func newRestartable(t *testing.T) *restartable {
	r := &restartable{address: ownHost() + ":0"}
	r.start(t)
	t.Cleanup(r.kill)
	return r
}

func (r *restartable) start(t *testing.T) {
	ln, err := net.Listen("tcp", r.address)
	if err != nil {
		t.Fatal(err)
	}
	r.ln, r.address = ln, ln.Addr().String()
	r.srv = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(time.Millisecond)
		fmt.Fprint(w, "ok")
	})}
	srv := r.srv
	r.wg.Go(func() { _ = srv.Serve(ln) })
}

func (r *restartable) kill() {
	_ = r.srv.Close()
	r.wg.Wait()
}

// Backends that speak nothing but h2c, and a client that does not: that says nothing of
// the backends, which may serve others well.
func TestHTTPClientOfBackendsThatSpeakHTTP2Alone(t *testing.T) {
	var log bytes.Buffer
	var mu sync.Mutex
	greets := startBackend(t, func(c *net.TCPConn) {
		_, _ = c.Write(frame(frameSettings, 0, 0, 0, 3, 0, 0, 0, 100))
		_, _ = c.Write(frame(frameGoAway, 0, 0, append(word(0), word(1)...)...))
		_ = c.CloseWrite()
		_, _ = io.Copy(io.Discard, c)
	})
	rpc := startRPC(t, "b")
	s := startHTTP(t, pool.Config{}, Config{Log: slog.New(slog.NewTextHandler(lockedWriter{&mu, &log}, nil))}, greets.address, rpc.address)
	for _, address := range []string{greets.address, rpc.address} { // others are served by them
		s.h2c.trunksTo(backendOf(t, s.pool, address)).spoke.Store(true)
	}
	for range 4 {
		for _, method := range []string{"GET", "POST"} {
			req, _ := http.NewRequestWithContext(t.Context(), method, s.url, nil)
			resp, err := newClient(t).Do(req)
			if err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode != 502 || resp.Header.Get("X-Portside-Error") != "bad_response" || !strings.Contains(string(text), "HTTP/2 with prior knowledge") {
				t.Fatalf("%s %q %s, want to be told which protocol to speak", resp.Status, resp.Header.Get("X-Portside-Error"), text)
			}
		}
	}
	if n := stateOf(s.pool, greets.address).Failures + stateOf(s.pool, rpc.address).Failures; n != 0 {
		t.Errorf("%d failures of the backends counted", n)
	}
	mu.Lock()
	if n := strings.Count(log.String(), "HTTP/1.1 is not translated"); n != 1 {
		t.Errorf("%d hints, want one:\n%s", n, &log)
	}
	mu.Unlock()
	// One that has served nobody over HTTP/2 is as good as broken.
	s.h2c.trunksTo(backendOf(t, s.pool, greets.address)).spoke.Store(false)
	for range 40 {
		if resp, err := newClient(t).Get(s.url); err == nil {
			_ = resp.Body.Close()
		}
	}
	if st := stateOf(s.pool, greets.address); st.State != pool.Ejected {
		t.Errorf("a backend that answers nobody is %s, %d failures, want it ejected", st.State, st.Failures)
	}
	// Beside one that does speak HTTP/1, no request is lost.
	s.pool.Update(endpointsOf(greets.address, rpc.address, serveHTTP(t, func(http.ResponseWriter, *http.Request) {})))
	for range 6 {
		resp, err := newClient(t).Post(s.url, "text/plain", strings.NewReader("once"))
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("%v, %v, want the one that does to be asked", resp, err)
		}
		_ = resp.Body.Close()
	}
}
