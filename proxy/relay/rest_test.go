package relay

import (
	"context"
	"io"
	"sync"
	"testing"
	"time"

	"portside/proxy/parking"
)

const soon = 20 * time.Millisecond

// rested waits for the relay to rest.
func (r *running) rested() *Rested {
	r.t.Helper()
	res := r.result()
	if res.End != Resting || res.Rested == nil {
		r.t.Fatalf("ended %v, %v; want it to rest", res.End, res.Err)
	}
	return res.Rested
}

// resume goes on with q.
func (r *running) resume(q *Rested) { go func() { r.done <- q.Resume(false) }() }

// wakes reports whether q waits for c's peer to do something, who has done it.
func wakes(t *testing.T, q *Rested) bool {
	t.Helper()
	var lot parking.Lot
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	if err := lot.Start(); err != nil {
		t.Fatal(err)
	}
	wg.Go(func() { lot.Run(ctx) })
	defer wg.Wait()
	defer cancel()
	woken := make(signal, 1)
	client, backend := q.Sources()
	spot, ok := lot.Join(woken, client, backend)
	if !ok {
		t.Skip("nobody is parked on this system")
	}
	defer lot.Leave(spot, false)
	over := time.After(100 * time.Millisecond)
	for {
		news, asleep := lot.Sleep(spot, time.Time{})
		if asleep {
			select {
			case news = <-woken:
			case <-over:
				return false
			}
		}
		if !q.known(news) {
			return true
		}
	}
}

type signal chan parking.News

func (s signal) Wake(news parking.News) { s <- news }

func TestQuietRelayRests(t *testing.T) {
	var counters Counters
	r := start(t, tcpPair, Config{Rest: soon, Idle: time.Minute, Early: time.Minute, Counters: &counters})
	write(t, r.client, "ping")
	expect(t, r.backend, "ping")
	write(t, r.backend, "pong")
	expect(t, r.client, "pong")
	for range 3 {
		q := r.rested()
		if left := time.Until(q.Until()); left < 50*time.Second || left > time.Minute {
			t.Errorf("ends in %v, want about a minute", left)
		}
		if wakes(t, q) {
			t.Error("woken for nothing")
		}
		write(t, r.client, "ping")
		if !wakes(t, q) {
			t.Error("the client spoke, and nobody was woken")
		}
		r.resume(q)
		expect(t, r.backend, "ping")
		q = r.rested()
		write(t, r.backend, "pong")
		if !wakes(t, q) {
			t.Error("the backend spoke, and nobody was woken")
		}
		r.resume(q)
		expect(t, r.client, "pong")
	}
	q := r.rested()
	r.client.CloseWrite()
	r.resume(q)
	expectEOF(t, r.backend)
	// Half-closed it rests as well, and is woken by the one who may still speak.
	q = r.rested()
	if wakes(t, q) {
		t.Error("woken for nothing, half-closed")
	}
	r.resume(q)
	write(t, r.backend, "rest")
	expect(t, r.client, "rest")
	q = r.rested()
	r.backend.Close()
	if !wakes(t, q) {
		t.Error("the backend ended, and nobody was woken")
	}
	r.resume(q)
	expectEOF(t, r.client)
	res := r.result()
	if res.End != Done || res.BackendFirst {
		t.Errorf("ended %v, the backend first: %v; want done, and the client first", res.End, res.BackendFirst)
	}
	if res.ToBackend != 16 || res.ToClient != 20 || counters.ToBackend.Load() != 16 || counters.ToClient.Load() != 20 {
		t.Errorf("counted %d and %d, for the service %d and %d; want 16 and 20 bytes", res.ToBackend, res.ToClient, counters.ToBackend.Load(), counters.ToClient.Load())
	}
}

func TestResetWhileRestingIsPassedOn(t *testing.T) {
	for name, pick := range map[string]func(r *running) (lost, other Conn){
		"client":  func(r *running) (lost, other Conn) { return r.client, r.backend },
		"backend": func(r *running) (lost, other Conn) { return r.backend, r.client },
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, tcpPair, Config{Rest: soon})
			q := r.rested()
			lost, other := pick(r)
			reset(t, lost)
			if !wakes(t, q) {
				t.Error("nobody was woken")
			}
			r.resume(q)
			expectReset(t, other)
			if res := r.result(); res.End != ClientReset && res.End != BackendReset {
				t.Errorf("ended %v, want a reset", res.End)
			}
		})
	}
}

// The idle limit counts the time at rest.
// A client that has ended its stream, and is lost while the relay rests, wants no
// answer any more: the backend need not go on until the idle limit.
func TestResetAfterAnEndIsSeenWhileResting(t *testing.T) {
	r := start(t, tcpPair, Config{Idle: time.Minute, Rest: 20 * time.Millisecond})
	write(t, r.backend, "hello")
	expect(t, r.client, "hello")
	r.client.CloseWrite()
	expectEOF(t, r.backend)
	q := r.rested()
	since := q.Until()
	if wakes(t, q) || q.Step(parking.News{parking.Readable | parking.Ended}).End != Resting || q.Until() != since {
		t.Error("that the client's stream has ended is news, and puts the idle limit off")
	}
	reset(t, r.client)
	if !wakes(t, q) {
		t.Fatal("the client was reset, and nobody was woken")
	}
	if res := q.Step(parking.News{parking.Readable | parking.Ended | parking.Lost}); res.End != 0 {
		t.Fatalf("a step ended %v; want the relay resumed for the loss", res.End)
	}
	r.resume(q)
	if res := r.result(); res.End != ClientReset {
		t.Errorf("ended %v, %v; want client reset", res.End, res.Err)
	}
}

