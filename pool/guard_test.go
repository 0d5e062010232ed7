package pool

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"portside/discovery"
)

// fleet runs a pool whose probe answers for those alive.
type fleet struct {
	*Pool
	mu   sync.Mutex
	dead map[string]bool
}

func (f *fleet) kill(address string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dead[address] = true
}

func (f *fleet) revive(address string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.dead, address)
}

func (f *fleet) probe(_ context.Context, address string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dead[address] {
		return errors.New("connection refused")
	}
	return nil
}

func inBubble(t *testing.T, cfg Config, test func(t *testing.T, f *fleet)) {
	synctest.Test(t, func(t *testing.T) {
		f := &fleet{dead: map[string]bool{}}
		cfg.Probe = f.probe
		f.Pool = New(cfg)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- f.Run(ctx) }()
		test(t, f)
		cancel()
		<-done
	})
}

func count(p *Pool, s State) (n int) {
	for _, b := range p.Status().Backends {
		if b.State == s {
			n++
		}
	}
	return n
}

func TestMassLeaseExpiryKeepsWhatAnswers(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, f *fleet) {
		es := endpoints(20)
		f.Update(es)
		f.Update(nil)
		if n := count(f.Pool, Suspect); n != 20 {
			t.Fatalf("%d suspects after all 20 left at once, want 20", n)
		}
		time.Sleep(5 * time.Second)
		if n := count(f.Pool, Suspect); n != 20 {
			t.Fatalf("%d suspects left though all answer, want 20", n)
		}
		for _, e := range es[:10] {
			f.kill(e.Address)
		}
		time.Sleep(2500 * time.Millisecond)
		if n := count(f.Pool, Suspect); n != 10 {
			t.Fatalf("%d suspects two probes after ten died, want 10", n)
		}
		use(t, f.Pool, Success)
		f.Update(es[15:])
		if n := count(f.Pool, Active); n != 5 {
			t.Fatalf("%d active after five registered again, want 5", n)
		}
		time.Sleep(10*time.Minute + time.Second)
		if n := count(f.Pool, Suspect); n != 0 {
			t.Fatalf("%d suspects after suspect_max, want none", n)
		}
	})
}

// The last of a pool that goes one by one is no single departure, whatever its size.
func TestTheLastOfATrickleIsDoubtedToo(t *testing.T) {
	for n := 2; n <= 9; n++ {
		inBubble(t, Config{}, func(t *testing.T, f *fleet) {
			es := endpoints(n)
			f.Update(es)
			for i := 1; i <= n; i++ {
				time.Sleep(300 * time.Millisecond)
				f.Update(es[i:])
			}
			if got := count(f.Pool, Suspect); got != n {
				t.Errorf("%d suspects of %d that left one by one, want all: they answer", got, n)
			}
			time.Sleep(10 * time.Second)
			f.Update(es[:2])
			f.Update(es[:1]) // alone, long after
			if got := count(f.Pool, Active); got != 1 {
				t.Errorf("%d active, want 1", got)
			}
		})
	}
}

func TestTrickleOfExpiriesIsAMassToo(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, f *fleet) {
		es := endpoints(6)
		f.Update(es)
		for i := 1; i <= 6; i++ {
			f.Update(es[i:])
			time.Sleep(500 * time.Millisecond)
		}
		if n := count(f.Pool, Suspect); n != 6 {
			t.Fatalf("%d suspects after six expired within three seconds, want 6, the first ones too", n)
		}
	})
}

func TestASingleDeleteIsHonouredAtOnce(t *testing.T) {
	for n := 1; n <= 3; n++ {
		inBubble(t, Config{Guard: Guard{MaxLeave: 0.1}}, func(t *testing.T, f *fleet) {
			es := endpoints(n)
			f.Update(es)
			f.Update(es[1:])
			wantState(t, f.Pool, es[0].Address, Gone, fmt.Sprintf("one deleted of %d", n))
		})
	}
}

func TestSlowDeletesAreNoMass(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, f *fleet) {
		es := endpoints(4)
		f.Update(es)
		for i := 1; i <= 4; i++ {
			f.Update(es[i:])
			time.Sleep(6 * time.Second)
		}
		if s := f.Status(); len(s.Backends) != 0 {
			t.Fatalf("%v, want none: they left one by one, further apart than the window", s.Backends)
		}
	})
}

