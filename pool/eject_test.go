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

// Who cannot be reached, and is kept because too many are out, has a small part of
// its share, by which it is found when it is back.
func TestKeptAbsenteesAreSeldomChosen(t *testing.T) {
	for _, balance := range []Balance{RoundRobin, LeastConn, EWMA, Random} {
		p := New(Config{Balance: balance, Eject: Eject{Backoff: 50 * time.Millisecond}})
		p.Update(endpoints(3))
		for _, e := range endpoints(3)[1:] {
			fail(t, p, e.Address, 5, Refused)
		}
		kept := p.find(endpoints(3)[2].Address)
		if n := count(p, Ejected); n != 1 || !kept.kept {
			t.Fatalf("%s: %d are ejected, want one of three, and one kept", balance, n)
		}
		seen := 0
		for range 2000 {
			if l := must(t, p); l.Backend() == kept {
				seen++
				l.Release()
			} else {
				l.Report(Success)
				l.Release()
			}
		}
		if seen > 100 {
			t.Errorf("%s: the dead one that is kept got %d of 2000", balance, seen)
		}
		if balance == RoundRobin && seen == 0 {
			t.Errorf("%s: the dead one that is kept got nothing, and would not be found when it is back", balance)
		}
		time.Sleep(100 * time.Millisecond)
		p.tick(time.Now())
		for range 2 { // one is the ejected one's
			l := must(t, p)
			if !l.Trial() {
				t.Errorf("%s: no trial for those whose time is up", balance)
			}
			defer l.Release()
			l.Report(Success)
		}
		if w := p.view.Load().weights; len(w) != 3 || w[0] != w[2] {
			t.Errorf("%s: weights %v after a success", balance, w)
		}
	}
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

// With a health check that passes again, who could not be reached has its trial at
// once, and not when a long wait is over.
func TestPassedChecksBringATrialForward(t *testing.T) {
	cfg := Config{Health: Health{Interval: time.Second}, Eject: Eject{Backoff: 10 * time.Minute, MaxBackoff: 10 * time.Minute}}
	inBubble(t, cfg, func(t *testing.T, f *fleet) {
		f.Update(endpoints(3))
		a := endpoints(3)[0].Address
		f.kill(a)
		fail(t, f.Pool, a, 5, Refused)
		time.Sleep(10 * time.Second)
		for range 20 {
			if got := use(t, f.Pool, Success); got == a {
				t.Fatal("a trial before the time and while checks fail")
			}
		}
		f.revive(a)
		time.Sleep(5 * time.Second)
		use(t, f.Pool, Success)
		wantState(t, f.Pool, a, Active, "its checks pass again, and its trial succeeded")
	})
}

// Who is readmitted for staying, and then fails, is set aside again, for longer each
// time; who answers has passed.
func TestATrialThatStaysAndFailsIsNoPass(t *testing.T) {
	inBubble(t, Config{Eject: Eject{Backoff: time.Second}}, func(t *testing.T, f *fleet) {
		f.Update(endpoints(3))
		a := endpoints(3)[0].Address
		for range 9 {
			use(t, f.Pool, Success)
		}
		fail(t, f.Pool, a, 5, Gateway)
		var waited []time.Duration
		for range 5 {
			since := time.Now()
			for {
				time.Sleep(50 * time.Millisecond)
				l := must(t, f.Pool)
				if !l.Trial() {
					l.Report(Success)
					l.Release()
					continue
				}
				waited = append(waited, time.Since(since))
				l.Stays()
				wantState(t, f.Pool, a, Active, "nobody can tell")
				l.Report(Gateway)
				l.Release()
				break
			}
			wantState(t, f.Pool, a, Ejected, "its trial failed after all")
		}
		if waited[4] < 8*waited[0] {
			t.Errorf("waited %v between trials, want twice as long each time", waited)
		}
		time.Sleep(time.Minute)
		l := must(t, f.Pool)
		l.Stays()
		for range 9 {
			use(t, f.Pool, Success)
		}
		l.Report(Reset) // hours later
		l.Release()
		wantState(t, f.Pool, a, Active, "it has answered others, and a stream that ends is one failure")
	})
}

// Work that never comes to a verdict, on a trial, does not have each next piece of work
// sent there.
func TestTrialsWithoutAVerdictAreSpaced(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, f *fleet) {
		es := endpoints(3)
		f.Update(es)
		bad := es[0].Address
		fail(t, f.Pool, bad, 5, Refused)
		time.Sleep(2 * time.Second)
		there := 0
		for range 1000 {
			l := must(t, f.Pool)
			if l.Backend().Address() == bad {
				there++
			} else {
				l.Report(Success)
			}
			l.Release()
			time.Sleep(10 * time.Millisecond)
		}
		if there > 12 || there < 7 {
			t.Errorf("it got %d of 1000 in ten seconds, want about one a second", there)
		}
		wantState(t, f.Pool, bad, Ejected, "nothing is known of it")
	})
}