func TestIdleWhileResting(t *testing.T) {
	const limit = 300 * time.Millisecond
	begin := time.Now()
	r := start(t, tcpPair, Config{Rest: soon, Idle: limit})
	q := r.rested()
	time.Sleep(time.Until(q.Until()))
	again := time.Now()
	r.resume(q)
	if res := r.result(); res.End != Idle {
		t.Errorf("ended %v, want idle", res.End)
	}
	if took := time.Since(again); took > limit/2 {
		t.Errorf("ended %v after it had been resumed overdue, want at once", took)
	}
	if took := time.Since(begin); took < limit {
		t.Errorf("ended after %v, before its limit", took)
	}
	expectEOF(t, r.client)
	expectEOF(t, r.backend)
}

// A relay in which somebody waits for a slow reader is at work, even if nothing
// moves.
func TestRelayAtWorkDoesNotRest(t *testing.T) {
	r := start(t, tcpPair, Config{Rest: soon, Idle: time.Minute})
	sent := make(chan int64)
	go func() {
		n, _ := io.Copy(r.client, io.LimitReader(zeros{}, 64<<20))
		r.client.CloseWrite()
		sent <- n
	}()
	select {
	case res := <-r.done:
		t.Fatalf("ended %v while the backend was slow, want it at work", res.End)
	case <-time.After(10 * soon):
	}
	write(t, r.backend, "the other direction goes on")
	expect(t, r.client, "the other direction goes on")
	arrived := make(chan int64)
	go func() {
		n, err := io.Copy(io.Discard, r.backend)
		if err != nil {
			t.Errorf("the backend reads %v", err)
		}
		arrived <- n
	}()
	for n, got := int64(-1), int64(-1); n < 0 || got < 0; {
		select {
		case res := <-r.done: // now that the reader is not slow, while the sender is kept waiting
			if res.End != Resting {
				t.Fatalf("ended %v with more to come", res.End)
			}
			r.resume(res.Rested)
		case n = <-sent:
		case got = <-arrived:
		}
		if n >= 0 && got >= 0 && n != got {
			t.Errorf("%d bytes arrived of %d", got, n)
		}
	}
	q := r.rested()
	r.backend.Close()
	r.resume(q)
	if res := r.result(); res.End != Done {
		t.Errorf("ended %v, want done", res.End)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// A backend that may still end early is waited for.
func TestEarlyEndIsWaitedFor(t *testing.T) {
	const window = 200 * time.Millisecond
	begin := time.Now()
	r := start(t, tcpPair, Config{Rest: soon, Early: window})
	r.rested()
	if took := time.Since(begin); took < window {
		t.Errorf("rests after %v, while its backend could still end early", took)
	}
	r = start(t, tcpPair, Config{Rest: soon, Early: 10 * time.Second})
	time.Sleep(5 * soon)
	r.backend.Close()
	if res := r.result(); res.End != Early {
		t.Errorf("ended %v, want early", res.End)
	}
}

func TestFirstByteIsToldAfterARest(t *testing.T) {
	told := 0
	r := start(t, tcpPair, Config{Rest: soon, FirstByte: func() { told++ }})
	q := r.rested()
	write(t, r.backend, "a")
	r.resume(q)
	expect(t, r.client, "a")
	q = r.rested()
	write(t, r.backend, "b")
	r.resume(q)
	expect(t, r.client, "b")
	r.rested()
	if told != 1 {
		t.Errorf("told %d times of the first byte, want once", told)
	}
}

func TestToldToStayAwakeItDoesNotRest(t *testing.T) {
	r := start(t, tcpPair, Config{Rest: soon})
	q := r.rested()
	go func() { r.done <- q.Resume(true) }()
	select {
	case res := <-r.done:
		t.Fatalf("ended %v, want it awake", res.End)
	case <-time.After(5 * soon):
	}
	r.client.Close()
	r.backend.Close()
	r.result()
}

// Relays that rest whenever they can, and are resumed at once, lose nothing:
// neither bytes nor ends.
func TestRestingAllTheTimeLosesNothing(t *testing.T) {
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { restless(t) })
	}
	wg.Wait()
}

func restless(t *testing.T) {
	client, innerClient := tcpPair(t)
	backend, innerBackend := tcpPair(t)
	defer client.Close()
	defer backend.Close()
	done := make(chan Result)
	rests := 0
	go func() {
		res := Run(innerClient, innerBackend, Config{Rest: 100 * time.Microsecond, Idle: 10 * time.Second})
		for res.End == Resting {
			rests++
			res = res.Rested.Resume(false)
		}
		done <- res
	}()
	const rounds = 300
	go func() {
		defer backend.CloseWrite()
		_, _ = io.Copy(backend, backend)
	}()
	buf := make([]byte, 300_000)
	for i := range rounds {
		n := 1 + (i*i*37)%len(buf)
		var sending sync.WaitGroup
		sending.Go(func() { _, _ = client.Write(make([]byte, n)) })
		_ = client.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.ReadFull(client, buf[:n]); err != nil {
			t.Errorf("round %d: %v", i, err)
			return
		}
		sending.Wait()
		if i%3 == 0 {
			time.Sleep(time.Duration(i) * time.Microsecond)
		}
	}
	client.CloseWrite()
	expectEOF(t, client)
	select {
	case res := <-done:
		if res.End != Done || res.ToClient != res.ToBackend {
			t.Errorf("ended %v, %v, with %d bytes there and %d back", res.End, res.Err, res.ToBackend, res.ToClient)
		}
	case <-time.After(10 * time.Second):
		t.Error("the relay did not end")
	}
	if rests == 0 {
		t.Error("it never rested")
	}
}
