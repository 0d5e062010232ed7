package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"portside/pool"
)

// idleOf is how many idle connections are kept to address.
func (s *httpService) idleOf(address string) (n int) {
	s.stocks.Range(func(b, v any) bool {
		if b.(*pool.Backend).Address() == address {
			n += v.(*stock).size()
		}
		return true
	})
	return n
}

// counting is a net/http backend that counts its connections.
func counting(t *testing.T, idle time.Duration, fields http.Header) (address string, conns *atomic.Int64) {
	conns = &atomic.Int64{}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{
		IdleTimeout: idle,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			for k, v := range fields {
				w.Header()[k] = v
			}
			time.Sleep(2 * time.Millisecond)
			fmt.Fprint(w, "ok")
		}),
		ConnState: func(_ net.Conn, s http.ConnState) {
			if s == http.StateNew {
				conns.Add(1)
			}
		},
	}
	var wg sync.WaitGroup
	wg.Go(func() { _ = srv.Serve(ln) })
	t.Cleanup(func() { _ = srv.Close(); wg.Wait() })
	return ln.Addr().String(), conns
}

func burst(t *testing.T, s *httpService, n int) {
	t.Helper()
	c := newClient(t)
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			if status, _, err := fetch(c, s.url); err != nil || status != 200 {
				t.Error(status, err)
			}
		})
	}
	wg.Wait()
}

func TestIdleConnectionsAreBoundedAndTheLatestUsedFirst(t *testing.T) {
	address, conns := counting(t, time.Minute, nil)
	s := startHTTP(t, pool.Config{}, Config{HTTP: HTTPConfig{MaxIdle: 4}}, address)
	burst(t, s, 20)
	eventually(t, "not MaxIdle connections kept", func() bool { return s.idleOf(address) <= 4 && s.idleOf(address) > 0 })
	before := conns.Load()
	c := newClient(t)
	for range 50 {
		if _, _, err := fetch(c, s.url); err != nil {
			t.Fatal(err)
		}
	}
	if n := conns.Load(); n != before {
		t.Fatalf("%d new connections for 50 requests one by one, want none", n-before)
	}
	// Those that are not used grow old, the one that is stays.
	st := stockAt(s, address)
	st.mu.Lock()
	for _, c := range st.idle[:len(st.idle)-1] {
		c.since = c.since.Add(-maxAge)
	}
	st.mu.Unlock()
	s.sweepAll(time.Now(), false)
	if n := s.idleOf(address); n != 1 {
		t.Fatalf("%d idle connections after a sweep, want the one in use", n)
	}
}

func stockAt(s *httpService, address string) (st *stock) {
	s.stocks.Range(func(b, v any) bool {
		if b.(*pool.Backend).Address() == address {
			st = v.(*stock)
		}
		return true
	})
	return st
}

