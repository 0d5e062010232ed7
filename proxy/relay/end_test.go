package relay

import (
	"bytes"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestResetIsPassedOnAfterTheBytesBeforeIt(t *testing.T) {
	eachTCP(t, func(t *testing.T, pair func(testing.TB) (Conn, Conn)) {
		// The bytes fit the kernel's buffers, so that the reset is behind all of
		// them before the relay has read the first.
		sent := bytes.Repeat([]byte("0123456789abcdef"), 20_000)
		for _, from := range []string{"client", "backend"} {
			t.Run(from, func(t *testing.T) {
				r := start(t, pair, Config{})
				end, loser, other := ClientReset, r.client, r.backend
				if from == "backend" {
					end, loser, other = BackendReset, r.backend, r.client
				}
				if _, err := loser.Write(sent); err != nil {
					t.Fatal(err)
				}
				waitUntil(t, "the relay's kernel has the bytes", func() bool { return unsentBytes(t, loser) == 0 })
				reset(t, loser)
				got, err := io.ReadAll(plain{other})
				if !isReset(err) {
					t.Errorf("after the bytes: %v; want a reset, for that is what the %s did", err, from)
				}
				if !bytes.Equal(got, sent) {
					t.Errorf("%d bytes before the reset; want all %d", len(got), len(sent))
				}
				if res := r.result(); res.End != end || res.Err == nil {
					t.Errorf("ended %v, %v; want %v and its error", res.End, res.Err, end)
				}
			})
		}
	})
}

// unsentBytes is what the peer's kernel has not got yet of what c wrote.
func unsentBytes(t *testing.T, c Conn) int {
	t.Helper()
	var s side
	s.set(c)
	return s.unsent()
}

func waitUntil(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}

func TestResetOfAnEndedStreamDestroysNothing(t *testing.T) {
	eachTCP(t, func(t *testing.T, pair func(testing.TB) (Conn, Conn)) {
		// envoy#45190: the backend answers, ends and is gone, while the client is
		// still sending and has read nothing.
		r := start(t, pair, Config{})
		r.client.(*net.TCPConn).SetReadBuffer(64 << 10)
		answer := bytes.Repeat([]byte("a"), 600<<10)
		write(t, r.client, "request")
		expect(t, r.backend, "request")
		if _, err := r.backend.Write(answer); err != nil {
			t.Fatal(err)
		}
		waitUntil(t, "the relay has the answer", func() bool { return unsentBytes(t, r.backend) == 0 })
		r.backend.Close()
		// These meet a backend that is gone: its kernel answers with a reset.
		for range 10 {
			write(t, r.client, "more")
			time.Sleep(time.Millisecond)
		}
		got, err := io.ReadAll(plain{r.client})
		if !bytes.Equal(got, answer) {
			t.Errorf("%d bytes of the answer arrived (%v); want all %d", len(got), err, len(answer))
		}
		if res := r.result(); res.End != BackendReset {
			t.Errorf("ended %v, %v; want backend reset", res.End, res.Err)
		}
	})
}

func TestLostReaderEndsTheRelay(t *testing.T) {
	// The client vanishes while the backend keeps sending: it is the relay's
	// write that meets the reset, often before its read, which then sees but an
	// end of stream. Passed on as that, half an upload would look like a whole.
	for range 200 {
		var inner *relay
		r := startWith(t, tcpPair, Config{}, func(r *relay) { inner = r })
		go func() {
			for b := make([]byte, 1<<10); ; {
				if _, err := r.backend.Write(b); err != nil {
					return
				}
			}
		}()
		expect(t, r.client, "\x00")
		reset(t, r.client)
		if res := r.result(); res.End != ClientReset {
			t.Fatalf("ended %v, %v; want client reset", res.End, res.Err)
		}
		// Asked of the relay itself, for the backend's own write may have met
		// its reset before a read could.
		if inner.up.clean {
			t.Fatal("the client's reset was passed on as a clean end")
		}
	}
}

func TestIdleRelayEnds(t *testing.T) {
	const idle = time.Minute
	for _, state := range []string{"open", "client ended", "backend ended", "blocked"} {
		t.Run(state, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := start(t, func(testing.TB) (Conn, Conn) { return newDuplex() }, Config{Idle: idle})
				switch state {
				case "client ended":
					r.client.CloseWrite()
				case "backend ended":
					r.backend.CloseWrite()
				}
				// Traffic at odd times postpones the end.
				var last time.Time
				for range 5 {
					time.Sleep(37 * time.Second)
					from, to := r.client, r.backend
					if state == "client ended" {
						from, to = to, from
					}
					go from.Write([]byte("x"))
					io.ReadFull(to, make([]byte, 1))
					last = time.Now()
				}
				if state == "blocked" {
					go r.client.Write([]byte("nobody reads this"))
				}
				res := <-r.done
				took := time.Since(last)
				if res.End != Idle || res.Err != nil {
					t.Errorf("ended %v, %v; want idle", res.End, res.Err)
				}
				if took < idle || took > idle+idle/10 {
					t.Errorf("ended %v after the last byte; want %v, at most a tenth late", took, idle)
				}
				if _, err := r.client.Read(make([]byte, 1)); err == nil {
					t.Error("the client is still open; an idle relay closes both sides")
				}
			})
		})
	}
}