func TestAnnouncedDeparturesAreBelieved(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, f *fleet) {
		es := endpoints(4)
		f.Update(es)
		leaving := make([]discovery.Endpoint, 4)
		for i, e := range es {
			e.Draining = true
			leaving[i] = e
		}
		f.Update(leaving)
		f.Update(nil)
		if s := f.Status(); len(s.Backends) != 0 {
			t.Fatalf("%v, want none: each had said that it was leaving", s.Backends)
		}
	})
}

func TestAReplacedFleetIsNoMass(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, f *fleet) {
		es := endpoints(6)
		f.Update(es[:3])
		f.Update(es)
		f.Update(es[3:])
		if n := count(f.Pool, Suspect); n != 0 {
			t.Fatalf("%d suspects after a rollout replaced three by three, want none", n)
		}
	})
}

func TestGuardOffAndForget(t *testing.T) {
	inBubble(t, Config{Guard: Guard{Off: true}}, func(t *testing.T, f *fleet) {
		f.Update(endpoints(20))
		f.Update(nil)
		if s := f.Status(); len(s.Backends) != 0 {
			t.Fatalf("%v, want none: the guard is off", s.Backends)
		}
	})
	inBubble(t, Config{}, func(t *testing.T, f *fleet) {
		es := endpoints(3)
		f.Update(es)
		f.Update(nil)
		if err := f.Forget(es[0].Address); err != nil {
			t.Fatal(err)
		}
		wantState(t, f.Pool, es[0].Address, Gone, "forgotten")
		if err := f.Forget(""); err != nil {
			t.Fatal(err)
		}
		if s := f.Status(); len(s.Backends) != 0 {
			t.Fatalf("%v, want all forgotten", s.Backends)
		}
		if err := f.Forget(""); !errors.Is(err, ErrNotFound) {
			t.Fatalf("Forget with no suspects = %v, want ErrNotFound", err)
		}
	})
}

func TestSuspectThatRefusesTrafficGoes(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, f *fleet) {
		f.Update(endpoints(2))
		f.Update(nil)
		a := use(t, f.Pool, Refused)
		wantState(t, f.Pool, a, Gone, "it refused a connection while suspect")
	})
}

func TestSuspectGoesOnceForAllThatItRefuses(t *testing.T) {
	gone := map[string]int{}
	inBubble(t, Config{OnEvent: func(e Event) {
		if e.To == Gone {
			gone[e.Backend.Address()]++
		}
	}}, func(t *testing.T, f *fleet) {
		f.Update(endpoints(2))
		f.Update(nil)
		var underWay [6]Lease
		for i := range underWay {
			var err error
			if underWay[i], err = f.Acquire(0, nil); err != nil {
				t.Fatal(err)
			}
		}
		for i := range underWay {
			underWay[i].Report(Refused)
			underWay[i].Release()
		}
	})
	if len(gone) != 2 {
		t.Errorf("gone are %v, want both", gone)
	}
	for a, n := range gone {
		if n != 1 {
			t.Errorf("%s left %d times", a, n)
		}
	}
}

func TestSuspectThatFailsIsEjected(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, f *fleet) {
		es := endpoints(4)
		a := es[0].Address
		f.Update(es)
		f.Update(nil)
		fail(t, f.Pool, a, 5, ServerError)
		wantState(t, f.Pool, a, Ejected, "five errors in a row: that it answers probes helps no client")
		time.Sleep(1200 * time.Millisecond)
		if got := use(t, f.Pool, Success); got != a {
			t.Fatalf("%s got the trial, want %s", got, a)
		}
		wantState(t, f.Pool, a, Suspect, "its trial succeeded, the registry still does not have it")
		time.Sleep(10 * time.Minute)
		wantState(t, f.Pool, a, Gone, "suspect_max is over")
	})
}

func TestEjectedStaysOutInAMass(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, f *fleet) {
		es := endpoints(4)
		a := es[0].Address
		f.Update(es)
		fail(t, f.Pool, a, 5, ServerError)
		f.Update(nil)
		wantState(t, f.Pool, a, Ejected, "the registry's loss is no reason to trust it again")
		f.kill(a)
		time.Sleep(1500 * time.Millisecond)
		wantState(t, f.Pool, a, Gone, "it failed a suspect's probe")
	})
}

