package proxy

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"portside/pool"
	"portside/proxy/socket"
)

func TestTCPSpreadsOverAllBackends(t *testing.T) {
	a, b, c := startBackend(t, echoAs("a")), startBackend(t, echoAs("b")), startBackend(t, echoAs("c"))
	s := startTCP(t, pool.Config{}, Config{}, a.address, b.address, c.address)
	got := map[string]int{}
	for range 30 {
		conn := s.dial(t)
		who, err := ask(conn)
		if err != nil {
			t.Fatal(err)
		}
		got[who]++
		_ = conn.Close()
	}
	if got["a"] != 10 || got["b"] != 10 || got["c"] != 10 {
		t.Fatalf("answers by %v, want ten of each", got)
	}
}

// One backend of three is bad in its way from the start, and no client of 300
// may notice, whether the client or the server speaks first.
func TestTCPHidesABadBackend(t *testing.T) {
	var ended atomic.Int64 // when the bad one last ended a connection
	ends := func(how func(*net.TCPConn)) func(*testing.T) string {
		return func(t *testing.T) string {
			return startBackend(t, func(c *net.TCPConn) {
				how(c)
				_ = c.Close()
				ended.Store(time.Now().UnixNano())
			}).address
		}
	}
	bad := map[string]func(t *testing.T) string{"refuses": refusing, "resets": ends(resets), "closes": ends(closes)}
	// late reports whether the bad backend came to end what it had accepted later than it is
	// waited for, as it may on a busy machine: it was sent the client's bytes then.
	late := func(began time.Time) bool {
		for deadline := time.Now().Add(time.Second); ended.Load() < began.UnixNano(); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				return false
			}
		}
		return ended.Load() > began.Add(newcomerHold).UnixNano()
	}
	speak := map[string]func(string) func(*net.TCPConn){"client first": echoAs, "server first": greetAs}
	for how, start := range bad {
		for who, serve := range speak {
			t.Run(how+", "+who, func(t *testing.T) {
				address := start(t)
				s := startTCP(t, pool.Config{}, Config{}, startBackend(t, serve("a")).address, address, startBackend(t, serve("c")).address)
				for i := range 300 {
					began := time.Now()
					conn := s.dial(t)
					answer, err := "", error(nil)
					if who == "client first" {
						answer, err = ask(conn)
					} else {
						var line []byte
						line, err = io.ReadAll(conn)
						answer = strings.TrimSpace(string(line))
					}
					_ = conn.Close()
					if err != nil && who == "client first" && late(began) {
						continue
					}
					if err != nil || answer != "a" && answer != "c" {
						t.Fatalf("client %d got %q, %v: it noticed the bad backend", i, answer, err)
					}
				}
				got := stateOf(s.pool, address)
				if got.State != pool.Ejected || got.Reason == "" {
					t.Fatalf("the bad backend is %s (%q), want it ejected with its reason", got.State, got.Reason)
				}
			})
		}
	}
}

func TestTCPBackendIsBackWhenItHeals(t *testing.T) {
	good := startBackend(t, echoAs("good"))
	free, err := net.Listen("tcp", ownHost()+":0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	_ = free.Close()
	s := startTCP(t, pool.Config{Eject: pool.Eject{Backoff: 50 * time.Millisecond}}, Config{}, good.address, address)
	for range 20 {
		if _, err := ask(s.dial(t)); err != nil {
			t.Fatal(err)
		}
	}
	if got := stateOf(s.pool, address); got.State != pool.Ejected {
		t.Fatalf("the refusing backend is %s, want ejected", got.State)
	}
	ln, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { echoAs("healed")(c.(*net.TCPConn)); _ = c.Close() })
		}
	})
	defer wg.Wait()
	defer func() { _ = ln.Close() }()
	eventually(t, "the healed backend never answered a client", func() bool {
		conn := s.dial(t)
		defer func() { _ = conn.Close() }()
		who, err := ask(conn)
		if err != nil {
			t.Fatal(err)
		}
		return who == "healed"
	})
	if got := stateOf(s.pool, address); got.State != pool.Active {
		t.Fatalf("the healed backend is %s (%s), want active", got.State, got.Reason)
	}
}

