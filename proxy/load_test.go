package proxy

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"portside/discovery"
	"portside/pool"
)

// Everything at once, for the race detector: requests of all kinds, clients that
// leave, backends that come, leave and die, new configurations, and at last a
// drain in the middle of it. Each answer must be the one to its request.
func TestHTTPEverythingAtOnce(t *testing.T) {
	last := 4 * time.Second
	if testing.Short() {
		last = time.Second
	}
	var all []*chaos
	for range 5 {
		all = append(all, startChaos(t, func() fate {
			if rand.IntN(10) > 0 {
				return serves
			}
			return fate(rand.IntN(int(fates)))
		}))
	}
	s := startHTTP(t, pool.Config{Eject: pool.Eject{Backoff: 20 * time.Millisecond}}, Config{DrainTimeout: 2 * time.Second})
	set := func() {
		var es []discovery.Endpoint
		for _, k := range all {
			if rand.IntN(3) > 0 {
				es = append(es, discovery.Endpoint{Address: k.address})
			}
		}
		s.pool.Update(es)
	}
	set()
	ctx, cancel := context.WithTimeout(t.Context(), last)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
			set()
			s.Reconfigure(Config{
				CloseOnRemove: rand.IntN(2) == 0, DrainTimeout: 2 * time.Second,
				Timeouts: Timeouts{Response: time.Duration(rand.IntN(2)*1000) * time.Millisecond},
				HTTP:     HTTPConfig{MaxIdle: rand.IntN(4), AccessLog: &AccessLog{Out: discard{}, Common: rand.IntN(2) == 0}},
			})
		}
	})
	var answered atomic.Int64
	for w := range 8 {
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				if n := loadOnce(t, ctx, s, fmt.Sprintf("/%d-%d", w, i)); n {
					answered.Add(1)
				}
			}
		})
	}
	time.Sleep(last - 200*time.Millisecond)
	s.stop()
	cancel()
	wg.Wait()
	if n := s.Stats().Active.Load(); n != 0 {
		t.Errorf("%d sessions active after Serve has returned", n)
	}
	s.stocks.Range(func(_, v any) bool {
		if n := v.(*stock).size(); n != 0 {
			t.Errorf("%d idle connections left after Serve has returned", n)
		}
		return true
	})
	for _, b := range s.pool.Status().Backends {
		if b.InFlight != 0 {
			t.Errorf("%s: %d in flight after Serve has returned", b.Address, b.InFlight)
		}
	}
	t.Logf("%d answered, %d second tries", answered.Load(), s.Stats().Retries.Load())
	if answered.Load() == 0 {
		t.Error("nothing was answered")
	}
}

// loadOnce makes a connection and a few requests, and reports whether any was
// answered.
func loadOnce(t *testing.T, ctx context.Context, s *httpService, path string) (answered bool) {
	conn, err := net.Dial("tcp", s.address)
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	in := bufio.NewReader(conn)
	for i := 0; ctx.Err() == nil && i < 20; i++ {
		method := []string{"GET", "PUT", "POST"}[rand.IntN(3)]
		payload := bytes.Repeat([]byte{byte(i)}, rand.IntN(50_000)*rand.IntN(2))
		if method == "GET" {
			payload = nil
		}
		req, _ := http.NewRequest(method, "http://x"+path+fmt.Sprintf("-%d", i), io.NopCloser(bytes.NewReader(payload)))
		req.ContentLength = int64(len(payload)) - int64(rand.IntN(2)*(len(payload)+1)) // or chunked
		if len(payload) == 0 {
			req.Body, req.ContentLength = nil, 0
		}
		if rand.IntN(30) == 0 {
			_, _ = fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 50000\r\n\r\nhalf")
			return answered
		}
		sent := make(chan error, 1)
		go func() { sent <- req.Write(conn) }()
		if rand.IntN(30) == 0 {
			_ = conn.Close()
			<-sent
			return answered
		}
		resp, err := http.ReadResponse(in, req)
		if err != nil {
			_ = conn.Close()
			<-sent
			return answered
		}
		body, err := io.ReadAll(resp.Body)
		if err == nil && resp.StatusCode == 200 {
			answered = true
			if want := fmt.Sprintf("%x", sha256.Sum256(payload)); string(body) != want {
				t.Errorf("%s: an answer to another request", req.URL.Path)
			}
		}
		if err != nil || resp.Close {
			_ = conn.Close()
		}
		if <-sent != nil || err != nil || resp.Close {
			return answered
		}
	}
	return answered
}