func TestIdleEndsSockets(t *testing.T) {
	eachTCP(t, func(t *testing.T, pair func(testing.TB) (Conn, Conn)) {
		const idle = 300 * time.Millisecond
		began := time.Now()
		r := start(t, pair, Config{Idle: idle})
		r.client.CloseWrite()
		expectEOF(t, r.backend)
		if res := r.result(); res.End != Idle {
			t.Errorf("ended %v, %v; want idle", res.End, res.Err)
		}
		if took := time.Since(began); took < idle {
			t.Errorf("ended after %v; want no less than %v", took, idle)
		}
		expectEOF(t, r.client)
	})
}

// flood writes to c until it ends.
func flood(c io.Writer) {
	for b := make([]byte, 64<<10); ; {
		if _, err := c.Write(b); err != nil {
			return
		}
	}
}

// A peer that reads slowly but steadily is not idle, though for longer than the limit
// there is no room for another write.
func TestSlowReaderIsNotIdle(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("what the kernel has still to send is known on Linux alone")
	}
	eachTCP(t, func(t *testing.T, pair func(testing.TB) (Conn, Conn)) {
		r := start(t, pair, Config{Idle: 300 * time.Millisecond})
		go flood(r.backend)
		b := make([]byte, 64<<10)
		for began := time.Now(); time.Since(began) < 2*time.Second; time.Sleep(25 * time.Millisecond) {
			if _, err := r.client.Read(b); err != nil {
				t.Fatalf("%v after %v of slow reading, want it to go on", err, time.Since(began))
			}
		}
		_ = r.client.Close()
		_ = r.backend.Close()
		r.result()
	})
}

func TestIdleResetsAStreamItCuts(t *testing.T) {
	eachTCP(t, func(t *testing.T, pair func(testing.TB) (Conn, Conn)) {
		// A clean end after half an answer would look like a whole one.
		r := start(t, pair, Config{Idle: 300 * time.Millisecond})
		go flood(r.backend)
		if res := r.result(); res.End != Idle {
			t.Fatalf("ended %v, %v; want idle, because the client takes nothing", res.End, res.Err)
		}
		if _, err := io.Copy(io.Discard, plain{r.client}); !isReset(err) {
			t.Errorf("the client's stream ended with %v; want a reset, for it was cut", err)
		}
	})
}

