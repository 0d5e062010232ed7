package proxy

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"portside/pool"
	"portside/proxy/http1"
	"portside/proxy/http1/http1test"
)

// recorder is a backend that keeps every byte it gets and answers whole requests.
type recorder struct {
	address string
	mu      sync.Mutex
	got     [][]byte // by connection that got anything since the last take
	open    int      // connections in the middle of a request
	total   int64    // bytes
	answer  func(n int) string
}

func startRecorder(t testing.TB) *recorder {
	t.Helper()
	r := &recorder{answer: func(int) string { return "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" }}
	r.address = startBackend(t, func(c *net.TCPConn) { r.serve(c) }).address
	return r
}

func (r *recorder) serve(c net.Conn) {
	buf := make([]byte, 0, 1<<20)
	whole := 0 // of buf: requests that are whole
	for {
		n, err := c.Read(buf[len(buf):cap(buf)])
		first := len(buf) == whole && n > 0
		buf = buf[:len(buf)+n]
		answers := 0
		for {
			size := requestSize(buf[whole:])
			if size == 0 {
				break
			}
			whole += size
			answers++
		}
		r.mu.Lock()
		r.total += int64(n)
		if first {
			r.open++
		}
		if (len(buf) == whole || err != nil) && (first || answers > 0 || err != nil && len(buf) > whole) {
			r.open--
		}
		if len(buf) == whole && answers > 0 || err != nil && len(buf) > 0 {
			r.got = append(r.got, bytes.Clone(buf))
			buf, whole = buf[:0], 0
		}
		r.mu.Unlock()
		for range answers {
			_, _ = io.WriteString(c, r.answer(1))
		}
		if err != nil {
			return
		}
	}
}

// requestSize is how many bytes the whole request has that b starts with; 0: it is
// not whole.
func requestSize(b []byte) int {
	var req http1.Request
	n, err := req.Parse(b, http1.Limits{Head: 1 << 20, Target: 1 << 20})
	if err != nil {
		return 0
	}
	switch req.Kind {
	case http1.Length:
		if int64(len(b)-n) < req.Length {
			return 0
		}
		n += int(req.Length)
	case http1.Chunked:
		var c http1.ChunkReader
		_, taken, err := c.Decode(bytes.Clone(b[n:]))
		if err != nil || !c.Done() {
			return 0
		}
		n += taken
	}
	return n
}

// take returns what was got since the last take, when nothing is under way and all
// that s has sent has come.
func (r *recorder) take(t testing.TB, s *httpService) (got [][]byte) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		r.mu.Lock()
		if r.open == 0 && r.total == s.Stats().Bytes.ToBackend.Load() {
			got, r.got = r.got, nil
			r.mu.Unlock()
			return got
		}
		r.mu.Unlock()
		if time.Now().After(end) {
			t.Fatal("the backend still holds a part of a request after 5 s")
		}
	}
}

// passed is what a request is passed on as: with the authority that an HTTP/1.0
// client need not name, and an Upgrade.
func passed(c http1test.Case, local string) string {
	head := strings.Replace(c.Head, "\r\nHost: \r\n", "\r\nHost: "+local+"\r\n", 1)
	var req http1.Request
	if _, err := req.Parse([]byte(c.Raw), http1.Limits{}); err == nil && upgrades(&req) {
		head = head[:len(head)-2] + "Connection: Upgrade\r\nUpgrade: " + string(req.Upgrade) + "\r\n\r\n"
	}
	return head
}

// sameRequest says how raw, which a backend got, differs from what c is passed on
// as; "" if not.
func sameRequest(raw []byte, c http1test.Case, local string) string {
	head, body, _ := strings.Cut(string(raw), "\r\n\r\n")
	if want := passed(c, local); head+"\r\n\r\n" != want {
		return "head " + head + "\nwant " + want
	}
	if !strings.Contains(head, "chunked") {
		if body != c.Body {
			return "body " + body
		}
		return ""
	}
	var r http1.ChunkReader
	data, n, err := r.Decode([]byte(body))
	if err != nil || n != len(body) || string(data) != c.Body || string(r.Trailer) != c.Trailer {
		return "chunks " + body
	}
	return ""
}

// Every message of the table, at once and in pieces: what is fine arrives to the
// byte, what is not never does.
func TestHTTPRequestsGoOnInOneWayOrNotAtAll(t *testing.T) {
	r := startRecorder(t)
	s := startHTTP(t, pool.Config{}, Config{HTTP: HTTPConfig{Forwarded: ForwardedOff}}, r.address)
	splits := 4
	if testing.Short() {
		splits = 1
	}
	for _, c := range http1test.Requests() {
		if c.Status == 0 && requestSize([]byte(c.Raw)) == 0 {
			continue // it is not whole, and is waited for
		}
		t.Run(c.Name, func(t *testing.T) {
			requestAsIs(t, s, r, c, len(c.Raw))
			for range min(splits, len(c.Raw)-1) {
				requestAsIs(t, s, r, c, 1+rand.IntN(len(c.Raw)-1))
			}
		})
	}
}

