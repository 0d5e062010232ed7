package pool

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"portside/discovery"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func addresses(as ...string) []discovery.Endpoint {
	es := make([]discovery.Endpoint, len(as))
	for i, a := range as {
		es[i] = discovery.Endpoint{Address: a}
	}
	return es
}

// must acquires or fails the test.
func must(t *testing.T, p *Pool, tried ...*Backend) Lease {
	t.Helper()
	l, err := p.Acquire(0, tried)
	if err != nil {
		t.Fatalf("Acquire = %v, want a backend", err)
	}
	return l
}

// use does one piece of work that ends in o.
func use(t *testing.T, p *Pool, o Outcome, tried ...*Backend) string {
	t.Helper()
	l := must(t, p, tried...)
	l.Report(o)
	l.Release()
	return l.Backend().Address()
}

// fail makes the backend at address fail n times.
func fail(t *testing.T, p *Pool, address string, n int, o Outcome) {
	t.Helper()
	for n > 0 {
		l := must(t, p)
		if l.Backend().Address() == address {
			l.Report(o)
			n--
		}
		l.Release()
	}
}

func state(t *testing.T, p *Pool, address string) BackendStatus {
	t.Helper()
	for _, b := range p.Status().Backends {
		if b.Address == address {
			return b
		}
	}
	return BackendStatus{Address: address, State: Gone}
}

func wantState(t *testing.T, p *Pool, address string, want State, why string) {
	t.Helper()
	if got := state(t, p, address); got.State != want {
		t.Fatalf("%s is %s (%s), want %s: %s", address, got.State, got.Reason, want, why)
	}
}

func TestUnknownIsNotEmpty(t *testing.T) {
	p := New(Config{})
	if _, err := p.Acquire(0, nil); !errors.Is(err, ErrSyncing) {
		t.Fatalf("Acquire before the first list = %v, want ErrSyncing: nobody said that there are none", err)
	}
	p.Update(nil)
	if _, err := p.Acquire(0, nil); !errors.Is(err, ErrEmpty) {
		t.Fatalf("Acquire after an empty list = %v, want ErrEmpty", err)
	}
	select {
	case <-p.Synced():
	default:
		t.Fatal("Synced is not closed after the first list")
	}
}

func TestEveryPolicyUsesEveryBackendOnceTried(t *testing.T) {
	for _, balance := range []Balance{RoundRobin, LeastConn, EWMA, Random, Hash} {
		t.Run(string(balance), func(t *testing.T) {
			p := New(Config{Balance: balance})
			es := addresses("a:1", "b:1", "c:1", "d:1")
			es[1].Weight = 100
			p.Update(es)
			var tried []*Backend
			for range es {
				l := must(t, p, tried...)
				for _, b := range tried {
					if b == l.Backend() {
						t.Fatalf("%s was chosen again though it had been tried", b.Address())
					}
				}
				tried = append(tried, l.Backend())
				defer l.Release()
			}
			if _, err := p.Acquire(0, tried); !errors.Is(err, ErrTried) {
				t.Fatalf("Acquire with all tried = %v, want ErrTried", err)
			}
		})
	}
}

func TestPoliciesShareByWeight(t *testing.T) {
	for _, balance := range []Balance{RoundRobin, LeastConn, Random, Hash} {
		t.Run(string(balance), func(t *testing.T) {
			p := New(Config{Balance: balance})
			es := addresses("a:1", "b:1", "c:1")
			es[0].Weight, es[1].Weight, es[2].Weight = 5, 1, 0.5
			p.Update(es)
			const n = 6500
			got := map[string]int{}
			var held []Lease
			for i := range n {
				l, err := p.Acquire(mix(uint64(i)+1), nil)
				if err != nil {
					t.Fatal(err)
				}
				got[l.Backend().Address()]++
				held = append(held, l) // least_conn shares what is in flight
			}
			for _, l := range held {
				l.Release()
			}
			slack := 2.0
			if balance == Random || balance == Hash {
				slack = 300
			}
			for a, want := range map[string]float64{"a:1": 5000, "b:1": 1000, "c:1": 500} {
				if math.Abs(float64(got[a])-want) > slack {
					t.Errorf("%s got %d of %d, want %v ± %v", a, got[a], n, want, slack)
				}
			}
		})
	}
}