// A backend on trial that waits for its client to speak, and a client that does
// not, leave no verdict for ever unless staying is one.
// A budget of nothing is no second try, over TCP too.
func TestTCPWithoutABudgetTriesOnce(t *testing.T) {
	bad := refusing(t)
	s := startTCP(t, pool.Config{Eject: pool.Eject{Consecutive: -1}}, Config{Retry: Retry{Budget: -1}}, bad, startBackend(t, echoAs("good")).address)
	failed := 0
	for range 10 {
		if _, err := ask(s.dial(t)); err != nil {
			failed++
		}
	}
	if n := s.Stats().Retries.Load(); failed != 5 || n != 0 {
		t.Errorf("%d of 10 clients failed after %d second tries, want every other after none", failed, n)
	}
}

func TestTCPSilentTrialSucceedsByStaying(t *testing.T) {
	quiet := startBackend(t, func(c *net.TCPConn) { _, _ = io.Copy(io.Discard, c) })
	eject := pool.Eject{Consecutive: 1, Backoff: time.Millisecond}
	s := startTCP(t, pool.Config{Eject: eject}, Config{}, quiet.address, refusing(t))
	for stateOf(s.pool, quiet.address).State != pool.Ejected {
		lease, err := s.pool.Acquire(0, nil)
		if err != nil {
			t.Fatal(err)
		}
		if lease.Backend().Address() == quiet.address {
			lease.Report(pool.Reset)
		}
		lease.Release()
	}
	eventually(t, "no trial succeeded", func() bool {
		s.dial(t) // and says nothing
		return stateOf(s.pool, quiet.address).State == pool.Active
	})
}

// After a mass departure a client may meet one dead suspect after another; each
// leaves by that, and none uses up an attempt.
func TestTCPDeadSuspectsUseUpNoAttempt(t *testing.T) {
	good := startBackend(t, echoAs("good"))
	addresses := []string{good.address}
	for range 5 {
		addresses = append(addresses, refusing(t))
	}
	never := func(context.Context, string) error { return nil }
	s := startTCP(t, pool.Config{Probe: never}, Config{Retry: Retry{Attempts: 1}}, addresses...)
	s.pool.Update(nil)
	for range 6 {
		if who, err := ask(s.dial(t)); who != "good" || err != nil {
			t.Fatalf("%q, %v, want the one suspect that lives", who, err)
		}
	}
}

func TestTCPNoBackendsClosesTheClient(t *testing.T) {
	s := startTCP(t, pool.Config{}, Config{}, []string{}...)
	s.pool.Update(nil)
	conn := s.dial(t)
	if n, err := conn.Read(make([]byte, 1)); err != io.EOF {
		t.Fatalf("read %d, %v from a service without backends, want the end", n, err)
	}
}

func TestTCPHoldsClientsUntilTheFirstList(t *testing.T) {
	b := startBackend(t, echoAs("b"))
	s := startTCP(t, pool.Config{}, Config{Timeouts: Timeouts{Connect: 5 * time.Second}})
	conn := s.dial(t)
	late := s.pool
	time.AfterFunc(100*time.Millisecond, func() { late.Update(endpointsOf(b.address)) })
	if who, err := ask(conn); who != "b" || err != nil {
		t.Fatalf("answer %q, %v; want the client held until the list was in", who, err)
	}

	s = startTCP(t, pool.Config{}, Config{Timeouts: Timeouts{Connect: 50 * time.Millisecond}})
	start := time.Now()
	if n, err := s.dial(t).Read(make([]byte, 1)); err != io.EOF {
		t.Fatalf("read %d, %v with no list at all, want the end", n, err)
	}
	if took := time.Since(start); took < 40*time.Millisecond {
		t.Fatalf("closed after %s, want it held for the connect timeout", took)
	}
}