func TestUndrainedSuspectIsSuspect(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, f *fleet) {
		es := endpoints(4)
		a := es[0].Address
		f.Update(es)
		f.Update(nil)
		_ = f.Drain(a)
		f.Update(nil)
		wantState(t, f.Pool, a, Draining, "an update that says nothing new moves nobody")
		_ = f.Undrain(a)
		wantState(t, f.Pool, a, Suspect, "the registry does not have it")
		for _, b := range f.Status().Backends {
			if !strings.HasPrefix(b.Reason, "gone from the registry") {
				t.Errorf("%s is %s for the reason %q, want why it is suspect", b.Address, b.State, b.Reason)
			}
		}
		_ = f.Drain(a)
		time.Sleep(11 * time.Minute)
		wantState(t, f.Pool, a, Gone, "suspect_max is over, drained or not")
	})
}

func TestHealthChecksEjectAndReadmit(t *testing.T) {
	cfg := Config{Health: Health{Interval: time.Second}}
	inBubble(t, cfg, func(t *testing.T, f *fleet) {
		es := endpoints(3)
		f.Update(es)
		a := es[0].Address
		f.kill(a)
		time.Sleep(4 * time.Second)
		wantState(t, f.Pool, a, Ejected, "three checks failed")
		time.Sleep(time.Minute)
		for range 50 {
			if got := use(t, f.Pool, Success); got == a {
				t.Fatal("a backend that fails its checks got a trial from a client")
			}
		}
		f.revive(a)
		time.Sleep(3 * time.Second)
		wantState(t, f.Pool, a, Active, "two checks passed")
	})
}

func TestPassedChecksDoNotOverruleTraffic(t *testing.T) {
	cfg := Config{Health: Health{Interval: 100 * time.Millisecond}, Eject: Eject{Backoff: time.Minute}}
	inBubble(t, cfg, func(t *testing.T, f *fleet) {
		es := endpoints(3)
		f.Update(es)
		fail(t, f.Pool, es[0].Address, 5, ServerError)
		time.Sleep(10 * time.Second)
		wantState(t, f.Pool, es[0].Address, Ejected, "a shallow check passed, real requests fail")
	})
}

// Nor do they where the backend was kept because too many were out; and what traffic
// has shown since is not overruled by those that fail.
func TestChecksDoNotOverruleTrafficOfAKeptBackend(t *testing.T) {
	told := 0
	cfg := Config{Health: Health{Interval: time.Second}, OnEvent: func(e Event) {
		if e.Backend == nil {
			told++
		}
	}}
	inBubble(t, cfg, func(t *testing.T, f *fleet) {
		f.Update(endpoints(1))
		a := endpoints(1)[0].Address
		time.Sleep(5 * time.Second)
		fail(t, f.Pool, a, 5, ServerError)
		f.kill(a)
		time.Sleep(1500 * time.Millisecond)
		f.revive(a)
		time.Sleep(10 * time.Second)
		if !f.FailingOpen() {
			t.Error("a shallow check passed, real requests fail, and the pool is said to be well")
		}
		use(t, f.Pool, Success)
		f.kill(a)
		time.Sleep(10 * time.Second)
		for range 20 {
			use(t, f.Pool, Success)
			time.Sleep(time.Second)
		}
		if f.FailingOpen() {
			t.Error("the pool fails open though every request succeeds")
		}
	})
	if told > 4 {
		t.Errorf("failing open began or ended %d times, want 4 at the most", told)
	}
}

// What a discovery of another kind no longer has was not deleted by accident.
func TestReplacedEndpointsAreNotDoubted(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, f *fleet) {
		f.Update(endpoints(21)[0:10])
		f.Update(endpoints(21)[2:10]) // two that left lately
		f.Replace(endpoints(21)[9:11])
		if n, all := count(f.Pool, Suspect), len(f.Status().Backends); n != 0 || all != 2 {
			t.Errorf("%d backends, %d of them suspects; want the two that are listed", all, n)
		}
		f.Update(endpoints(21)[20:21])
		if n := count(f.Pool, Suspect); n != 2 {
			t.Errorf("%d suspects after a mass departure, want 2: only the replacement is believed", n)
		}
		f.Replace(endpoints(21)[20:21])
		if n := count(f.Pool, Suspect); n != 0 {
			t.Errorf("%d suspects outlive a replacement", n)
		}
	})
}