func TestClosingBothSidesCancels(t *testing.T) {
	states := map[string]func(r *running){
		"idle":           func(r *running) {},
		"half closed":    func(r *running) { r.client.CloseWrite() },
		"blocked writer": func(r *running) { fill(r.backend) },
		"both blocked":   func(r *running) { fill(r.backend); fill(r.client) },
	}
	each(t, func(t *testing.T, pair func(testing.TB) (Conn, Conn)) {
		for name, prepare := range states {
			t.Run(name, func(t *testing.T) {
				r := start(t, pair, Config{Idle: time.Hour})
				prepare(r)
				time.Sleep(10 * time.Millisecond)
				// One after the other: the first must not wait for the second.
				closed := make(chan struct{})
				go func() {
					r.innerClient.Close()
					r.innerBackend.Close()
					close(closed)
				}()
				if res := r.result(); res.End != Closed {
					t.Errorf("ended %v, %v; want closed", res.End, res.Err)
				}
				<-closed
			})
		}
	})
}

// fill writes to c, in the background, until nothing takes any more.
func fill(c Conn) {
	go func() {
		for b := make([]byte, 64<<10); ; {
			if _, err := c.Write(b); err != nil {
				return
			}
		}
	}()
	time.Sleep(50 * time.Millisecond)
}

func TestSlowReaderCostsNoMemory(t *testing.T) {
	eachTCP(t, func(t *testing.T, pair func(testing.TB) (Conn, Conn)) {
		const relays = 20
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		for range relays {
			r := start(t, pair, Config{})
			go func() {
				for b := make([]byte, 64<<10); ; {
					if _, err := r.backend.Write(b); err != nil {
						return
					}
				}
			}()
		}
		time.Sleep(300 * time.Millisecond)
		runtime.GC()
		runtime.ReadMemStats(&after)
		// The writers of the test hold 64 KiB each.
		if grew := int64(after.HeapInuse) - int64(before.HeapInuse); grew > relays*(64<<10+2*size)+2<<20 {
			t.Errorf("%d relays with readers that read nothing hold %d KiB; want no more than their buffers", relays, grew>>10)
		}
	})
}

func TestRelaysLeaveNothingBehind(t *testing.T) {
	n := 5000
	if testing.Short() || raceEnabled {
		n = 500
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	pair := func() (Conn, Conn) {
		a, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		b, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		return a.(Conn), b.(Conn)
	}
	goroutines, files := runtime.NumGoroutine(), descriptors(t)
	var wg sync.WaitGroup
	for i := range n {
		client, innerClient := pair()
		backend, innerBackend := pair()
		wg.Go(func() {
			Run(innerClient, innerBackend, Config{Idle: time.Minute, Early: time.Second})
			innerClient.Close() // an early end leaves it open
		})
		switch i % 3 {
		case 0:
			client.Close()
		case 1:
			reset(t, client)
		case 2:
			write(t, client, "x")
			client.CloseWrite()
		}
		backend.Close()
		if i%3 == 2 {
			client.Close()
		}
		if i%100 == 99 {
			wg.Wait()
		}
	}
	wg.Wait()
	waitUntil(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= goroutines })
	if now := descriptors(t); now > files {
		t.Errorf("%d descriptors after %d relays; want the %d from before", now, n, files)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/dev/fd")
	if err != nil {
		t.Skip(err)
	}
	return len(entries)
}

// A backend that takes what it is sent and then ends is told from one that ends
// without it.
func TestBackendThatEndsFirstHasTakenWhatItWasSentOrNot(t *testing.T) {
	for _, kind := range kinds {
		if !kind.socket {
			continue // nothing is acknowledged there
		}
		for _, sent := range []string{"", "cancel"} {
			t.Run(kind.name+" "+sent, func(t *testing.T) {
				r := start(t, kind.pair, Config{Early: time.Second})
				if sent != "" {
					write(t, r.client, sent)
					expect(t, r.backend, sent)
				} else {
					write(t, r.backend, "x") // else it would be an early end
					expect(t, r.client, "x")
				}
				r.backend.Close()
				expectEOF(t, r.client)
				r.client.Close()
				if res := r.result(); !res.BackendFirst || res.Taken != (sent != "") {
					t.Errorf("ended %+v; want the backend first, having taken something: %t", res, sent != "")
				}
			})
		}
	}
}