func TestTCPDrainLetsClientsFinish(t *testing.T) {
	b := startBackend(t, echoAs("b"))
	s := startTCP(t, pool.Config{}, Config{DrainTimeout: 10 * time.Second}, b.address)
	conn := s.dial(t)
	if _, err := ask(conn); err != nil {
		t.Fatal(err)
	}
	done := make(chan int64)
	go func() { done <- s.stop() }()
	eventually(t, "the port still accepts while draining", func() bool {
		c, err := net.Dial("tcp", s.address)
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	})
	if _, err := ask(conn); err != nil {
		t.Fatalf("a client was cut while the drain had time: %v", err)
	}
	_ = conn.Close()
	if cut := <-done; cut != 0 {
		t.Fatalf("%d cut, want none", cut)
	}
}

// The port passes from one service to another, as when one is renamed: whoever was
// accepted by the first is served by it.
func TestClientAcceptedAtTheEndIsServed(t *testing.T) {
	t.Parallel()
	for protocol, c := range map[string]struct {
		backend string
		service func(*pool.Pool) interface {
			Serve(context.Context, net.Listener) (int64, error)
		}
		ask func(net.Conn) error
	}{
		"tcp": {
			startBackend(t, echoAs("b")).address,
			func(p *pool.Pool) interface {
				Serve(context.Context, net.Listener) (int64, error)
			} {
				return NewTCP(p, Config{})
			},
			func(c net.Conn) error { _, err := ask(c); return err },
		},
		"http": {
			serveHTTP(t, func(http.ResponseWriter, *http.Request) {}),
			func(p *pool.Pool) interface {
				Serve(context.Context, net.Listener) (int64, error)
			} {
				return NewHTTP(p, Config{})
			},
			func(c net.Conn) error {
				time.Sleep(time.Millisecond)
				_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
				_, err := http.ReadResponse(bufio.NewReader(c), nil)
				return err
			},
		},
	} {
		t.Run(protocol, func(t *testing.T) {
			ln, err := Listen(t.Context(), "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			begin := func() (stop func()) {
				f, err := ln.(*net.TCPListener).File()
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				own, err := net.FileListener(f)
				if err != nil {
					t.Fatal(err)
				}
				p := pool.New(pool.Config{})
				p.Update(endpointsOf(c.backend))
				ctx, cancel := context.WithCancel(t.Context())
				var all sync.WaitGroup
				all.Go(func() { _, _ = c.service(p).Serve(ctx, own) })
				return func() { cancel(); all.Wait() }
			}
			over := make(chan bool)
			var clients sync.WaitGroup
			for range 4 {
				clients.Go(func() {
					for {
						select {
						case <-over:
							return
						default:
						}
						conn, err := net.Dial("tcp", ln.Addr().String())
						if err != nil {
							t.Error(err)
							return
						}
						if err := c.ask(conn); err != nil {
							t.Errorf("%v: a client was accepted, and not served", err)
						}
						_ = conn.Close()
					}
				})
			}
			stop := begin()
			for end := time.Now().Add(500 * time.Millisecond); time.Now().Before(end); {
				next := begin()
				stop()
				stop = next
			}
			close(over)
			clients.Wait()
			stop()
		})
	}
}

func TestTCPDrainEndsAtItsTimeout(t *testing.T) {
	b := startBackend(t, echoAs("b"))
	s := startTCP(t, pool.Config{}, Config{DrainTimeout: 50 * time.Millisecond}, b.address)
	conn := s.dial(t)
	if _, err := ask(conn); err != nil {
		t.Fatal(err)
	}
	if cut := s.stop(); cut != 1 {
		t.Fatalf("%d cut, want the one that stayed", cut)
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Fatal("the client that was cut can still read")
	}
}

