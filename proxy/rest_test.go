package proxy

import (
	"bufio"
	"fmt"
	"io"
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
	var wg sync.WaitGroup
	for i := range 200 {
		conn := s.raw(t)
		wg.Go(func() {
			in := bufio.NewReader(conn)
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
			if _, err := in.ReadByte(); err != io.EOF {
				t.Errorf("client %d reads %v while draining, want the end", i, err)
			}
		})
	}
	time.Sleep(4*restAfter*time.Millisecond + 2*time.Second)
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
