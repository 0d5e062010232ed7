package proxy

import (
	"bufio"
	"bytes"
	"errors"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"portside/pool"
	"portside/proxy/http1/http1test"
)

// witness is a backend that reads with net/http: whatever reaches it must be
// requests, one after another, and nothing else.
type witness struct {
	address  string
	requests int
	mu       sync.Mutex
	faults   []string
}

func startWitness(t testing.TB) *witness {
	w := &witness{}
	w.address = startBackend(t, func(c *net.TCPConn) { w.serve(c) }).address
	return w
}

func (w *witness) serve(c net.Conn) {
	var raw bytes.Buffer
	in := bufio.NewReader(io.TeeReader(c, &raw))
	for {
		r, err := http.ReadRequest(in)
		if err == nil {
			_, err = io.Copy(io.Discard, r.Body)
			if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !strings.Contains(err.Error(), "reset") {
				w.fault("body: " + err.Error() + ": " + raw.String())
			}
			if err != nil {
				return // cut short, with its connection: not a request
			}
			w.mu.Lock()
			w.requests++
			w.mu.Unlock()
			// The proxy passes each request on by itself, and waits.
			if in.Buffered() > 0 {
				w.fault("bytes behind a request: " + raw.String())
				return
			}
			raw.Reset()
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			continue
		}
		if err != io.EOF && !errors.Is(err, io.ErrUnexpectedEOF) && !strings.Contains(err.Error(), "reset") {
			w.fault(err.Error() + ": " + raw.String())
		}
		return
	}
}

func (w *witness) fault(s string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults = append(w.faults, s)
}

func (w *witness) seen() (int, []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.requests, w.faults
}

// fuzzDialer dials from one of many loopback addresses, where that can be done: the
// ports of one are soon used up.
func fuzzDialer(raw []byte) *net.Dialer {
	if runtime.GOOS != "linux" {
		return &net.Dialer{}
	}
	sum := crc32.ChecksumIEEE(raw)
	return &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 1, byte(sum), byte(sum>>8))}}
}

// What a client sends, be it what it may, reaches the backend as the requests
// that the client gets answers to, or not at all.
func FuzzHTTPSmuggling(f *testing.F) {
	for _, c := range http1test.Requests() {
		if len(c.Raw) < 2000 {
			f.Add([]byte(c.Raw), uint16(len(c.Raw)/2))
			f.Add([]byte(c.Raw+"GET /next HTTP/1.1\r\nHost: b\r\n\r\n"), uint16(len(c.Raw)))
		}
	}
	w := startWitness(f)
	s := startHTTP(f, pool.Config{Eject: pool.Eject{Consecutive: -1}}, Config{}, w.address)
	f.Fuzz(func(t *testing.T, raw []byte, split uint16) {
		if len(raw) == 0 {
			return
		}
		before, _ := w.seen()
		conn, err := fuzzDialer(raw).Dial("tcp", s.address)
		if err != nil {
			t.Skip(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		at := int(split) % len(raw)
		_, _ = conn.Write(raw[:at])
		if split%3 == 0 {
			time.Sleep(50 * time.Microsecond)
		}
		_, _ = conn.Write(raw[at:])
		_ = conn.(*net.TCPConn).CloseWrite()
		all, _ := io.ReadAll(conn)
		answers := bytes.Count(all, []byte("HTTP/1.1 200 OK\r\n"))
		// All that the backend got, it has answered, except what the client's end
		// has cut short.
		deadline := time.Now().Add(2 * time.Second)
		for s.Stats().Active.Load() > 0 && time.Now().Before(deadline) {
			time.Sleep(20 * time.Microsecond)
		}
		after, faults := w.seen()
		if len(faults) > 0 {
			t.Fatalf("%q made the backend read %q", raw, faults)
		}
		if n := after - before; n < answers || n > answers+1 {
			t.Fatalf("%q became %d requests at the backend and %d answers %q", raw, n, answers, all)
		}
	})
}