func TestRoundRobinIsSmooth(t *testing.T) {
	p := New(Config{})
	es := addresses("a:1", "b:1", "c:1")
	es[0].Weight = 4
	p.Update(es)
	run := 0
	for range 1000 {
		if use(t, p, Success) == "a:1" {
			run++
		} else {
			run = 0
		}
		if run > 5 {
			t.Fatalf("the heavy one was chosen %d times in a row, want its turns spread among the others'", run)
		}
	}
}

func TestRoundRobinStartsAtRandom(t *testing.T) {
	first := map[string]bool{}
	for range 100 {
		p := New(Config{})
		p.Update(addresses("a:1", "b:1", "c:1"))
		first[use(t, p, Success)] = true
	}
	if len(first) != 3 {
		t.Fatalf("100 pools started with only %v: a fleet would hit the same backend first", first)
	}
}

func TestLeastConnIsExact(t *testing.T) {
	p := New(Config{Balance: LeastConn})
	p.Update(endpoints(100))
	counts := map[*Backend]int{}
	var held []Lease
	for i := range 1000 {
		l := must(t, p)
		counts[l.Backend()]++
		held = append(held, l)
		for b, n := range counts {
			if n > i/100+1 {
				t.Fatalf("%s has %d in flight after %d picks over 100 backends: not the least", b.Address(), n, i+1)
			}
		}
	}
	for i := range held {
		held[i].Release()
	}
	for b := range counts {
		if b.InFlight() != 0 {
			t.Fatalf("%s has %d in flight at the end", b.Address(), b.InFlight())
		}
	}
}

func TestLeastConnBreaksTiesAtRandom(t *testing.T) {
	p := New(Config{Balance: LeastConn})
	p.Update(addresses("a:1", "b:1", "c:1"))
	got := map[string]int{}
	for range 3000 {
		got[use(t, p, Success)]++
	}
	for a, n := range got {
		if n < 800 || n > 1200 {
			t.Errorf("idle %s got %d of 3000, want about 1000: a fixed order among equals herds clients", a, n)
		}
	}
}

func TestHashMovesFewKeys(t *testing.T) {
	p := New(Config{Balance: Hash})
	p.Update(endpoints(10))
	before := map[uint64]string{}
	for k := range uint64(1000) {
		l, _ := p.Acquire(k, nil)
		before[k] = l.Backend().Address()
		l.Release()
	}
	p.Update(endpoints(11))
	moved := 0
	for k, a := range before {
		l, _ := p.Acquire(k, nil)
		if now := l.Backend().Address(); now != a {
			moved++
			if now != endpoints(11)[10].Address {
				t.Fatalf("key %d moved from %s to %s, which both were there before", k, a, now)
			}
		}
		l.Release()
	}
	if moved == 0 || moved > 180 {
		t.Fatalf("%d of 1000 keys moved when an 11th backend came, want about 91", moved)
	}
}

func TestEWMAAvoidsTheSlow(t *testing.T) {
	p := New(Config{Balance: EWMA})
	p.Update(addresses("fast:1", "slow:1", "other:1"))
	got := map[string]int{}
	for range 1000 {
		l := must(t, p)
		a := l.Backend().Address()
		got[a]++
		d := time.Millisecond
		if a == "slow:1" {
			d = 100 * time.Millisecond
		}
		l.Latency(d, time.Now())
		l.Report(Success)
		l.Release()
	}
	if got["slow:1"] > 20 {
		t.Fatalf("the slow backend got %d of 1000, want a handful", got["slow:1"])
	}
}

func TestIdentitySurvivesUpdates(t *testing.T) {
	p := New(Config{})
	p.Update(addresses("a:1", "b:1"))
	l := must(t, p)
	b := l.Backend()
	es := addresses("a:1", "b:1", "c:1")
	es[0].Zone, es[1].Zone = "z", "z"
	p.Update(es)
	if got := state(t, p, b.Address()); got.InFlight != 1 || got.Requests != 1 || got.Zone != "z" {
		t.Fatalf("after an update: %+v, want its counts kept and its zone new", got)
	}
	if p.find(b.Address()) != b {
		t.Fatal("an update that keeps the address made a new backend of it")
	}
	l.Release()
	if b.InFlight() != 0 {
		t.Fatalf("in flight %d after release", b.InFlight())
	}
}

