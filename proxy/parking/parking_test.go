//go:build linux

package parking

import (
	"context"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sleeper counts how often it is woken.
type sleeper struct {
	woken atomic.Int64
	news  atomic.Value
}

func (s *sleeper) Wake(news News) {
	s.news.Store(news)
	s.woken.Add(1)
}

// park lets s in and puts it to sleep. What has happened before wakes it as well.
func park(l *Lot, s Sleeper, until time.Time, a, b syscall.RawConn) (Spot, bool) {
	spot, ok := l.Join(s, a, b)
	if !ok {
		return spot, false
	}
	news, asleep := l.Sleep(spot, until)
	if !asleep {
		s.Wake(news)
	}
	return spot, true
}

func opened(t *testing.T) *Lot {
	t.Helper()
	l := &Lot{}
	ctx, cancel := context.WithCancel(context.Background())
	done := start(ctx, t, l)
	t.Cleanup(func() {
		cancel()
		<-done
		if n := l.Size(); n != 0 {
			t.Errorf("%d are parked in a closed lot", n)
		}
	})
	return l
}

// start opens l and runs it until ctx ends.
func start(ctx context.Context, t *testing.T, l *Lot) (done chan struct{}) {
	t.Helper()
	if err := l.Start(); err != nil {
		t.Fatal(err)
	}
	done = make(chan struct{})
	go func() { l.Run(ctx); close(done) }()
	return done
}

func eventually(t *testing.T, why string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(why)
		}
	}
}

// pair are two ends of a connection, closed with the test.
func pair(t *testing.T) (ours, peer *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	a, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a.(*net.TCPConn), b.(*net.TCPConn)
}