func TestTCPOnRemove(t *testing.T) {
	for _, c := range []struct {
		name string
		cfg  Config
		cut  bool
	}{
		{"close", Config{CloseOnRemove: true}, true},
		{"drain within its time", Config{}, false},
		{"drain past its time", Config{RemoveTimeout: 30 * time.Millisecond}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, other := startBackend(t, echoAs("b")), startBackend(t, echoAs("other"))
			s := startTCP(t, pool.Config{}, c.cfg, b.address)
			conn := s.dial(t)
			if _, err := ask(conn); err != nil {
				t.Fatal(err)
			}
			s.pool.Update(endpointsOf(other.address))
			if who, err := ask(s.dial(t)); who != "other" || err != nil {
				t.Fatalf("a new client got %q, %v after the removal", who, err)
			}
			_ = conn.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
			_, err := conn.Read(make([]byte, 1))
			if cut := !errors.Is(err, os.ErrDeadlineExceeded); cut != c.cut {
				t.Fatalf("after its backend left, the old client reads %v; cut should be %v", err, c.cut)
			}
		})
	}
}

// A registration that is lost for a moment costs no connection, then or later; one
// that is lost again, and for good, does.
func TestTCPBlipOfARegistrationCutsNobody(t *testing.T) {
	b, other := startBackend(t, echoAs("b")), startBackend(t, echoAs("other"))
	s := startTCP(t, pool.Config{}, Config{RemoveTimeout: 100 * time.Millisecond}, b.address, other.address)
	var old []*net.TCPConn
	for range 2 {
		conn := s.dial(t)
		if who, err := ask(conn); err != nil {
			t.Fatal(err)
		} else if who == "b" {
			old = append(old, conn)
		}
	}
	s.pool.Update(endpointsOf(other.address))
	s.pool.Update(endpointsOf(b.address, other.address))
	time.Sleep(500 * time.Millisecond)
	for _, c := range old {
		if who, err := ask(c); who != "b" || err != nil {
			t.Fatalf("%q, %v: a connection to a server that is registered was cut", who, err)
		}
	}
	s.pool.Update(endpointsOf(other.address))
	for _, c := range old {
		_ = c.SetReadDeadline(time.Now().Add(2 * time.Second))
		if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("%v, want the connection cut: its server has left", err)
		}
	}
	if len(old) != 1 {
		t.Fatalf("%d of two connections went to b", len(old))
	}
}

// The backend goes while the client is held before it: nobody is there to be cut yet.
func TestTCPBackendRemovedWhileConnecting(t *testing.T) {
	t.Parallel()
	var once sync.Once
	b := startBackend(t, func(c *net.TCPConn) {
		bad := false
		once.Do(func() { bad = true })
		if bad {
			resets(c)
			return
		}
		echoAs("gone")(c)
	})
	s := startTCP(t, pool.Config{}, Config{CloseOnRemove: true}, b.address)
	c := s.dial(t)
	_, _ = ask(c) // makes it doubtful: the next one is held
	_ = c.Close()
	for range 5 {
		c = s.dial(t)
		time.Sleep(doubtfulHold / 3)
		s.pool.Update(nil)
		time.Sleep(3 * doubtfulHold)
		if name, err := ask(c); err == nil {
			t.Fatalf("the client is served by %q, which was removed", name)
		}
		s.pool.Update(endpointsOf(b.address))
	}
}

// It goes, comes back as a suspect, and goes again: its clients have all their time.
func TestTCPRemoveTimeoutIsOfTheLastDeparture(t *testing.T) {
	t.Parallel()
	a, b := startBackend(t, echoAs("a")), startBackend(t, echoAs("b"))
	s := startTCP(t, pool.Config{}, Config{RemoveTimeout: time.Second}, a.address)
	c := s.dial(t)
	if _, err := ask(c); err != nil {
		t.Fatal(err)
	}
	s.pool.Update(endpointsOf(a.address, b.address))
	s.pool.Update(endpointsOf(b.address))
	time.Sleep(200 * time.Millisecond)
	s.pool.Update(endpointsOf()) // a mass: a is a suspect
	time.Sleep(600 * time.Millisecond)
	again := time.Now()
	if err := s.pool.Forget(a.address); err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	_, err := c.Read(make([]byte, 1))
	if took := time.Since(again); errors.Is(err, os.ErrDeadlineExceeded) || took < 900*time.Millisecond {
		t.Errorf("read %v %v after its backend left for the last time, want an end after a second", err, took)
	}
}