func TestReturningAddressStartsClean(t *testing.T) {
	p := New(Config{})
	p.Update(addresses("a:1", "b:1", "c:1"))
	fail(t, p, "a:1", 5, Refused)
	wantState(t, p, "a:1", Ejected, "five refusals")
	old := p.find("a:1")
	p.Update(addresses("b:1", "c:1"))
	if !old.Left() {
		t.Fatal("a deleted backend has not left")
	}
	p.Update(addresses("a:1", "b:1", "c:1"))
	wantState(t, p, "a:1", Active, "it came back anew")
	if got := state(t, p, "a:1"); got.Failures != 0 || p.find("a:1") == old {
		t.Fatalf("the returning address has the old record: %+v", got)
	}
}

// Who comes back while its work goes on is the one that left: what is in flight there
// counts.
func TestReturningAddressKeepsItsWork(t *testing.T) {
	for _, balance := range []Balance{RoundRobin, LeastConn, EWMA} {
		p := New(Config{Balance: balance, Guard: Guard{Off: true}})
		p.Update(addresses("a:1"))
		l := must(t, p)
		fail(t, p, "a:1", 3, Reset)
		a := p.find("a:1")
		for range 3 {
			p.Update(addresses("b:1"))
			if !a.Left() {
				t.Fatal("a deleted backend has not left")
			}
			p.Update(addresses("a:1", "b:1"))
			if got := state(t, p, "a:1"); p.find("a:1") != a || got.InFlight != 1 || got.Failures != 0 || a.Left() {
				t.Fatalf("%s: %+v, want the one that left, with a clean record", balance, got)
			}
		}
		l.Release()
		p.Update(addresses("b:1"))
		p.Update(addresses("a:1", "b:1"))
		if p.find("a:1") == a {
			t.Fatalf("%s: the one that left without work is there again", balance)
		}
	}
}

// What began before a backend left teaches nothing of the one that is back: not that it
// fails, and no trial of it is under way.
func TestReturningAddressIsNotBlamedForBefore(t *testing.T) {
	p := New(Config{Guard: Guard{Off: true}, Eject: Eject{Consecutive: 3, Backoff: time.Millisecond}})
	p.Update(addresses("a:1", "b:1"))
	var held []Lease
	for range 12 {
		held = append(held, must(t, p))
	}
	fail(t, p, "a:1", 3, Refused)
	time.Sleep(5 * time.Millisecond)
	p.tick(time.Now())
	old := must(t, p)
	if !old.Trial() {
		t.Fatal("no trial was due: nothing is tested")
	}
	p.Update(addresses("b:1"))
	p.Update(addresses("a:1", "b:1"))
	for i := range held {
		if held[i].Backend().Address() == "a:1" {
			held[i].Report(Reset)
		}
	}
	if got := state(t, p, "a:1"); got.State != Active || got.Failures != 0 || got.Latency != 0 {
		t.Errorf("%+v: blamed for what began before it came back", got)
	}
	fail(t, p, "a:1", 3, Refused)
	time.Sleep(5 * time.Millisecond)
	p.tick(time.Now())
	trial := must(t, p)
	if !trial.Trial() {
		t.Error("a trial from before holds up the first one since")
	}
	old.Report(Success)
	old.Release()
	wantState(t, p, "a:1", Ejected, "who succeeded was another")
	trial.Report(Success)
	trial.Release()
	wantState(t, p, "a:1", Active, "its trial has succeeded")
	for i := range held {
		held[i].Release()
	}
	if n := p.find("a:1").InFlight(); n != 0 {
		t.Errorf("%d in flight in the end", n)
	}
}

// Who left and was back before a list without it came is no other case.
func TestAnAddressThatWasBackAtOnceStartsClean(t *testing.T) {
	p := New(Config{})
	p.Update(addresses("a:1", "b:1", "c:1"))
	fail(t, p, "a:1", 5, Refused)
	fail(t, p, "b:1", 4, Refused)
	wantState(t, p, "a:1", Ejected, "five refusals")
	old := p.find("a:1")
	var held []Lease
	for range 10 {
		held = append(held, must(t, p))
	}
	es := addresses("a:1", "b:1", "c:1")
	es[0].Returns, es[1].Returns = 1, 1
	p.Update(es)
	wantState(t, p, "a:1", Active, "it is registered anew")
	if p.find("a:1") != old {
		t.Fatal("an address that is there before and after is another backend")
	}
	for i := range held {
		if held[i].Backend().Address() == "b:1" {
			held[i].Report(Reset)
		}
		held[i].Release()
	}
	fail(t, p, "b:1", 4, Refused)
	wantState(t, p, "b:1", Active, "its four failures of before count no more, nor what fails since and began before")
	fail(t, p, "a:1", 5, Refused)
	p.Update(addresses("a:1", "b:1", "c:1")) // another source, which counts from zero
	wantState(t, p, "a:1", Ejected, "nothing says that it had left")
}