// requestAsIs sends c in two pieces and looks at both ends.
func requestAsIs(t *testing.T, s *httpService, r *recorder, c http1test.Case, split int) {
	t.Helper()
	conn := s.raw(t)
	defer conn.Close()
	_, _ = io.WriteString(conn, c.Raw[:split])
	if split < len(c.Raw) {
		time.Sleep(500 * time.Microsecond)
		_, _ = io.WriteString(conn, c.Raw[split:])
	}
	in := bufio.NewReader(conn)
	method := ""
	if m, _, ok := strings.Cut(c.Head, " "); ok {
		method = m
	}
	resp, err := http.ReadResponse(in, &http.Request{Method: method})
	if err != nil {
		t.Fatalf("split at %d: no response: %v", split, err)
	}
	body, _ := io.ReadAll(resp.Body)
	if c.Status == 0 {
		if resp.StatusCode != 200 {
			t.Fatalf("split at %d: %d %q, want it passed on", split, resp.StatusCode, body)
		}
		if requestSize([]byte(c.Rest)) > 0 {
			if _, err := http.ReadResponse(in, nil); err != nil {
				t.Fatalf("split at %d: the next request: %v", split, err)
			}
		}
		got := r.take(t, s)
		if len(got) == 0 {
			t.Fatal("answered, though the backend saw nothing")
		}
		raw := got[0]
		if diff := sameRequest(raw[:requestSize(raw)], c, conn.RemoteAddr().String()); diff != "" {
			t.Fatalf("split at %d: the backend got %q: %s", split, raw, diff)
		}
		return
	}
	if resp.StatusCode != c.Status || resp.Header.Get("X-Portside-Error") != "bad_request" || !resp.Close || method != "HEAD" && len(body) < 30 {
		t.Fatalf("split at %d: %d %v %q, want %d bad_request, the connection to close, and a reason", split, resp.StatusCode, resp.Header, body, c.Status)
	}
	if _, err := in.ReadByte(); !errors.Is(err, io.EOF) {
		t.Fatalf("split at %d: %v behind the refusal, want the end", split, err)
	}
	for _, raw := range r.take(t, s) {
		if !c.InBody {
			t.Fatalf("split at %d: %q of a refused message reached the backend", split, raw)
		}
		if requestSize(raw) != 0 {
			t.Fatalf("split at %d: a refused message reached the backend as the whole %q", split, raw)
		}
	}
}

// Likewise the other way: what is fine arrives, what is not becomes a 502, and
// what breaks in the middle is broken off.
func TestHTTPResponsesGoOnInOneWayOrNotAtAll(t *testing.T) {
	var raw string
	b := startBackend(t, func(c *net.TCPConn) {
		if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
			return
		}
		_, _ = io.WriteString(c, raw)
	})
	s := startHTTP(t, pool.Config{Eject: pool.Eject{Consecutive: -1}}, Config{Retry: Retry{Attempts: 1}}, b.address)
	for _, c := range http1test.Responses() {
		t.Run(c.Name, func(t *testing.T) {
			raw = c.Raw
			conn := s.raw(t)
			_, _ = io.WriteString(conn, c.Method+" / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
			all, rerr := io.ReadAll(conn)
			in := bufio.NewReader(bytes.NewReader(all))
			resp, err := http.ReadResponse(in, &http.Request{Method: c.Method})
			if c.InBody && rerr != nil && len(all) == 0 {
				return // broken off before a byte was read: as good
			}
			if err != nil {
				t.Fatalf("%q: %v, want a response", all, err)
			}
			body, berr := io.ReadAll(resp.Body)
			switch {
			case c.Status != 0 && resp.StatusCode == 502:
				if resp.Header.Get("X-Portside-Error") == "" {
					t.Fatal("502 without a reason")
				}
			case c.Status != 0 && c.InBody:
				if berr == nil && rerr == nil {
					t.Fatalf("%q was passed on as if it were whole: %q", c.Raw, all)
				}
			case c.Status != 0:
				t.Fatalf("%q was passed on as %q, want 502", c.Raw, all)
			case strings.HasPrefix(c.Raw, "HTTP/1.1 1"): // its final response never comes
			case string(body) != c.Body || berr != nil:
				t.Fatalf("%q was passed on with body %q, %v, want %q", c.Raw, body, berr, c.Body)
			}
		})
	}
}