// A client that has ended its stream and then resets wants no answer any more.
func TestTCPResetAfterAnEndEndsTheSession(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("nobody is told of it here")
	}
	reset, wrote := make(chan bool), make(chan error, 1)
	b := startBackend(t, func(c *net.TCPConn) {
		_, _ = io.WriteString(c, "hello\n")
		_, _ = io.ReadAll(c) // the client's end
		<-reset
		var err error
		for end := time.Now().Add(5 * time.Second); err == nil && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
			_, err = io.WriteString(c, "x")
		}
		wrote <- err
	})
	s := startTCP(t, pool.Config{}, Config{}, b.address)
	c := s.dial(t)
	_, _ = io.ReadFull(c, make([]byte, 6))
	_ = c.CloseWrite()
	time.Sleep(50 * time.Millisecond)
	_ = c.SetLinger(0)
	_ = c.Close()
	eventually(t, "the session is still there", func() bool { return s.Stats().Active.Load() == 0 })
	close(reset)
	if err := <-wrote; err == nil {
		t.Error("the backend can still write to a client that is gone")
	}
}

// Nor does one whose session was woken between the two for what a step does not move.
func TestTCPResetAfterAnEndAndALongAnswerEndsTheSession(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("nobody is told of it here")
	}
	const size = 4 << 20
	over := make(chan bool)
	b := startBackend(t, func(c *net.TCPConn) {
		_, _ = io.ReadAll(c) // the client's end
		_, _ = io.CopyN(c, zeros{}, size)
		<-over
	})
	s := startTCP(t, pool.Config{}, Config{}, b.address)
	defer close(over)
	c := s.dial(t)
	_, _ = io.WriteString(c, "?")
	_ = c.CloseWrite()
	if n, err := io.CopyN(io.Discard, c, size); err != nil {
		t.Fatalf("%d bytes of the answer, %v", n, err)
	}
	eventually(t, "the session is not parked", func() bool { return s.lot.Size() == 1 })
	_ = c.SetLinger(0)
	_ = c.Close()
	eventually(t, "the session is still there, and its backend works for nobody", func() bool { return s.Stats().Active.Load() == 0 })
}

// Bulk in both directions at once, and each half-closing before the other ends.
func TestTCPCarriesEverythingBothWays(t *testing.T) {
	const size = 20 << 20
	payload := make([]byte, size)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range payload {
		payload[i] = byte(r.Uint32())
	}
	want := sha256.Sum256(payload)
	got := make(chan [32]byte, 1)
	b := startBackend(t, func(c *net.TCPConn) {
		var wg sync.WaitGroup
		wg.Go(func() {
			_, _ = io.Copy(c, bytes.NewReader(payload))
			_ = c.CloseWrite()
		})
		h := sha256.New()
		_, _ = io.Copy(h, c)
		got <- [32]byte(h.Sum(nil))
		wg.Wait()
	})
	s := startTCP(t, pool.Config{}, Config{}, b.address)
	conn := s.dial(t)
	var wg sync.WaitGroup
	wg.Go(func() {
		_, _ = io.Copy(conn, bytes.NewReader(payload))
		_ = conn.CloseWrite()
	})
	h := sha256.New()
	if _, err := io.Copy(h, conn); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if [32]byte(h.Sum(nil)) != want || <-got != want {
		t.Fatal("what arrived is not what was sent")
	}
	if n := s.Stats().Bytes.ToClient.Load(); n != size {
		t.Fatalf("bytes to the client counted as %d, want %d", n, size)
	}
}

