package pool

import "testing"

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