func TestGuardTurnedOffLetsSuspectsGo(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, f *fleet) {
		f.Update(endpoints(21)[0:4])
		f.Update(endpoints(21)[3:4])
		if n := count(f.Pool, Suspect); n != 3 {
			t.Fatalf("%d suspects, want 3", n)
		}
		f.Reconfigure(Config{Guard: Guard{Off: true}, Probe: f.probe})
		if n, all := count(f.Pool, Suspect), len(f.Status().Backends); n != 0 || all != 1 {
			t.Errorf("%d backends, %d of them suspects, with the guard off", all, n)
		}
	})
}

// An idle service learns by its checks alone that its last backend is well again.
func TestChecksThatPassEndFailingOpen(t *testing.T) {
	inBubble(t, Config{Health: Health{Interval: time.Second}}, func(t *testing.T, f *fleet) {
		f.Update(endpoints(21)[0:1])
		address := f.Status().Backends[0].Address
		f.kill(address)
		time.Sleep(10 * time.Second)
		if !f.FailingOpen() {
			t.Fatal("not failing open though the only backend fails its checks")
		}
		f.revive(address)
		time.Sleep(10 * time.Second)
		if b := f.Status().Backends[0]; f.FailingOpen() || b.Reason != "" {
			t.Errorf("still failing open: %s, %q", b.State, b.Reason)
		}
	})
}

// What an operator has drained stays so where a pool takes the place of another.
func TestDrainedByHandIsInherited(t *testing.T) {
	es := endpoints(3)
	former, p := New(Config{}), New(Config{})
	former.Update(es)
	if err := former.Drain(es[1].Address); err != nil {
		t.Fatal(err)
	}
	p.Inherit(former)
	p.Update(es)
	wantState(t, p, es[1].Address, Draining, "it was drained by hand")
	for range 30 {
		if got := use(t, p, Success); got == es[1].Address {
			t.Fatal("a backend that was drained by hand gets work")
		}
	}
	p.Update(es[:1])
	p.Update(es)
	wantState(t, p, es[1].Address, Active, "it came back")
}

// A probe that the end of Run cuts off has found nothing out, whatever Run ends for.
func TestAProbeCutOffBlamesNobody(t *testing.T) {
	asked := make(chan struct{}, 2)
	p := New(Config{Health: Health{Interval: time.Hour, Fall: 1, Timeout: time.Minute}, Probe: func(ctx context.Context, _ string) error {
		asked <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	}})
	p.Update(addresses("a:1", "b:1"))
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan struct{})
	go func() { _ = p.Run(ctx); close(done) }()
	<-asked
	<-asked
	cancel(errors.New("another service failed"))
	<-done
	for _, b := range p.Status().Backends {
		if b.State != Active {
			t.Errorf("%s is %s: %s", b.Address, b.State, b.Reason)
		}
	}
}

// Want of descriptors, say, is no answer of a backend's: nobody leaves or is ejected for it.
func TestAProbeThatCouldNotBeMadeBlamesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		starved := &net.OpError{Op: "dial", Err: os.NewSyscallError("socket", syscall.EMFILE)}
		probes := 0
		var mu sync.Mutex
		p := New(Config{Health: Health{Interval: time.Second, Fall: 2}, Probe: func(context.Context, string) error {
			mu.Lock()
			defer mu.Unlock()
			probes++
			return starved
		}})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { _ = p.Run(ctx); close(done) }()
		p.Update(addresses("a:1", "b:1", "c:1", "d:1"))
		p.Update(addresses("a:1"))
		time.Sleep(10 * time.Second)
		if active, suspects := count(p, Active), count(p, Suspect); active != 1 || suspects != 3 {
			t.Errorf("%d active and %d suspect, want 1 and 3: nobody was asked", active, suspects)
		}
		if probes < 20 {
			t.Errorf("%d probes were tried in 10 s, want them tried again and again", probes)
		}
		cancel()
		<-done
	})
}
