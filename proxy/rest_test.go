package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"time"

	"portside/pool"
)

// Clients that have rested, once or several times, are served like any other, and
// drained like any other.
func TestHTTPRestedClientsAreServed(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	t.Parallel()
	address := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Path) })
	s := startHTTP(t, pool.Config{}, Config{DrainTimeout: 5 * time.Second}, address)
	var wg, asking sync.WaitGroup
	for i := range 200 {
		asking.Add(1)
		conn := s.raw(t)
		wg.Go(func() {
			in := bufio.NewReader(conn)
			answered := sync.OnceFunc(asking.Done)
			defer answered()
			for round := range 3 {
				fmt.Fprintf(conn, "GET /%d/%d HTTP/1.1\r\nHost: x\r\n\r\n", i, round)
				resp, err := http.ReadResponse(in, nil)
				if err != nil {
					t.Errorf("client %d, request %d: %v", i, round, err)
					return
				}
				if body, _ := io.ReadAll(resp.Body); string(body) != fmt.Sprintf("/%d/%d", i, round) {
					t.Errorf("client %d, request %d got %q", i, round, body)
				}
				// Some of them just when they are about to rest.
				time.Sleep(restAfter*time.Millisecond + time.Duration(i*5)*time.Millisecond)
			}
			answered()
			if _, err := in.ReadByte(); err != io.EOF {
				t.Errorf("client %d reads %v while draining, want the end", i, err)
			}
		})
	}
	asking.Wait()
	if n := s.Stats().Active.Load(); n != 200 {
		t.Errorf("%d clients active, want 200", n)
	}
	if cut := s.stop(); cut != 0 {
		t.Errorf("%d cut, want rested clients to be idle ones", cut)
	}
	wg.Wait()
	if n := s.Stats().Active.Load(); n != 0 {
		t.Errorf("%d clients active at the end", n)
	}
}

// An idle client holds the smallest stack there is.
func TestHTTPIdleClientsAreSmall(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("takes seconds, and no race detector")
	}
	s := startHTTP(t, pool.Config{}, Config{}, serveHTTP(t, func(http.ResponseWriter, *http.Request) {}))
	stacks := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.StackInuse
	}
	const n = 500
	before := stacks()
	for range n {
		conn := s.raw(t)
		_, _ = conn.Write(hotBytes)
		if _, err := conn.Read(make([]byte, 4096)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "idle clients keep large stacks", func() bool { return stacks() < before+n*2500 })
}

// kept returns a client that has been answered once and keeps its connection.
func (s *httpService) kept(t *testing.T) (*net.TCPConn, *bufio.Reader) {
	t.Helper()
	conn := s.raw(t)
	in := bufio.NewReader(conn)
	get(t, conn, in, "/")
	return conn, in
}

func TestHTTPParkedClientIsAnsweredAtOnce(t *testing.T) {
	t.Parallel()
	s := startHTTP(t, pool.Config{}, Config{}, serveHTTP(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Path) }))
	conn, in := s.kept(t)
	for range 3 {
		s.waitParked(t, 1)
		if n := s.Stats().Active.Load(); n != 1 {
			t.Errorf("%d clients active, want the parked one", n)
		}
		start := time.Now()
		if got := get(t, conn, in, "/again"); got != "/again" || time.Since(start) > atOnce {
			t.Errorf("answered %q after %v, want an answer at once", got, time.Since(start))
		}
	}
	s.waitParked(t, 1)
	// A request that comes in pieces.
	fmt.Fprint(conn, "GET /pieces HT")
	s.waitParked(t, 0)
	time.Sleep(10 * time.Millisecond)
	fmt.Fprint(conn, "TP/1.1\r\nHost: x\r\n\r\n")
	if got := body(t, in); got != "/pieces" {
		t.Errorf("answered %q", got)
	}
	s.waitParked(t, 1)
	_ = conn.Close()
	start := time.Now()
	eventually(t, "a client that left is still there", func() bool { return s.Stats().Active.Load() == 0 })
	if took := time.Since(start); took > atOnce {
		t.Errorf("noticed after %v that a parked client had left", took)
	}
}

// A client that connects ahead of its first request is parked at once, and served,
// or ended, like one that has been idle for long.
func TestHTTPClientsThatSayNothingYetAreParked(t *testing.T) {
	t.Parallel()
	const limit = 1500 * time.Millisecond
	s := startHTTP(t, pool.Config{}, Config{Timeouts: Timeouts{Idle: limit}}, serveHTTP(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Path) }))
	conn := s.raw(t)
	start := time.Now()
	s.waitParked(t, 1)
	if took := time.Since(start); runtime.GOOS == "linux" && took > restAfter*time.Millisecond/2 {
		t.Errorf("parked after %v, want it at once", took)
	}
	in := bufio.NewReader(conn)
	if got := get(t, conn, in, "/first"); got != "/first" {
		t.Errorf("answered %q", got)
	}
	silent := s.raw(t)
	start = time.Now()
	if _, err := silent.Read(make([]byte, 1)); err != io.EOF || time.Since(start) < limit-200*time.Millisecond {
		t.Errorf("a client that says nothing read %v after %v, want an end after %v", err, time.Since(start), limit)
	}
	_ = conn.Close()
	left := s.raw(t)
	s.waitParked(t, 1)
	_ = left.Close()
	eventually(t, "clients that left are still there", func() bool { return s.Stats().Active.Load() == 0 && s.lot.Size() == 0 })
}

