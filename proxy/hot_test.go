package proxy

import (
	"net"
	"runtime"
	"testing"

	"portside/pool"
	"portside/proxy/socket"
)

const (
	hotRequest  = "GET /orders/17?verbose=1 HTTP/1.1\r\nHost: orders.example\r\nUser-Agent: bench\r\nAccept: */*\r\nX-Request-Id: 0123456789abcdef\r\n\r\n"
	hotResponse = "HTTP/1.1 200 OK\r\nDate: Mon, 02 Jan 2006 15:04:05 GMT\r\nContent-Type: application/json\r\nContent-Length: 27\r\n\r\n{\"id\":17,\"state\":\"shipped\"}"
)

// hot is a client on a connection to a proxy before a backend; neither allocates.
type hot struct {
	conn *socket.Conn
	buf  []byte
}

func startHot(t testing.TB, cfg Config) *hot {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan bool)
	go func() {
		defer close(done)
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		var c socket.Conn
		_ = c.Init(conn.(*net.TCPConn))
		for buf, answer := make([]byte, 4096), []byte(hotResponse); ; {
			if _, err := c.Read(buf); err != nil {
				return
			}
			_, _ = c.Write(answer)
		}
	}()
	t.Cleanup(func() { _ = ln.Close(); <-done })
	s := startHTTP(t, pool.Config{}, cfg, ln.Addr().String())
	conn, err := net.Dial("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(); s.stop() })
	c := &socket.Conn{}
	if err := c.Init(conn.(*net.TCPConn)); err != nil {
		t.Fatal(err)
	}
	return &hot{c, make([]byte, 4096)}
}

var hotBytes = []byte(hotRequest)

func (h *hot) get(t testing.TB) {
	if _, err := h.conn.Write(hotBytes); err != nil {
		t.Fatal(err)
	}
	if n, err := h.conn.Read(h.buf); err != nil || n < 100 {
		t.Fatal(n, err)
	}
}

func TestHTTPKeepAliveRequestAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	log := &AccessLog{Out: discard{}}
	for name, cfg := range map[string]Config{"plain": {}, "with an access log": {HTTP: HTTPConfig{AccessLog: log}}} {
		t.Run(name, func(t *testing.T) {
			h := startHot(t, cfg)
			for range 1000 {
				h.get(t)
			}
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			const n = 10_000
			for range n {
				h.get(t)
			}
			runtime.ReadMemStats(&after)
			// What a collection empties, pools and timers among them, comes again.
			if got := after.Mallocs - before.Mallocs; got > n/50 {
				t.Fatalf("%d allocations in %d requests, want none", got, n)
			}
		})
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

func BenchmarkHTTPKeepAlive(b *testing.B) {
	h := startHot(b, Config{})
	h.get(b)
	b.ReportAllocs()
	for b.Loop() {
		h.get(b)
	}
}