func TestTCPManyConnectionsLeaveNothingBehind(t *testing.T) {
	b := startBackend(t, greetAs("b"))
	s := startTCP(t, pool.Config{}, Config{}, b.address)
	n := 4000
	if testing.Short() {
		n = 500
	}
	before := descriptors(t)
	for range n {
		conn, err := net.Dial("tcp", s.address)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(conn); err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
	}
	eventually(t, "connections stay open", func() bool { return s.Stats().Active.Load() == 0 })
	eventually(t, "descriptors stay open", func() bool { return descriptors(t) <= before+2 })
	for _, b := range s.pool.Status().Backends {
		if b.InFlight != 0 {
			t.Fatalf("%d in flight at the end", b.InFlight)
		}
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("no /proc to count descriptors in:", err)
	}
	return len(fds)
}

// Running out of descriptors must not end the accept loop.
func TestAcceptSurvivesWantOfDescriptors(t *testing.T) {
	s := &server{}
	s.init(pool.New(pool.Config{}), Config{})
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln := &starved{Listener: inner, left: 3}
	served := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		_, _ = s.serve(ctx, ln, func(_ context.Context, c socket.Stream) {
			_ = c.Close()
			s.entering.Done()
			close(served)
		})
	})
	conn, err := net.Dial("tcp", inner.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	<-served
	_ = conn.Close()
	cancel()
	wg.Wait()
	if n := s.stats.AcceptErrors.Load(); n != 3 {
		t.Fatalf("%d failed accepts counted, want 3", n)
	}
}

// Nor must it have it spin, nor wait long when it is soon over.
func TestAcceptDoesNotSpinForWantOfDescriptors(t *testing.T) {
	over, err := net.Listen("tcp", "127.0.0.1:0") // for who has tried too often
	if err != nil {
		t.Fatal(err)
	}
	_ = over.Close()
	synctest.Test(t, func(t *testing.T) {
		s := &server{}
		s.init(pool.New(pool.Config{}), Config{})
		ctx, cancel := context.WithCancel(t.Context())
		var loop, own sync.WaitGroup
		loop.Go(func() {
			ln := socket.NewListener(&starved{Listener: over, left: 1000}, net.KeepAliveConfig{})
			if err := s.accept(ctx, ln, &own, func(socket.Stream) { t.Error("a client came of nothing") }); err != nil {
				t.Errorf("accept = %v, want it to go on until it is told to end", err)
			}
		})
		for _, c := range []struct {
			after       time.Duration
			least, most int64
		}{{100 * time.Millisecond, 3, 20}, {time.Minute, 60, 80}} {
			time.Sleep(c.after)
			if n := s.stats.AcceptErrors.Load(); n < c.least || n > c.most {
				t.Errorf("%d tries within %s, want from %d to %d", n, c.after, c.least, c.most)
			}
		}
		cancel()
		loop.Wait()
	})
}

// starved is a listener whose next accepts fail for want of descriptors.
type starved struct {
	net.Listener
	left int
}

func (s *starved) Accept() (net.Conn, error) {
	if s.left > 0 {
		s.left--
		return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	}
	return s.Listener.Accept()
}

func TestDialOutcomeBlamesTheRightSide(t *testing.T) {
	for _, c := range []struct {
		err  error
		want pool.Outcome
	}{
		{syscall.ECONNREFUSED, pool.Refused},
		{syscall.EHOSTUNREACH, pool.Refused},
		{syscall.ECONNRESET, pool.Refused},
		{os.ErrDeadlineExceeded, pool.Timeout},
		{context.DeadlineExceeded, pool.Timeout},
		{syscall.ETIMEDOUT, pool.Timeout},
		{syscall.EMFILE, pool.Unknown},
		{syscall.EADDRNOTAVAIL, pool.Unknown},
		{syscall.EADDRINUSE, pool.Unknown},
		{context.Canceled, pool.Unknown},
	} {
		if got := dialOutcome(&net.OpError{Op: "dial", Err: c.err}); got != c.want {
			t.Errorf("%v is %s, want %s", c.err, got, c.want)
		}
	}
}

