package pool

import (
	"fmt"
	"slices"
	"testing"
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
