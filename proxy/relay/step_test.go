package relay

import (
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"portside/proxy/parking"
)

// stepped is a relay's end of a connection, which begins at rest and goes by steps
// as long as it can.
type stepped struct {
	*net.TCPConn
	once   sync.Once
	closed chan struct{}
}

func stepPair(t testing.TB) (Conn, Conn) {
	t.Helper()
	a, b := tcpPair(t)
	return a, &stepped{TCPConn: b.(*net.TCPConn), closed: make(chan struct{})}
}

// Close tells who watches over it as well.
func (c *stepped) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.TCPConn.Close()
}

type newsroom chan parking.News

func (c newsroom) Wake(n parking.News) { c <- n }

// inSteps runs a relay that rests whenever it can, as a service does.
func inSteps(t testing.TB, client, backend *stepped, cfg Config) Result {
	var lot parking.Lot
	if err := lot.Start(); err != nil {
		t.Error(err)
		return Result{}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { lot.Run(ctx) })
	defer wg.Wait()
	defer cancel()
	cfg.Brief = true
	var spot parking.Spot
	told := make(newsroom, 1)
	for r := Run(client, backend, cfg); ; {
		switch r.End {
		case Resting:
			q := r.Rested
			if spot == (parking.Spot{}) {
				spot, _ = lot.Join(told, q.client.raw, q.backend.raw)
			}
			news, asleep := lot.Sleep(spot, q.Until())
			if asleep {
				select {
				case news = <-told:
				case <-either(client.closed, backend.closed):
					if !lot.Take(spot) {
						news = <-told
					}
				}
			}
			r = q.Step(news)
			if r.End == 0 {
				lot.Leave(spot, false)
				spot = parking.Spot{}
				r = q.Resume(false)
			}
		default:
			return r
		}
	}
}

func either(a, b chan struct{}) chan struct{} {
	c := make(chan struct{})
	go func() {
		select {
		case <-a:
		case <-b:
		}
		close(c)
	}()
	return c
}

// brief has a relay rest at once, after what prepare has done.
func brief(t *testing.T, cfg Config, prepare func(r *running)) (*running, *Rested) {
	t.Helper()
	r := &running{t: t}
	r.client, r.innerClient = tcpPair(t)
	r.backend, r.innerBackend = tcpPair(t)
	for _, c := range []Conn{r.client, r.backend, r.innerClient, r.innerBackend} {
		t.Cleanup(func() { c.Close() })
	}
	prepare(r)
	cfg.Brief = true
	res := Run(r.innerClient, r.innerBackend, cfg)
	if res.End != Resting {
		t.Fatalf("ended %v, %v; want it to rest at once", res.End, res.Err)
	}
	return r, res.Rested
}

var (
	fromClient  = parking.News{parking.Readable, 0}
	fromBackend = parking.News{0, parking.Readable}
	clientEnds  = parking.News{parking.Readable | parking.Ended, 0}
	backendEnds = parking.News{0, parking.Readable | parking.Ended}
)

// step takes one that is to leave the relay at rest.
func (r *running) step(q *Rested, news parking.News) {
	r.t.Helper()
	if res := q.Step(news); res.End != Resting || res.Rested != q {
		r.t.Fatalf("%v: ended %v, %v; want it at rest", news, res.End, res.Err)
	}
}

// arrived waits until the relay's kernel has all that c has sent.
func arrived(t *testing.T, c Conn) {
	t.Helper()
	waitUntil(t, "the relay's kernel has the bytes", func() bool { return unsentBytes(t, c) == 0 })
}