func TestTCPHintsOnceThatItsClientsSpeakHTTP(t *testing.T) {
	var log bytes.Buffer
	var mu sync.Mutex
	b := startBackend(t, func(c *net.TCPConn) {
		time.Sleep(5 * time.Millisecond)
		_, _ = io.WriteString(c, "x")
	})
	s := startTCP(t, pool.Config{}, Config{Log: slog.New(slog.NewTextHandler(lockedWriter{&mu, &log}, nil))}, b.address)
	for i := range 40 { // a client's bytes may come a little later than the look
		conn := s.dial(t)
		_, _ = io.WriteString(conn, []string{"EHLO a\r\n", "GET / HTTP/1.1\r\n\r\n"}[i%2])
		_, _ = io.ReadAll(conn)
	}
	mu.Lock()
	defer mu.Unlock()
	if n := strings.Count(log.String(), "protocol: http"); n != 1 {
		t.Fatalf("%d hints, want one:\n%s", n, log.String())
	}
}

type lockedWriter struct {
	mu *sync.Mutex
	w  io.Writer
}

func (l lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// PostgreSQL is asked to cancel a query by 16 bytes on a connection of their own, which
// it ends without a word: that is no failure of one that serves sessions meanwhile.
func TestTCPBackendThatActsAndEndsWithoutAWordIsNotBlamed(t *testing.T) {
	var acted atomic.Int64
	b := startBackend(t, func(c *net.TCPConn) {
		first := make([]byte, 16)
		switch _, err := io.ReadFull(c, first); {
		case err != nil:
		case first[0] == 's': // a session
			_, _ = c.Write(first)
			_, _ = io.Copy(io.Discard, c)
		default:
			acted.Add(1)
		}
	})
	s := startTCP(t, pool.Config{}, Config{}, b.address)
	session := s.dial(t)
	_, _ = session.Write([]byte("session of words"))
	if _, err := io.ReadFull(session, make([]byte, 16)); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		conn := s.dial(t)
		_, _ = conn.Write(make([]byte, 16))
		if n, err := conn.Read(make([]byte, 1)); err != io.EOF {
			t.Fatalf("read %d, %v, want the end", n, err)
		}
		_ = conn.Close()
	}
	if got := stateOf(s.pool, b.address); got.Failures != 0 || acted.Load() != 20 {
		t.Errorf("%d failures after %d requests of 20 that it acted upon beside a session, want none", got.Failures, acted.Load())
	}
	_ = session.Close() // and then it serves nobody: that is as one that is broken does
	for range 6 {
		conn := s.dial(t)
		_, _ = conn.Write(make([]byte, 16))
		_, _ = conn.Read(make([]byte, 1))
		_ = conn.Close()
		eventually(t, "the client is still there", func() bool { return s.Stats().Active.Load() == 0 })
	}
	if got := stateOf(s.pool, b.address); got.Failures == 0 {
		t.Error("a backend that ends everything without a word is never blamed")
	}
}

// One that has served and then ends whatever it accepts is found out, though its
// clients' bytes may be on their way before its end is seen.
func TestTCPBackendThatBeginsToEndAtOnceIsEjected(t *testing.T) {
	var bad atomic.Bool
	b := startBackend(t, func(c *net.TCPConn) {
		if !bad.Load() {
			echoAs("b")(c)
		}
	})
	s := startTCP(t, pool.Config{}, Config{}, b.address, startBackend(t, echoAs("good")).address)
	for range 4 {
		if _, err := ask(s.dial(t)); err != nil {
			t.Fatal(err)
		}
	}
	bad.Store(true)
	for range 40 {
		conn := s.dial(t)
		_, _ = ask(conn)
		_ = conn.Close()
	}
	if got := stateOf(s.pool, b.address); got.State != pool.Ejected {
		t.Errorf("it is %s after %d failures, want it ejected", got.State, got.Failures)
	}
}