// Who is back because a trial went on, and then fails, has its wait doubled.
func TestWaitsDoubleThoughTrialsStay(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, f *fleet) {
		es := endpoints(3)
		f.Update(es)
		bad := es[0].Address
		fail(t, f.Pool, bad, 5, Refused)
		var last time.Duration
		for range 4 {
			time.Sleep(time.Until(state(t, f.Pool, bad).Until) + time.Millisecond)
			trial := must(t, f.Pool)
			if trial.Backend().Address() != bad {
				t.Fatalf("%s was chosen, want a trial of %s", trial.Backend().Address(), bad)
			}
			trial.Stays()
			wantState(t, f.Pool, bad, Active, "its trial goes on")
			fail(t, f.Pool, bad, 1, CutShort)
			trial.Report(CutShort)
			trial.Release()
			wantState(t, f.Pool, bad, Ejected, "it has answered nobody")
			wait := time.Until(state(t, f.Pool, bad).Until)
			if wait < last*3/2 {
				t.Errorf("the next trial is in %s, after one of %s: want the wait to double", wait, last)
			}
			last = wait
		}
	})
}

// Nor is it forgotten where the pool can spare no more by then: it is kept, which shows,
// and so does a pool in which nobody else is left.
func TestATrialThatStaysAndFailsIsKeptWhereTooManyAreOut(t *testing.T) {
	inBubble(t, Config{Eject: Eject{Consecutive: 1}}, func(t *testing.T, f *fleet) {
		f.Update(endpoints(2))
		a, b := endpoints(2)[0].Address, endpoints(2)[1].Address
		fail(t, f.Pool, a, 1, Reset)
		time.Sleep(2 * time.Second)
		trial := must(t, f.Pool)
		if !trial.Trial() {
			t.Fatal("no trial is given when the time is up")
		}
		trial.Stays()
		fail(t, f.Pool, b, 1, Reset)
		wantState(t, f.Pool, b, Ejected, "it failed, and the other is back")
		before := state(t, f.Pool, a).Failures
		trial.Report(CutShort)
		trial.Release()
		got := state(t, f.Pool, a)
		if got.State != Active || got.Failures != before+1 {
			t.Errorf("%s has %d failures, want it kept and %d, one of them its trial's", got.State, got.Failures, before+1)
		}
		if want := "trial 1 failed: response cut short; kept, too many are out"; got.Reason != want {
			t.Errorf("the reason is %q, want %q", got.Reason, want)
		}
		if !f.FailingOpen() {
			t.Error("the pool does not fail open, though the last that was heard of each was a failure")
		}
		use(t, f.Pool, Success)
		if f.FailingOpen() {
			t.Error("the pool fails open after a success")
		}
	})
}