// Nor is it otherwise where its record had said that it was leaving: a server that
// restarts does both.
func TestAnAddressThatDrainedAndWasBackAtOnceStartsClean(t *testing.T) {
	p := New(Config{Eject: Eject{Consecutive: 5}})
	es := addresses("a:1", "b:1")
	p.Update(es)
	b := must(t, p)
	for b.Backend().Address() != "a:1" {
		b.Release()
		b = must(t, p)
	}
	fail(t, p, "a:1", 4, Refused)
	es[0].Draining = true
	p.Update(es)
	es[0].Draining, es[0].Returns = false, 1
	p.Update(es)
	b.Report(Reset)
	b.Release()
	wantState(t, p, "a:1", Active, "what began before it left teaches nothing")
	if s := state(t, p, "a:1"); s.Reason != "" {
		t.Errorf("a:1 is active because %q, want a clean record", s.Reason)
	}
}

// A drain by hand is until the backend leaves, however soon it is back.
func TestADrainByHandEndsWhenTheBackendLeaves(t *testing.T) {
	for name, updates := range map[string][][]discovery.Endpoint{
		"back later":   {addresses("b:1"), addresses("a:1", "b:1")},
		"back at once": {{{Address: "a:1", Returns: 1}, {Address: "b:1"}}},
	} {
		p := New(Config{Guard: Guard{Off: true}})
		p.Update(addresses("a:1", "b:1"))
		if err := p.Drain("a:1"); err != nil {
			t.Fatal(err)
		}
		for _, es := range updates {
			p.Update(es)
		}
		wantState(t, p, "a:1", Active, name)
	}
}

func TestEjectedBackendReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var events []Event
		p := New(Config{OnEvent: func(e Event) { events = append(events, e) }})
		done := make(chan error, 1)
		go func() { done <- p.Run(ctx) }()
		p.Update(addresses("a:1", "b:1", "c:1"))

		fail(t, p, "a:1", 4, Reset)
		wantState(t, p, "a:1", Active, "four failures are not five")
		fail(t, p, "a:1", 1, Refused)
		wantState(t, p, "a:1", Ejected, "five in a row")
		for range 100 {
			if a := use(t, p, Success); a == "a:1" {
				t.Fatal("an ejected backend was chosen before its time was up")
			}
		}

		time.Sleep(1200 * time.Millisecond)
		synctest.Wait()
		trial := must(t, p)
		if !trial.Trial() || trial.Backend().Address() != "a:1" {
			t.Fatalf("after the backoff %s was chosen (trial %v), want the ejected one on trial", trial.Backend().Address(), trial.Trial())
		}
		for range 100 {
			if a := use(t, p, Success); a == "a:1" {
				t.Fatal("a second trial at the same time: it must be one at a time")
			}
		}
		trial.Report(Refused)
		trial.Release()
		if wait := time.Until(state(t, p, "a:1").Until); wait < 1800*time.Millisecond || wait > 2200*time.Millisecond {
			t.Fatalf("after a failed trial the wait is %s, want 2s ± 10%%", wait)
		}

		time.Sleep(2300 * time.Millisecond)
		synctest.Wait()
		l := must(t, p)
		l.Release() // no verdict: another, but not the next piece of work at once
		if a := use(t, p, Success); a == "a:1" {
			t.Fatal("each next piece of work would go to one that never comes to a verdict")
		}
		time.Sleep(1200 * time.Millisecond)
		synctest.Wait()
		if a := use(t, p, Success); a != "a:1" {
			t.Fatalf("after a trial without verdict %s was chosen, want another trial", a)
		}
		wantState(t, p, "a:1", Active, "its trial succeeded")
		if len(events) != 5 {
			t.Fatalf("events %v, want three joins, an ejection and a return", events)
		}
		cancel()
		<-done
	})
}

func TestSuccessBreaksTheRun(t *testing.T) {
	p := New(Config{})
	p.Update(addresses("a:1", "b:1"))
	for range 10 {
		fail(t, p, "a:1", 4, Refused)
		for use(t, p, Success) != "a:1" {
		}
	}
	wantState(t, p, "a:1", Active, "never five in a row")
}