func TestHTTPManyKeepAliveClients(t *testing.T) {
	clients, rounds := 1000, 5
	if testing.Short() {
		clients, rounds = 100, 3
	}
	address := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Path) })
	s := startHTTP(t, pool.Config{}, Config{HTTP: HTTPConfig{MaxIdle: 16}}, address)
	var wg sync.WaitGroup
	gate := make(chan bool, 50) // requests at a time
	for i := range clients {
		wg.Go(func() {
			conn, err := net.Dial("tcp", s.address)
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			in := bufio.NewReaderSize(conn, 512)
			for round := range rounds {
				gate <- true
				fmt.Fprintf(conn, "GET /%d/%d HTTP/1.1\r\nHost: x\r\n\r\n", i, round)
				resp, err := http.ReadResponse(in, nil)
				if err != nil {
					t.Errorf("client %d, request %d: %v", i, round, err)
					<-gate
					return
				}
				if body, _ := io.ReadAll(resp.Body); string(body) != fmt.Sprintf("/%d/%d", i, round) {
					t.Errorf("client %d, request %d got %q", i, round, body)
				}
				<-gate
			}
		})
	}
	wg.Wait()
	s.stocks.Range(func(_, v any) bool {
		if n := v.(*stock).size(); n > 16 || n == 0 {
			t.Errorf("%d idle connections kept, want some, and no more than MaxIdle", n)
		}
		return true
	})
}

func TestHTTPWebSocket(t *testing.T) {
	upgrader := websocket.Upgrader{Subprotocols: []string{"chat"}}
	address := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		c, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer c.Close()
		for {
			kind, p, err := c.ReadMessage()
			if err != nil {
				return
			}
			if err := c.WriteMessage(kind, p); err != nil {
				return
			}
		}
	})
	var lines safeBuffer
	log := &AccessLog{Out: &lines}
	s := startHTTP(t, pool.Config{}, Config{HTTP: HTTPConfig{AccessLog: log}}, address)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			d := websocket.Dialer{Subprotocols: []string{"chat"}}
			c, _, err := d.Dial("ws://"+s.address+"/ws", nil)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			if c.Subprotocol() != "chat" {
				t.Errorf("subprotocol %q", c.Subprotocol())
			}
			for _, size := range []int{0, 1, 125, 126, 65536, 1 << 20} {
				sent := bytes.Repeat([]byte{'x'}, size)
				if err := c.WriteMessage(websocket.BinaryMessage, sent); err != nil {
					t.Error(err)
					return
				}
				if _, got, err := c.ReadMessage(); err != nil || !bytes.Equal(got, sent) {
					t.Errorf("%d bytes came back as %d, %v", size, len(got), err)
					return
				}
			}
			_ = c.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""))
			if _, _, err := c.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseNormalClosure) {
				t.Errorf("%v, want the close echoed", err)
			}
		})
	}
	wg.Wait()
	s.stop()
	if n := strings.Count(lines.String(), `"status":101`); n != 8 {
		t.Errorf("%d lines for 8 upgrades:\n%s", n, lines.String())
	}
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// What curl gets through the proxy is what it gets without.
func TestHTTPCurl(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Run("skipped: there is no curl", func(t *testing.T) { t.Skip() })
		return
	}
	address := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Method", r.Method)
		if r.URL.Query().Has("chunked") {
			_ = http.NewResponseController(w).Flush()
		}
		if r.URL.Path == "/none" {
			w.WriteHeader(204)
			return
		}
		fmt.Fprintf(w, "%s %s %d %x %s", r.Method, r.URL, len(body), sha256.Sum256(body), r.Header.Get("Content-Type"))
	})
	s := startHTTP(t, pool.Config{}, Config{}, address)
	file := t.TempDir() + "/body"
	if err := os.WriteFile(file, bytes.Repeat([]byte("0123456789"), 300_000), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"/"},
		{"-I", "/"},
		{"-X", "DELETE", "/x?y=z"},
		{"-d", "a=b", "/form"},
		{"--data-binary", "@" + file, "/large"},
		{"-H", "Transfer-Encoding: chunked", "--data-binary", "@" + file, "/chunked?chunked"},
		{"-T", file, "/put"},
		{"-T", file, "-H", "Expect: 100-continue", "/expect"},
		{"-0", "/old?chunked"},
		{"-i", "/none"},
		{"/one", "-w", "|", "--next", "-s", "/two"},
		{"--path-as-is", "/a/../b//c/%2e%2e/%41?q=%20"},
	} {
		run := func(base string) string {
			full := []string{"-s", "-S", "--max-time", "10"}
			for _, a := range args {
				if strings.HasPrefix(a, "/") && !strings.Contains(a, file) {
					a = "http://" + base + a
				}
				full = append(full, a)
			}
			out, err := exec.Command(curl, full...).CombinedOutput()
			if err != nil {
				t.Errorf("curl %v: %v %s", full, err, out)
			}
			var kept []string
			for line := range strings.SplitSeq(string(out), "\n") {
				if !strings.HasPrefix(line, "Date:") {
					kept = append(kept, line)
				}
			}
			slices.Sort(kept) // fields may come in another order
			return strings.Join(kept, "\n")
		}
		if with, without := run(s.address), run(address); with != without {
			t.Errorf("curl %v through the proxy:\n%s\nwithout:\n%s", args, with, without)
		}
	}
}
