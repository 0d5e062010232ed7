package pool

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

func TestOnlyATrialReadmits(t *testing.T) {
	p := New(Config{Eject: Eject{MaxPercent: 25}})
	p.Update(addresses("a:1", "b:1", "c:1", "d:1"))
	old := must(t, p)
	a := old.Backend().Address()
	fail(t, p, a, 5, ServerError)
	wantState(t, p, a, Ejected, "five errors")
	b := must(t, p)
	b.Release()
	fail(t, p, b.Backend().Address(), 5, ServerError)
	if got := state(t, p, b.Backend().Address()); got.State != Active {
		t.Fatalf("%s is %s, want it kept: one of four may be out", got.Address, got.State)
	}
	old.Report(Success)
	old.Release()
	wantState(t, p, a, Ejected, "work from before its failures is no trial")
}

// A trial is over once it has shown something: the connection may last for hours.
func TestATrialThatGoesOnDoesNotHoldUpTheNext(t *testing.T) {
	inBubble(t, Config{Eject: Eject{Backoff: time.Second}}, func(t *testing.T, f *fleet) {
		f.Update(endpoints(3))
		a := endpoints(3)[0].Address
		fail(t, f.Pool, a, 5, Refused)
		time.Sleep(2 * time.Second)
		trial := must(t, f.Pool)
		if !trial.Trial() || trial.Backend().Address() != a {
			t.Fatal("no trial is given when the time is up")
		}
		defer trial.Release()
		trial.Report(Success)
		fail(t, f.Pool, a, 5, Refused)
		wantState(t, f.Pool, a, Ejected, "five more refused")
		time.Sleep(2 * time.Second)
		next := must(t, f.Pool)
		defer next.Release()
		if !next.Trial() {
			t.Fatal("no trial while the former one's connection lasts")
		}
		other := must(t, f.Pool)
		defer other.Release()
		if other.Trial() {
			t.Fatal("two trials at a time")
		}
	})
}

// What nobody is told of is looked for at 3 a.m.: the only backend fails, and is
// kept.
func TestFailingOpenIsTold(t *testing.T) {
	var told []string
	inBubble(t, Config{OnEvent: func(e Event) {
		if e.Backend == nil {
			told = append(told, fmt.Sprintf("%s to %s: %s", e.From, e.To, e.Reason))
		}
	}}, func(t *testing.T, f *fleet) {
		es := endpoints(1)
		f.Update(es)
		fail(t, f.Pool, es[0].Address, 20, Refused)
		if got := use(t, f.Pool, Success); got != es[0].Address {
			t.Fatalf("%s was used", got)
		}
		fail(t, f.Pool, es[0].Address, 5, Refused)
		f.Update(endpoints(3))
	})
	want := []string{
		"active to fail_open: every backend left in rotation is failing", "fail_open to active: a backend is well",
		"active to fail_open: every backend left in rotation is failing", "fail_open to active: a backend is well",
	}
	if !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}