func TestUnknownOutcomesBlameNobody(t *testing.T) {
	p := New(Config{Eject: Eject{Consecutive: 1, On: OnGateway}})
	p.Update(addresses("a:1", "b:1"))
	for range 100 {
		use(t, p, Unknown)
		use(t, p, ServerError)
	}
	for _, b := range p.Status().Backends {
		if b.State != Active || b.Failures != 0 {
			t.Fatalf("%+v, want it unharmed: clients that leave, and plain 500s under on: gateway, are no failures", b)
		}
	}
}

func TestMayEject(t *testing.T) {
	for _, c := range []struct {
		out, n, percent int
		want            bool
	}{
		{0, 1, 50, false},
		{0, 1, 100, false}, // never the last
		{0, 2, 50, true},
		{1, 2, 50, false},
		{0, 2, 10, true}, // always one of two or more
		{0, 3, 50, true},
		{1, 3, 50, false},
		{1, 4, 50, true},
		{2, 4, 50, false},
		{2, 3, 100, false},
		{1, 3, 100, true},
		{9, 100, 10, true},
		{10, 100, 10, false},
		{0, 0, 50, false},
	} {
		if got := mayEject(c.out, c.n, c.percent); got != c.want {
			t.Errorf("mayEject(out %d, of %d, %d%%) = %v, want %v", c.out, c.n, c.percent, got, c.want)
		}
	}
}

func TestBackoffDoublesToItsTop(t *testing.T) {
	for level, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60, 60} {
		want *= time.Second
		if got := backoff(time.Second, time.Minute, level, 0.5); got != want {
			t.Errorf("backoff at level %d = %s, want %s", level, got, want)
		}
		low, high := backoff(time.Second, time.Minute, level, 0), backoff(time.Second, time.Minute, level, 0.999)
		if low >= want || high <= want || low < want*89/100 || high > want*111/100 {
			t.Errorf("jitter at level %d is %s to %s, want ±10%% of %s", level, low, high, want)
		}
	}
	if got := backoff(time.Second, time.Minute, 500, 0.5); got != time.Minute {
		t.Errorf("backoff at level 500 = %s, want it not to overflow", got)
	}
}

func TestEjectionNeverEmptiesThePool(t *testing.T) {
	p := New(Config{Eject: Eject{MaxPercent: 100, Consecutive: 1}})
	p.Update(addresses("a:1", "b:1", "c:1"))
	for range 50 {
		use(t, p, Refused)
	}
	l := must(t, p)
	l.Release()
	if !p.FailingOpen() {
		t.Fatal("a pool whose every backend fails is not failing open")
	}
	// The one that is left leaves; the ejected are all there is.
	left := ""
	for _, b := range p.Status().Backends {
		if b.State == Active {
			left = b.Address
		}
	}
	var rest []string
	for _, a := range []string{"a:1", "b:1", "c:1"} {
		if a != left {
			rest = append(rest, a)
		}
	}
	p.Update(addresses(rest...))
	l = must(t, p)
	l.Report(Success)
	l.Release()
	wantState(t, p, l.Backend().Address(), Active, "the least bad was used, and answered")
}

func TestDrainByHandAndByRecord(t *testing.T) {
	p := New(Config{})
	p.Update(addresses("a:1", "b:1"))
	if err := p.Drain("a:1"); err != nil {
		t.Fatal(err)
	}
	es := addresses("a:1", "b:1")
	es[1].Draining = true
	for range 20 {
		if a := use(t, p, Success); a != "b:1" {
			t.Fatalf("%s was chosen though it was drained by hand", a)
		}
	}
	p.Update(es)
	if _, err := p.Acquire(0, nil); !errors.Is(err, ErrEmpty) {
		t.Fatalf("Acquire with all draining = %v, want ErrEmpty: draining gets no new work", err)
	}
	if err := p.Undrain("a:1"); err != nil {
		t.Fatal(err)
	}
	if a := use(t, p, Success); a != "a:1" {
		t.Fatalf("%s was chosen, want the undrained one", a)
	}
	if err := p.Drain("nobody:1"); !errors.Is(err, ErrNotFound) {
		t.Fatalf("Drain of an unknown address = %v, want ErrNotFound", err)
	}
}

// Who was drained is told why it is back; it has nothing more to explain from then on.
func TestUndrainingSaysSo(t *testing.T) {
	var last Event
	p := New(Config{OnEvent: func(e Event) { last = e }})
	p.Update(addresses("a:1"))
	_ = p.Drain("a:1")
	_ = p.Undrain("a:1")
	if last.To != Active || last.Reason != "undrained by hand" {
		t.Errorf("the last event is %+v, want a return that says why", last)
	}
	if b := p.Status().Backends[0]; b.Reason != "" {
		t.Errorf("its reason is %q, want none: it is as it was", b.Reason)
	}
}