func raw(t *testing.T, c *net.TCPConn) syscall.RawConn {
	t.Helper()
	r, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func say(t *testing.T, c *net.TCPConn) {
	t.Helper()
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
}

// isWoken waits for s to be woken, and a moment more for it to be woken again.
func isWoken(t *testing.T, s *sleeper) {
	t.Helper()
	eventually(t, "nobody was woken", func() bool { return s.woken.Load() > 0 })
	time.Sleep(5 * time.Millisecond)
	if n := s.woken.Load(); n != 1 {
		t.Fatalf("woken %d times, want once", n)
	}
}

func isAsleep(t *testing.T, s *sleeper) {
	t.Helper()
	time.Sleep(20 * time.Millisecond)
	if s.woken.Load() != 0 {
		t.Fatal("woken for nothing")
	}
}

func TestEachThingThatHappensWakes(t *testing.T) {
	for name, happens := range map[string]func(t *testing.T, peer *net.TCPConn){
		"bytes":            say,
		"an end":           func(_ *testing.T, peer *net.TCPConn) { peer.CloseWrite() },
		"a close":          func(_ *testing.T, peer *net.TCPConn) { peer.Close() },
		"a reset":          func(_ *testing.T, peer *net.TCPConn) { peer.SetLinger(0); peer.Close() },
		"bytes and an end": func(t *testing.T, peer *net.TCPConn) { say(t, peer); peer.CloseWrite() },
	} {
		t.Run(name, func(t *testing.T) {
			l := opened(t)
			for which := range 2 {
				for _, before := range []bool{true, false} {
					var ends, peers [2]*net.TCPConn
					for i := range ends {
						ends[i], peers[i] = pair(t)
					}
					if before {
						happens(t, peers[which])
						time.Sleep(time.Millisecond)
					}
					s := &sleeper{}
					spot, ok := park(l, s, time.Time{}, raw(t, ends[0]), raw(t, ends[1]))
					if !ok {
						t.Fatal("not parked")
					}
					if !before {
						isAsleep(t, s)
						happens(t, peers[which])
					}
					isWoken(t, s)
					news, _ := s.news.Load().(News)
					want := Readable | Ended
					if name == "a reset" {
						want |= Lost
					}
					if news[1-which] != 0 || news[which]&^want != 0 || news[which] == 0 || name != "bytes" && name != "bytes and an end" && news[which] != want {
						t.Errorf("the news are %v, of connection %d", news, which)
					}
					if l.Take(spot) {
						t.Error("taken back after it was woken")
					}
				}
			}
			if n := l.Size(); n != 0 {
				t.Errorf("%d are parked, want none left", n)
			}
		})
	}
}

// What happens while somebody is awake, it is told when it would sleep.
func TestTakenBackIsNotWoken(t *testing.T) {
	l := opened(t)
	ours, peer := pair(t)
	s := &sleeper{}
	spot, ok := l.Join(s, nil, raw(t, ours))
	if !ok {
		t.Fatal("not let in")
	}
	for range 3 {
		if news, asleep := l.Sleep(spot, time.Time{}); !asleep {
			t.Fatal("not asleep, by the news", news)
		}
		if !l.Take(spot) {
			t.Fatal("not taken back")
		}
		if l.Take(spot) {
			t.Fatal("taken back twice")
		}
		say(t, peer)
		isAsleep(t, s)
		if news, asleep := l.Sleep(spot, time.Time{}); asleep || news != (News{0, Readable}) {
			t.Fatalf("asleep: %v, news: %v; want to hear what has happened meanwhile", asleep, news)
		}
		if _, err := ours.Read(make([]byte, 8)); err != nil {
			t.Fatal(err)
		}
	}
	l.Leave(spot, false)
	if _, asleep := l.Sleep(spot, time.Time{}); asleep {
		t.Error("asleep at a spot that it has left")
	}
	if l.Take(spot) || l.Take(Spot{}) {
		t.Error("somebody was taken back from nowhere")
	}
	say(t, peer)
	isAsleep(t, s)
}

// Somebody takes back just when bytes come: one of the two happens. No byte goes
// unnoticed.
func TestTakingAgainstWaking(t *testing.T) {
	l := opened(t)
	ours, peer := pair(t)
	s := &sleeper{}
	spot, ok := l.Join(s, raw(t, ours), nil)
	if !ok {
		t.Fatal("not let in")
	}
	taken, woken := 0, int64(0)
	for range 2000 {
		eventually(t, "never asleep", func() bool { _, asleep := l.Sleep(spot, time.Time{}); return asleep })
		say(t, peer)
		for range rand.IntN(200) {
			_ = time.Now()
		}
		if l.Take(spot) {
			taken++
			eventually(t, "there is no news", func() bool {
				news, asleep := l.Sleep(spot, time.Time{})
				return !asleep && news[0] == Readable || asleep && !l.Take(spot)
			})
		} else {
			eventually(t, "neither woken nor taken back", func() bool { return s.woken.Load() > woken })
		}
		woken = s.woken.Load()
		if _, err := ours.Read(make([]byte, 8)); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("taken back %d times of 2000", taken)
}

// A connection that is closed takes its number along; whoever gets the number next
// is not disturbed.
func TestClosedWhileParked(t *testing.T) {
	l := opened(t)
	for range 200 {
		ours, peer := pair(t)
		s := &sleeper{}
		spot, ok := park(l, s, time.Time{}, raw(t, ours), nil)
		if !ok {
			t.Fatal("not parked")
		}
		ours.Close()
		if !l.Take(spot) {
			t.Fatal("a closed connection woke")
		}
		next, nextPeer := pair(t)
		peer.Close()
		other := &sleeper{}
		if _, ok := park(l, other, time.Time{}, raw(t, next), nil); !ok {
			t.Fatal("the next of that number is not parked")
		}
		say(t, nextPeer)
		eventually(t, "the next of that number was not woken", func() bool { return other.woken.Load() == 1 })
		if s.woken.Load() != 0 {
			t.Fatal("the former was woken for the next")
		}
		for _, c := range []*net.TCPConn{peer, next, nextPeer} {
			c.Close()
		}
	}
	ours, _ := pair(t)
	r := raw(t, ours)
	ours.Close()
	if _, ok := park(l, &sleeper{}, time.Time{}, r, nil); ok {
		t.Error("a closed connection was parked")
	}
	if n := l.Size(); n != 0 {
		t.Errorf("%d are parked, want none left", n)
	}
}

// If the second of two cannot be watched, the first is not.
func TestParkingIsWholeOrNot(t *testing.T) {
	l := opened(t)
	ours, peer := pair(t)
	closed, _ := pair(t)
	r := raw(t, closed)
	closed.Close()
	s := &sleeper{}
	if _, ok := park(l, s, time.Time{}, raw(t, ours), r); ok {
		t.Fatal("parked with a closed connection")
	}
	say(t, peer)
	isAsleep(t, s)
	if _, ok := park(l, s, time.Time{}, raw(t, ours), nil); !ok {
		t.Fatal("the first is still watched for nobody")
	}
	isWoken(t, s)
}

func TestTimeUpWakes(t *testing.T) {
	l := opened(t)
	start := time.Now()
	limits := []time.Duration{300 * time.Millisecond, -time.Second, 20 * time.Millisecond, 100 * time.Millisecond, 0}
	sleepers := make([]sleeper, len(limits))
	for i, d := range limits {
		ours, _ := pair(t)
		until := time.Time{}
		if d != 0 {
			until = start.Add(d)
		}
		if _, ok := park(l, &sleepers[i], until, raw(t, ours), nil); !ok {
			t.Fatal("not parked")
		}
	}
	for i, d := range limits[:4] {
		eventually(t, "nobody was woken when the time was up", func() bool { return sleepers[i].woken.Load() == 1 })
		if took := time.Since(start); took < d || i == 0 && took > d+time.Second {
			t.Errorf("woken after %v, want it after %v", took, d)
		}
	}
	isAsleep(t, &sleepers[4])
}

func TestThousandsAtOnce(t *testing.T) {
	l := opened(t)
	n := 4000
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) == nil {
		n = min(n, int(limit.Cur)/3)
	}
	sleepers := make([]sleeper, n)
	peers := make([]*net.TCPConn, n)
	var wg sync.WaitGroup
	for i := range sleepers {
		ours, peer := pair(t)
		peers[i] = peer
		r := raw(t, ours)
		wg.Go(func() {
			if _, ok := park(l, &sleepers[i], time.Time{}, r, nil); !ok {
				t.Error("not parked")
			}
		})
	}
	wg.Wait()
	if l.Size() != n {
		t.Errorf("%d are parked, want %d", l.Size(), n)
	}
	for i := range n / 2 {
		wg.Go(func() { say(t, peers[i*2]) })
	}
	wg.Wait()
	eventually(t, "not all were woken", func() bool { return l.Size() == n-n/2 })
	for i := range sleepers {
		want := int64(1 - i%2)
		eventually(t, "not woken", func() bool { return sleepers[i].woken.Load() == want })
	}
}

// A lot that closes wakes whom it leaves, and lets nobody in.
func TestCloseWakes(t *testing.T) {
	before := descriptors(t)
	l := &Lot{}
	ours, _ := pair(t)
	s := &sleeper{}
	if _, ok := park(l, s, time.Time{}, raw(t, ours), nil); ok {
		t.Fatal("parked before the lot was open")
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := start(ctx, t, l)
	if _, ok := park(l, s, time.Now().Add(time.Hour), raw(t, ours), nil); !ok {
		t.Fatal("not parked")
	}
	cancel()
	<-done
	if s.woken.Load() != 1 {
		t.Error("not woken by the close")
	}
	if _, ok := park(l, s, time.Time{}, raw(t, ours), nil); ok || l.Size() != 0 {
		t.Error("the lot is not closed")
	}
	if after := descriptors(t); after != before+2 {
		t.Errorf("%d descriptors, want the pair's two more than %d", after, before)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}