func TestIdleConnectionsEndBeforeTheBackendEndsThem(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	t.Parallel()
	// It says a second, and means it.
	address, conns := counting(t, time.Second, http.Header{"Keep-Alive": {"timeout=1"}})
	s := startHTTP(t, pool.Config{}, Config{}, address)
	for i := range 5 {
		resp, err := newClient(t).Post(s.url, "", strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != 200 {
			t.Fatalf("POST %d met a connection that was ending: %d", i, resp.StatusCode)
		}
		time.Sleep(999 * time.Millisecond)
	}
	if n := conns.Load(); n != 5 {
		t.Fatalf("%d connections for 5 requests a second apart, want none used at its end", n)
	}
}

func TestIdleConnectionsGoWithTheirBackend(t *testing.T) {
	a, _ := counting(t, time.Minute, nil)
	b, _ := counting(t, time.Minute, nil)
	s := startHTTP(t, pool.Config{}, Config{}, a, b)
	burst(t, s, 20)
	eventually(t, "no idle connections", func() bool { return s.idleOf(a) > 0 && s.idleOf(b) > 0 })
	s.pool.Update(endpointsOf(b))
	eventually(t, "connections to a backend that left are kept", func() bool { return s.idleOf(a) == 0 })
	if s.idleOf(b) == 0 {
		t.Fatal("the other backend lost its connections")
	}
}

func TestIdleConnectionsStayWithAnEjectedBackend(t *testing.T) {
	var bad atomic.Bool
	address := serveHTTP(t, func(w http.ResponseWriter, _ *http.Request) {
		if bad.Load() {
			w.WriteHeader(503)
		}
	})
	other := serveHTTP(t, func(http.ResponseWriter, *http.Request) {})
	s := startHTTP(t, pool.Config{Eject: pool.Eject{Consecutive: 2, Backoff: time.Minute}}, Config{}, address, other)
	burst(t, s, 10)
	bad.Store(true)
	c := newClient(t)
	eventually(t, "the bad backend is not ejected", func() bool {
		for range 4 {
			_, _, _ = fetch(c, s.url)
		}
		return stateOf(s.pool, address).State == pool.Ejected
	})
	s.sweepAll(time.Now(), false)
	if s.idleOf(address) == 0 {
		t.Fatal("ejection closed the connections: a trial would have to make new ones")
	}
}

// A stale connection says nothing about its backend, which may be the only one.
func TestStaleConnectionsAreForgiven(t *testing.T) {
	var requests atomic.Int64
	b := startBackend(t, func(c *net.TCPConn) {
		in := bufio.NewReader(c)
		for i := 0; ; i++ {
			if _, err := http.ReadRequest(in); err != nil || i == 1 {
				return // the second request of each connection is never answered
			}
			requests.Add(1)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	})
	s := startHTTP(t, pool.Config{}, Config{Retry: Retry{Attempts: 1}}, b.address)
	c := newClient(t)
	for i := range 20 {
		if status, body, err := fetch(c, s.url); status != 200 || err != nil {
			t.Fatalf("request %d: %d %q %v", i, status, body, err)
		}
	}
	if got := stateOf(s.pool, b.address); got.Failures != 0 {
		t.Fatalf("%d failures counted for connections that had gone stale", got.Failures)
	}
}

// Connections to several backends go stale at once where something between ends them
// without a word, or the backends' host starts anew. Each is well: a request must not
// spend its attempts on one dead connection after the other.
func TestConnectionsThatAllWentStaleFailNothing(t *testing.T) {
	var addresses []string
	for range 4 {
		addresses = append(addresses, startBackend(t, func(c *net.TCPConn) {
			in := bufio.NewReader(c)
			for i := 0; ; i++ {
				if _, err := http.ReadRequest(in); err != nil || i == 1 {
					resets(c) // the second request of each connection is never answered
					return
				}
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			}
		}).address)
	}
	for _, attempts := range []int{1, 2, 3} {
		s := startHTTP(t, pool.Config{}, Config{Retry: Retry{Attempts: attempts}}, addresses...)
		c := newClient(t)
		for i := range 24 {
			if status, body, err := fetch(c, s.url); status != 200 || err != nil {
				t.Errorf("%d attempts, request %d: %d %q %v, want 200: every backend serves on a new connection", attempts, i, status, body, err)
			}
		}
		for _, b := range s.pool.Status().Backends {
			if b.Failures != 0 {
				t.Errorf("%d failures counted for connections that had gone stale", b.Failures)
			}
		}
	}
}

// One whom second tries are denied gets none, and nothing is said to have been refused.
func TestStaleConnectionsAreNotForgivenWithoutABudget(t *testing.T) {
	b := startBackend(t, func(c *net.TCPConn) {
		in := bufio.NewReader(c)
		if _, err := http.ReadRequest(in); err == nil {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			_, _ = http.ReadRequest(in)
		}
	})
	s := startHTTP(t, pool.Config{}, Config{Retry: Retry{Budget: -1}}, b.address)
	c := newClient(t)
	for i, want := range []int{200, 502, 200} {
		if status, _, err := fetch(c, s.url); status != want || err != nil {
			t.Errorf("request %d: %d, %v, want %d", i, status, err, want)
		}
	}
	if n := s.Stats().RetriesDenied.Load(); n != 0 {
		t.Errorf("%d second tries denied by the budget, want none: they are turned off", n)
	}
}

func TestLearnedPatienceIsForgotten(t *testing.T) {
	now := time.Now()
	s := &stock{}
	if got := s.age(now); got != maxAge {
		t.Fatal(got)
	}
	s.learn(500*time.Millisecond, true)
	if got := s.age(now); got != maxAge {
		t.Fatalf("%s learned from an end that came at once", got)
	}
	s.learn(2*time.Second, true)
	if got := s.age(now); got != time.Second {
		t.Fatalf("%s after an end at 2 s, want 1 s", got)
	}
	if got := s.age(now.Add(recall + time.Minute)); got != maxAge {
		t.Fatalf("%s long after, want it forgotten: it may have been a restart", got)
	}
}

// size is how many idle connections there are.
func (s *stock) size() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.idle)
}