// A thousand clients that ask once and stay need no thousand stacks meanwhile.
func TestHTTPClientIsParkedAfterItsFirstRequest(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("nobody can be parked here")
	}
	s := startHTTP(t, pool.Config{}, Config{}, serveHTTP(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Path) }))
	best := time.Hour
	for range 5 { // the machine may be busy
		start := time.Now()
		conn, _ := s.kept(t)
		s.waitParked(t, 1)
		best = min(best, time.Since(start))
		_ = conn.Close()
		s.waitParked(t, 0)
	}
	if best > restAfter*time.Millisecond/2 {
		t.Errorf("parked after %v, want it at once", best)
	}
}

func TestHTTPIdleLimitEndsTheParked(t *testing.T) {
	t.Parallel()
	const limit = 1500 * time.Millisecond
	s := startHTTP(t, pool.Config{}, Config{Timeouts: Timeouts{Idle: limit}}, serveHTTP(t, func(http.ResponseWriter, *http.Request) {}))
	_, in := s.kept(t)
	start := time.Now()
	s.waitParked(t, 1)
	_, err := in.ReadByte()
	if took := time.Since(start); err != io.EOF || took < limit-200*time.Millisecond || took > limit+limit/2 {
		t.Errorf("read %v after %v, want an end after %v", err, took, limit)
	}
	eventually(t, "the client is still there", func() bool { return s.Stats().Active.Load() == 0 && s.lot.Size() == 0 })
}

func TestHTTPParkedClientsAreDrained(t *testing.T) {
	t.Parallel()
	s := startHTTP(t, pool.Config{}, Config{DrainTimeout: 10 * time.Second}, serveHTTP(t, func(http.ResponseWriter, *http.Request) {}))
	var ins []*bufio.Reader
	for range 20 {
		_, in := s.kept(t)
		ins = append(ins, in)
	}
	s.waitParked(t, len(ins))
	start := time.Now()
	if cut := s.stop(); cut != 0 || time.Since(start) > 2*time.Second {
		t.Errorf("%d cut after %v, want parked clients to be idle ones", cut, time.Since(start))
	}
	for _, in := range ins {
		if _, err := in.ReadByte(); err != io.EOF {
			t.Errorf("read %v, want the end", err)
		}
	}
	if n := s.Stats().Active.Load(); n != 0 {
		t.Errorf("%d clients active at the end", n)
	}
}

// A parked client has no backend: that one leaves is nothing to it.
func TestHTTPParkedClientOutlivesABackend(t *testing.T) {
	t.Parallel()
	a := serveHTTP(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "a") })
	b := serveHTTP(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "b") })
	s := startHTTP(t, pool.Config{}, Config{CloseOnRemove: true}, a)
	conn, in := s.kept(t)
	s.waitParked(t, 1)
	s.pool.Update(endpointsOf(b))
	if got := get(t, conn, in, "/"); got != "b" {
		t.Errorf("answered %q, want the other backend's answer", got)
	}
}

// A client that goes on elsewhere in the moment of the cut had no work either.
func TestHTTPClientBetweenRequestsIsNoWorkThatIsCut(t *testing.T) {
	for p, idle := range map[phase]bool{
		phaseIdle: true, phaseRenewing: true, phaseRenewed: true, phaseParked: true, phaseResting: true,
		phaseHead: false, phaseBusy: false, phaseConnect: false, phaseResponse: false, phaseBody: false,
	} {
		s := &httpSession{}
		s.watch.enter(p, 1)
		if got := s.idle(); got != idle {
			t.Errorf("cut in phase %d: idle is %v, want %v, for the exit code", p, got, idle)
		}
	}
}

func TestHTTPManyParkedAndWoken(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	const n = 2000
	s := startHTTP(t, pool.Config{}, Config{}, serveHTTP(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Path) }))
	before := runtime.NumGoroutine()
	conns := make([]*net.TCPConn, n)
	ins := make([]*bufio.Reader, n)
	for i := range conns {
		conns[i], ins[i] = s.kept(t)
	}
	for range 2 {
		s.waitParked(t, n)
		if more := runtime.NumGoroutine() - before; more > n/2 {
			t.Errorf("%d goroutines more, want hardly any for %d parked clients", more, n)
		}
		var wg sync.WaitGroup
		for i, c := range conns {
			wg.Go(func() {
				_ = c.SetDeadline(time.Now().Add(20 * time.Second)) // of now: so many took long to come
				request(c, fmt.Sprint("/", i))
				if got, err := answer(ins[i]); got != fmt.Sprint("/", i) || err != nil {
					t.Errorf("client %d was answered %q, %v", i, got, err)
				}
			})
		}
		wg.Wait()
	}
	for _, c := range conns {
		_ = c.Close()
	}
	eventually(t, "clients that left are still there", func() bool { return s.Stats().Active.Load() == 0 })
}
