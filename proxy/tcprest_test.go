package proxy

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"portside/pool"
)

// waitParked waits until n clients are parked, where that can be.
func (s *server) waitParked(t *testing.T, n int) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("nobody is parked on this system")
	}
	eventually(t, fmt.Sprintf("never were %d parked", n), func() bool { return s.lot.Size() == n })
}

func TestTCPParkedClientsGoOn(t *testing.T) {
	t.Parallel()
	b := startBackend(t, echoAs("a"))
	s := startTCP(t, pool.Config{}, Config{}, b.address)
	conn := s.dial(t)
	for range 3 {
		if _, err := ask(conn); err != nil {
			t.Fatal(err)
		}
		s.waitParked(t, 1)
		if n := s.Stats().Active.Load(); n != 1 {
			t.Errorf("%d clients active, want the parked one", n)
		}
		if n := s.pool.Status().Backends[0].InFlight; n != 1 {
			t.Errorf("%d in flight, want the parked one", n)
		}
	}
	start := time.Now()
	if _, err := ask(conn); err != nil || time.Since(start) > atOnce {
		t.Errorf("%v after %v, want an answer at once", err, time.Since(start))
	}
	s.waitParked(t, 1)
	// The backend may speak as well.
	b.mu.Lock()
	for c := range b.conns {
		fmt.Fprint(c, "news\n")
	}
	b.mu.Unlock()
	if line, err := bufio.NewReader(conn).ReadString('\n'); line != "news\n" {
		t.Errorf("read %q, %v; want what the backend said", line, err)
	}
	s.waitParked(t, 1)
	_ = conn.CloseWrite()
	if _, err := conn.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("read %v, want the end", err)
	}
	eventually(t, "a client that left is still there", func() bool {
		return s.Stats().Active.Load() == 0 && s.pool.Status().Backends[0].InFlight == 0
	})
}

func TestTCPParkedClientThatLeavesFreesItsBackend(t *testing.T) {
	t.Parallel()
	ended := make(chan time.Time, 1)
	b := startBackend(t, func(c *net.TCPConn) { _, _ = io.Copy(c, c); ended <- time.Now() })
	s := startTCP(t, pool.Config{}, Config{}, b.address)
	conn := s.dial(t)
	fmt.Fprint(conn, "x")
	s.waitParked(t, 1)
	start := time.Now()
	_ = conn.Close()
	if took := (<-ended).Sub(start); took > atOnce {
		t.Errorf("the backend's connection ended %v after the client's", took)
	}
}

func TestTCPParkedClientSeesItsBackendEnd(t *testing.T) {
	t.Parallel()
	b := startBackend(t, func(c *net.TCPConn) { _, _ = io.Copy(c, c) })
	s := startTCP(t, pool.Config{}, Config{}, b.address)
	conn := s.dial(t)
	s.waitParked(t, 1) // without a byte, too
	start := time.Now()
	b.stop()
	_, err := conn.Read(make([]byte, 1))
	if err == nil || errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) > atOnce {
		t.Errorf("read %v after %v, want the end", err, time.Since(start))
	}
}

func TestTCPIdleLimitEndsTheParked(t *testing.T) {
	t.Parallel()
	const limit = 1500 * time.Millisecond
	s := startTCP(t, pool.Config{}, Config{Timeouts: Timeouts{Idle: limit}}, startBackend(t, echoAs("a")).address)
	conn := s.dial(t)
	if _, err := ask(conn); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	s.waitParked(t, 1)
	_, err := conn.Read(make([]byte, 1))
	if took := time.Since(start); err != io.EOF || took < limit-100*time.Millisecond || took > limit+limit/2 {
		t.Errorf("read %v after %v, want an end after %v", err, took, limit)
	}
	eventually(t, "the client is still there", func() bool { return s.Stats().Active.Load() == 0 && s.lot.Size() == 0 })
}

func TestTCPParkedClientsAreDrainedAndCut(t *testing.T) {
	t.Parallel()
	b := startBackend(t, echoAs("a"))
	s := startTCP(t, pool.Config{}, Config{DrainTimeout: time.Second}, b.address)
	stays, leaves := s.dial(t), s.dial(t)
	for _, c := range []*net.TCPConn{stays, leaves} {
		if _, err := ask(c); err != nil {
			t.Fatal(err)
		}
	}
	s.waitParked(t, 2)
	done := make(chan int64)
	start := time.Now()
	go func() { done <- s.stop() }()
	time.Sleep(50 * time.Millisecond)
	if _, err := ask(leaves); err != nil {
		t.Errorf("a parked client is not served while draining: %v", err)
	}
	_ = leaves.Close()
	if cut := <-done; cut != 1 {
		t.Errorf("%d cut, want the one that stayed", cut)
	}
	if took := time.Since(start); took < time.Second || took > 3*time.Second {
		t.Errorf("drained for %v, want a second", took)
	}
	if _, err := stays.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read %v, want the cut client to see it", err)
	}
	if n := s.Stats().Active.Load(); n != 0 {
		t.Errorf("%d clients active at the end", n)
	}
}