// A question, an answer, and both ends take no more than steps.
func TestShortRelayIsAtRestAllItsLife(t *testing.T) {
	var counters Counters
	told := 0
	cfg := Config{Early: time.Minute, Counters: &counters, FirstByte: func() { told++ }}
	r, q := brief(t, cfg, func(r *running) { write(t, r.client, "question"); arrived(t, r.client) })
	expect(t, r.backend, "question")
	if told != 0 {
		t.Error("a first byte of the backend's was told of")
	}
	write(t, r.backend, "answer")
	arrived(t, r.backend)
	r.step(q, fromBackend)
	expect(t, r.client, "answer")
	r.step(q, fromBackend) // by news of nothing
	write(t, r.client, "more")
	r.client.CloseWrite()
	arrived(t, r.client)
	r.step(q, clientEnds)
	expect(t, r.backend, "more")
	expectEOF(t, r.backend)
	if client, backend := q.Sources(); client == nil || backend == nil {
		t.Error("it does not wait for the backend, or to hear that the client, whose stream has ended, is lost")
	}
	write(t, r.backend, "last")
	r.backend.Close()
	arrived(t, r.backend)
	res := q.Step(backendEnds)
	if res.End != Done || res.Err != nil || res.BackendFirst || res.ToBackend != 12 || res.ToClient != 10 {
		t.Errorf("ended %+v; want done, the client first, with 12 and 10 bytes", res)
	}
	expect(t, r.client, "last")
	expectEOF(t, r.client)
	if up, down := counters.ToBackend.Load(), counters.ToClient.Load(); up != 12 || down != 10 {
		t.Errorf("counted %d and %d bytes, want 12 and 10", up, down)
	}
	if told != 1 {
		t.Errorf("told of the first byte %d times, want once", told)
	}
	if _, err := r.innerClient.Write([]byte("x")); err == nil {
		t.Error("the client's connection is still open")
	}
}

// What a side does not take in a step, the relay delivers once it has woken up.
func TestStepDoesNotWait(t *testing.T) {
	sent := int64(64 << 20)
	r, q := brief(t, Config{}, func(*running) {})
	go func() {
		_, _ = io.Copy(r.client, io.LimitReader(zeros{}, sent))
		r.client.CloseWrite()
	}()
	for res := (Result{End: Resting}); res.End == Resting; {
		res = q.Step(fromClient)
		if res.End != 0 && res.End != Resting {
			t.Fatalf("ended %v, %v; want that it has to wake up", res.End, res.Err)
		}
	}
	r.done = make(chan Result, 1)
	r.resume(q)
	if n, err := io.Copy(io.Discard, plain{r.backend}); n != sent || err != nil {
		t.Errorf("%d bytes arrived, %v; want %d", n, err, sent)
	}
	r.backend.Close()
	if res := r.result(); res.End != Done || res.ToBackend != sent {
		t.Errorf("ended %v, with %d bytes; want done, with %d", res.End, res.ToBackend, sent)
	}
}

// A read ends at the mark of urgent data, though there is more behind it. The urgent
// byte itself has never been passed on.
func TestUrgentDataHidesNothing(t *testing.T) {
	r := start(t, stepPair, Config{})
	for range 3 {
		write(t, r.client, "abc")
		writeUrgent(t, r.client)
		write(t, r.client, "def")
		expect(t, r.backend, "abcdef")
	}
}

// writeUrgent sends a byte of urgent data.
func writeUrgent(t *testing.T, c Conn) {
	t.Helper()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) { err = syscall.Sendto(int(fd), []byte("!"), syscall.MSG_OOB, nil) }); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Skip("no urgent data on this system: ", err)
	}
}

// A relay at work rests when it is told that there are others.
func TestCrowdedRelayRests(t *testing.T) {
	var crowded atomic.Bool
	r := start(t, tcpPair, Config{Rest: 50 * soon, Crowded: crowded.Load}) // not for a pause of this test's
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			write(t, r.client, "ping")
			expect(t, r.backend, "ping")
			write(t, r.backend, "pong")
			expect(t, r.client, "pong")
		}
	})
	select {
	case res := <-r.done:
		t.Errorf("ended %v, want it at work", res.End)
	case <-time.After(10 * soon):
	}
	crowded.Store(true)
	q := r.rested()
	crowded.Store(false)
	r.resume(q)
	time.Sleep(10 * soon)
	close(stop)
	wg.Wait()
	r.rested()
}

func TestStepAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	r, q := brief(t, Config{}, func(*running) {})
	word, buf := []byte("x"), make([]byte, 8)
	if n := testing.AllocsPerRun(1000, func() {
		_, _ = r.client.Write(word)
		for q.Step(fromClient).End == 0 {
		}
		_, _ = r.backend.Read(buf)
	}); n >= 1 {
		t.Errorf("%v allocations a step", n)
	}
}
