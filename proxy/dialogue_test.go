package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"portside/pool"
)

// get asks for path on a kept connection and returns the body.
func get(t *testing.T, c net.Conn, in *bufio.Reader, path string) string {
	t.Helper()
	request(c, path)
	return body(t, in)
}

func request(c net.Conn, path string) { fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path) }

func body(t *testing.T, in *bufio.Reader) string {
	t.Helper()
	b, err := answer(in)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// answer is the next response's body.
func answer(in *bufio.Reader) (string, error) {
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

// A client that has long been asking ends its stream together with its last
// request. The two come in one wake-up, so that nobody tells of the end.
func TestHTTPClientThatEndsWithItsLastRequest(t *testing.T) {
	t.Parallel()
	s := startHTTP(t, pool.Config{}, Config{}, serveHTTP(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Path) }))
	for _, before := range []int{0, 1, dialogue, 20} {
		conn := s.raw(t)
		in := bufio.NewReader(conn)
		for i := range before {
			get(t, conn, in, fmt.Sprint("/", i))
		}
		request(conn, "/last")
		_ = conn.CloseWrite()
		if got := body(t, in); got != "/last" {
			t.Fatalf("the last request was answered %q", got)
		}
		start := time.Now()
		_ = conn.SetReadDeadline(start.Add(5 * time.Second))
		if _, err := in.ReadByte(); err != io.EOF || time.Since(start) > time.Second {
			t.Errorf("after %d requests and an end: %v after %v, want the end within a second", before, err, time.Since(start))
		}
	}
}

// Requests that come while another is being answered are not forgotten.
func TestHTTPRequestsThatComeMeanwhile(t *testing.T) {
	t.Parallel()
	s := startHTTP(t, pool.Config{}, Config{}, serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(20 * time.Millisecond)
		fmt.Fprint(w, r.URL.Path)
	}))
	conn := s.raw(t)
	in := bufio.NewReader(conn)
	for i := range dialogue {
		get(t, conn, in, fmt.Sprint("/", i))
	}
	const n = 20
	start := time.Now()
	go func() {
		for i := range n {
			request(conn, fmt.Sprint("/", i))
			time.Sleep(5 * time.Millisecond)
		}
	}()
	for i := range n {
		if got, want := body(t, in), fmt.Sprint("/", i); got != want {
			t.Fatalf("answered %q, want %q", got, want)
		}
	}
	if took := time.Since(start); took > n*20*time.Millisecond+2*time.Second {
		t.Errorf("took %v: a request waited for somebody to look", took)
	}
}

// A backend ends its side of a connection just after it has answered, and goes on
// reading for a while, as servers do that close carefully. A request sent into
// that is not left waiting.
func TestHTTPBackendThatHasJustEndedItsSide(t *testing.T) {
	t.Parallel()
	var served atomic.Int64
	careful := startBackend(t, func(c *net.TCPConn) {
		in := bufio.NewReader(c)
		for range 2 {
			if _, err := http.ReadRequest(in); err != nil {
				return
			}
			served.Add(1)
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
		_ = c.CloseWrite()
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
		_, _ = io.Copy(io.Discard, in)
	})
	s := startHTTP(t, pool.Config{}, Config{}, careful.address)
	conn := s.raw(t)
	in := bufio.NewReader(conn)
	for i := range 20 {
		start := time.Now()
		if got := get(t, conn, in, "/"); got != "ok" {
			t.Fatalf("request %d was answered %q", i, got)
		}
		if took := time.Since(start); took > 2*time.Second {
			t.Fatalf("request %d took %v, sent into a connection that had ended", i, took)
		}
	}
}

// A server that is too busy says so as soon as it has accepted, and waits for its
// client to go. What it said came before the request, and is read all the same.
func TestHTTPResponseThatCameBeforeTheRequestIsPassedOn(t *testing.T) {
	t.Parallel()
	busy := startBackend(t, func(c *net.TCPConn) {
		_, _ = io.WriteString(c, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbusy")
		_, _ = io.Copy(io.Discard, c)
	})
	s := startHTTP(t, pool.Config{}, Config{}, busy.address)
	for _, method := range []string{"GET", "POST"} { // which is held back for a moment
		conn := s.raw(t)
		start := time.Now()
		fmt.Fprintf(conn, "%s / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx", method)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%s: %v after %v, want what the backend said at once", method, err, time.Since(start))
		}
		if took := time.Since(start); resp.StatusCode != 503 || resp.Header.Get("X-Portside-Error") != "" || took > 2*time.Second {
			t.Errorf("%s: answered %s after %v, want the backend's 503 at once", method, resp.Status, took)
		}
	}
}