func TestTCPRemovedBackendCutsTheParked(t *testing.T) {
	t.Parallel()
	a, b := startBackend(t, echoAs("a")), startBackend(t, echoAs("b"))
	s := startTCP(t, pool.Config{}, Config{CloseOnRemove: true}, a.address, b.address)
	conns := map[string]*net.TCPConn{}
	for range 2 {
		conn := s.dial(t)
		who, err := ask(conn)
		if err != nil {
			t.Fatal(err)
		}
		conns[who] = conn
	}
	s.waitParked(t, 2)
	s.pool.Update(endpointsOf(b.address))
	start := time.Now()
	if _, err := conns["a"].Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) > atOnce {
		t.Errorf("read %v after %v, want the client of the removed backend cut", err, time.Since(start))
	}
	if _, err := ask(conns["b"]); err != nil {
		t.Errorf("the other backend's client got %v", err)
	}
	eventually(t, "the cut client is still there", func() bool { return s.Stats().Active.Load() == 1 })
}

func TestTCPManyParkedAndWoken(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	const n = 2000
	s := startTCP(t, pool.Config{}, Config{}, startBackend(t, echoAs("a")).address)
	before := runtime.NumGoroutine()
	conns := make([]*net.TCPConn, n)
	for i := range conns {
		conns[i] = s.dial(t)
		if _, err := ask(conns[i]); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		s.waitParked(t, n)
		if more := runtime.NumGoroutine() - before; more > n+n/10 {
			t.Errorf("%d goroutines more, want the test's backend's alone: %d", more, n)
		}
		var wg sync.WaitGroup
		for _, c := range conns {
			wg.Go(func() {
				if _, err := ask(c); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	for _, c := range conns[:n/2] {
		_ = c.Close()
	}
	eventually(t, "clients that left are still there", func() bool { return s.Stats().Active.Load() == n-n/2 })
	for _, c := range conns[n/2:] {
		_ = c.Close()
	}
	if cut := s.stop(); cut != 0 {
		t.Errorf("%d cut, want none: all had left", cut)
	}
}

// A client that is alone at work has goroutines of its own, until another is too.
func TestTCPClientAloneAtWorkIsServedBySomebodyElse(t *testing.T) {
	t.Parallel()
	s := startTCP(t, pool.Config{}, Config{}, startBackend(t, echoAs("a")).address)
	first, second := s.dial(t), s.dial(t)
	s.waitParked(t, 2)
	work := func(why string, done func() bool, conns ...*net.TCPConn) {
		t.Helper()
		eventually(t, why, func() bool {
			for range 100 {
				for _, c := range conns {
					if _, err := ask(c); err != nil {
						t.Fatal(err)
					}
				}
			}
			return done()
		})
	}
	alone := func() bool { return s.solo.Load() != nil }
	crowd := func() bool { return s.solo.Load() == nil }
	for range 2 {
		work("alone, it is parked for each message", alone, first)
		work("with another at work it keeps its goroutines", crowd, first, second)
	}
	work("alone, it is parked for each message", alone, second)
	_ = second.Close()
	eventually(t, "it has gone, and is in the way of others", crowd)
	work("alone, it is parked for each message", alone, first)
	s.waitParked(t, 1)
	if !crowd() {
		t.Error("it sleeps, and has goroutines of its own")
	}
}

// A backend that does not speak first proves itself by staying, though its client
// says nothing either; not by the end of a client that it has served for long.
func TestTCPBackendOfAQuietClientIsProven(t *testing.T) {
	t.Parallel()
	b := startBackend(t, echoAs("a"))
	s := startTCP(t, pool.Config{}, Config{}, b.address)
	s.dial(t)
	s.waitParked(t, 1)
	start := time.Now()
	backend := func() *pool.Backend {
		l, err := s.pool.Acquire(0, nil)
		if err != nil {
			t.Fatal(err)
		}
		l.Release()
		return l.Backend()
	}
	eventually(t, "it is never proven", func() bool { return backend().Proven() })
	if took := time.Since(start); took < early/2 || took > 2*early {
		t.Errorf("proven after %v, want it after %v", took, early)
	}
	s.waitParked(t, 1)
}

// At debug, and only there, each connection leaves a line.
func TestServedTCPClientsAreLoggedAtDebug(t *testing.T) {
	b := startBackend(t, func(c *net.TCPConn) { _, _ = io.Copy(c, c) })
	for level, want := range map[slog.Level]int{slog.LevelDebug: 1, slog.LevelInfo: 0} {
		var out syncBuffer
		s := startTCP(t, pool.Config{}, Config{Log: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: level}))}, b.address)
		c := s.dial(t)
		if _, err := c.Write([]byte("words")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, make([]byte, 5)); err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
		eventually(t, "the client is still there", func() bool { return s.Stats().Active.Load() == 0 })
		if got := strings.Count(out.String(), "to_backend=5 to_client=5 end=done"); got != want {
			t.Errorf("at %s the connection leaves %d lines, want %d:\n%s", level, got, want, out.String())
		}
	}
}