// Who has tried all others may try one that is out before its time. That one still fails
// is nothing new: else each such client would double the wait of a backend that may long
// be well again.
func TestATrialBeforeItsTimeDoesNotLengthenTheWait(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, f *fleet) {
		es := endpoints(2)
		f.Update(es)
		bad, other := es[0].Address, f.find(es[1].Address)
		fail(t, f.Pool, bad, 5, Refused)
		due := state(t, f.Pool, bad).Until
		for range 10 {
			l := must(t, f.Pool, other)
			if !l.Trial() || l.Backend().Address() != bad {
				t.Fatalf("%s was chosen, want the one that is out: there is no other", l.Backend().Address())
			}
			l.Report(Refused)
			l.Release()
		}
		if got := state(t, f.Pool, bad).Until; !got.Equal(due) {
			t.Errorf("its trial is in %s, want in %s as before", time.Until(got), time.Until(due))
		}
	})
}

// The failures of one that was kept do not make its first wait a longer one, once there
// is room to have it out.
func TestWhoWasKeptWaitsAsLongAsOthersAtFirst(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, f *fleet) {
		es := endpoints(2)
		f.Update(es)
		first, kept := es[0].Address, es[1].Address
		fail(t, f.Pool, first, 5, ServerError)
		fail(t, f.Pool, kept, 20, ServerError)
		wantState(t, f.Pool, kept, Active, "one of two is out already")
		time.Sleep(2 * time.Second)
		if trial := must(t, f.Pool); trial.Backend().Address() != first {
			t.Fatalf("%s was chosen, want the trial of %s", trial.Backend().Address(), first)
		} else {
			trial.Report(Success)
			trial.Release()
		}
		fail(t, f.Pool, kept, 1, ServerError)
		wantState(t, f.Pool, kept, Ejected, "it goes on failing, and the other is back")
		if wait := time.Until(state(t, f.Pool, kept).Until); wait > 1200*time.Millisecond {
			t.Errorf("its first trial is in %s, want in about the second of eject.backoff", wait)
		}
	})
}

// Who answers, and is set aside for what it answers, has shown nothing for when it comes
// back: it may end what it accepts by then.
func TestWhoIsSetAsideHasProvenNothing(t *testing.T) {
	p := New(Config{})
	p.Update(endpoints(2))
	b := p.find(endpoints(2)[0].Address)
	for range 4 {
		use(t, p, Success)
	}
	if !b.Proven() {
		t.Fatal("its answers prove nothing")
	}
	fail(t, p, b.Address(), 4, Gateway)
	if !b.Proven() {
		t.Error("a bad answer is taken for none")
	}
	fail(t, p, b.Address(), 1, Gateway)
	wantState(t, p, b.Address(), Ejected, "five bad answers")
	if b.Proven() {
		t.Error("it is out, and still counts as one that answers")
	}
	other := endpoints(2)[1].Address
	fail(t, p, other, 1, Refused)
	if p.find(other).Proven() {
		t.Error("the last that was seen of it is no answer, and it counts as one that answers")
	}
}

// A trial from before a backend left and came back decides nothing any more: neither when
// the next one is due, nor that it is over.
func TestATrialFromAFormerLifeDecidesNothing(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, f *fleet) {
		es := endpoints(2)
		f.Update(es)
		bad := es[0].Address
		fail(t, f.Pool, bad, 5, Refused)
		time.Sleep(2 * time.Second)
		former := must(t, f.Pool)
		if !former.Trial() {
			t.Fatal("no trial is given when the time is up")
		}
		f.Update(es[1:])
		f.Update(es)
		fail(t, f.Pool, bad, 5, Refused)
		time.Sleep(2 * time.Second)
		trial := must(t, f.Pool)
		if !trial.Trial() || trial.Backend() != former.Backend() {
			t.Fatal("no trial is given to who failed after it came back")
		}
		due := state(t, f.Pool, bad).Until
		former.Release()
		if got := state(t, f.Pool, bad).Until; !got.Equal(due) {
			t.Errorf("the next trial is due at %s, want at %s as before", got, due)
		}
		time.Sleep(2 * time.Second)
		if l := must(t, f.Pool); l.Trial() {
			t.Error("two trials at a time")
		} else {
			l.Release()
		}
		trial.Release()
	})
}