func TestReconfigureKeepsCounts(t *testing.T) {
	p := New(Config{Balance: LeastConn})
	p.Update(addresses("a:1", "b:1", "c:1"))
	var held []Lease
	for i, balance := range []Balance{RoundRobin, LeastConn, EWMA, LeastConn, Hash, Random, LeastConn} {
		for range 9 {
			held = append(held, must(t, p))
		}
		p.Reconfigure(Config{Balance: balance})
		if balance == LeastConn {
			for range 3 {
				held = append(held, must(t, p))
			}
		}
		if i%2 == 1 {
			for range 4 {
				held[0].Release()
				held = held[1:]
			}
		}
	}
	for i := range held {
		held[i].Release()
	}
	for _, b := range p.Status().Backends {
		if b.InFlight != 0 {
			t.Fatalf("%s has %d in flight at the end", b.Address, b.InFlight)
		}
	}
}

func TestManyPickersManyUpdates(t *testing.T) {
	for _, balance := range []Balance{RoundRobin, LeastConn, EWMA, Random, Hash} {
		t.Run(string(balance), func(t *testing.T) {
			p := New(Config{Balance: balance, Eject: Eject{Consecutive: 2, Backoff: time.Millisecond}, Guard: Guard{Off: true}})
			ctx, cancel := context.WithCancel(t.Context())
			var run, pickers sync.WaitGroup
			run.Go(func() { _ = p.Run(ctx) })
			p.Update(endpoints(20))
			kept := p.find(endpoints(1)[0].Address)
			for g := range 4 {
				pickers.Go(func() {
					for i := range 3000 {
						l, err := p.Acquire(uint64(i), nil)
						if err != nil {
							t.Errorf("Acquire = %v while there were backends", err)
							return
						}
						l.Report([]Outcome{Success, Success, Refused, Unknown}[(i+g)%4])
						l.Latency(time.Millisecond, time.Now())
						l.Release()
					}
				})
			}
			pickers.Go(func() {
				for i := range 300 {
					p.Update(endpoints(1 + i%40))
				}
			})
			pickers.Wait()
			cancel()
			run.Wait()
			if n := kept.InFlight(); n != 0 {
				t.Fatalf("in flight %d at the end, want 0", n)
			}
			if p.find(kept.Address()) != kept {
				t.Fatal("a backend that was in every update lost its identity")
			}
		})
	}
}

func ExamplePool() {
	p := New(Config{Balance: LeastConn})
	p.Update([]discovery.Endpoint{{Address: "10.0.0.5:8080"}})
	lease, err := p.Acquire(0, nil)
	if err != nil {
		return
	}
	fmt.Println(lease.Backend().Address())
	lease.Report(Success)
	lease.Release()
	// Output: 10.0.0.5:8080
}

// Who has waited for the first list finds what is in it.
func TestSyncedPoolHasItsBackends(t *testing.T) {
	list := endpoints(2)
	for range 2000 {
		p := New(Config{})
		go p.Update(list)
		for {
			l, err := p.Acquire(0, nil)
			if err == nil {
				l.Release()
				break
			}
			if !errors.Is(err, ErrSyncing) {
				t.Fatalf("Acquire while the first list comes in = %v", err)
			}
			if runtime.GOMAXPROCS(0) == 1 {
				runtime.Gosched() // else it takes 20 ms each time until the list has its turn
			}
		}
	}
}

// Who chooses by the view from before a backend left, be it two updates ago, has work on
// it: when the address comes back, that is the same backend.
func TestWorkBegunByAFormerViewIsTheAddresss(t *testing.T) {
	p := New(Config{})
	es := endpoints(2)
	p.Update(es)
	a, former := p.find(es[0].Address), p.view.Load()
	p.Update(es[1:])
	p.Update(es[1:])
	var c *cell
	for b := (*Backend)(nil); b != a; {
		if b != nil {
			former.picker.release(b, c)
		}
		b, c = former.picker.pick(0, nil)
	}
	p.Update(es)
	if got := p.find(es[0].Address); got != a || got.InFlight() != 1 {
		t.Errorf("the address has another backend: nobody would count, or cut, the work on the former one")
	}
	p.view.Load().picker.release(a, c)
	if n := a.InFlight(); n != 0 {
		t.Errorf("%d in flight at the end, want 0", n)
	}
}
