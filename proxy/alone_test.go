package proxy

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"portside/pool"
)

// Backends that know nothing but h2c, and end a connection that begins with anything else
// without a word: clients who speak HTTP/1 must not have them set aside.
func TestHTTPClientOfBackendsThatEndWhatIsNotHTTP2(t *testing.T) {
	var log bytes.Buffer
	var mu sync.Mutex
	ok := func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") }
	one, other := serveH2C(t, ok), serveH2C(t, ok)
	s := startHTTP(t, pool.Config{}, Config{Log: slog.New(slog.NewTextHandler(lockedWriter{&mu, &log}, nil))}, one, other)
	h2c := newH2CClient(t)
	for range 3 {
		for range 4 {
			if status, body, err := fetch(h2c, s.url); err != nil || status != 200 {
				t.Fatalf("over HTTP/2: %d %q %v, want an answer", status, body, err)
			}
		}
		for range 10 {
			resp, err := newClient(t).Get(s.url)
			if err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode != 502 || resp.Header.Get("X-Portside-Error") != "reset" || !strings.Contains(string(text), "HTTP/2 with prior knowledge") {
				t.Fatalf("%s %q %s, want to be told which protocol to speak", resp.Status, resp.Header.Get("X-Portside-Error"), text)
			}
		}
	}
	for _, address := range []string{one, other} {
		if st := stateOf(s.pool, address); st.State != pool.Active || st.Failures != 0 {
			t.Errorf("%s is %s with %d failures, want a backend that serves others well left alone", address, st.State, st.Failures)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if n := strings.Count(log.String(), "HTTP/1.1 is not translated"); n != 1 {
		t.Errorf("%d hints, want one:\n%s", n, &log)
	}
}

// One that has answered over both is blamed when it ends a connection over either.
func TestBackendThatSpeaksBothIsBlamed(t *testing.T) {
	var broken atomic.Bool
	b := startBackend(t, func(c *net.TCPConn) {
		if _, err := c.Read(make([]byte, 4096)); err != nil {
			return
		}
		if broken.Load() {
			_ = c.SetLinger(0)
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
	})
	s := startHTTP(t, pool.Config{}, Config{}, b.address)
	s.h2c.trunksTo(backendOf(t, s.pool, b.address)).spoke.Store(true)
	if status, _, err := fetch(newClient(t), s.url); err != nil || status != 200 {
		t.Fatalf("%d %v, want an answer", status, err)
	}
	broken.Store(true)
	if status, body, err := fetch(newClient(t), s.url); err != nil || status != 502 || strings.Contains(body, "HTTP/2") {
		t.Fatalf("%d %q %v, want a plain 502", status, body, err)
	}
	if st := stateOf(s.pool, b.address); st.Failures == 0 {
		t.Error("no failure was counted of a backend that resets what it has spoken before")
	}
}
