package pool

import (
	"maps"
	"strings"
	"testing"
	"time"
)

func TestHealthChecksTurnedOffStrandNobody(t *testing.T) {
	inBubble(t, Config{Health: Health{Interval: time.Second}}, func(t *testing.T, f *fleet) {
		es := endpoints(3)
		a := es[0].Address
		f.Update(es)
		f.kill(a)
		time.Sleep(4 * time.Second)
		wantState(t, f.Pool, a, Ejected, "three checks failed")
		f.Reconfigure(Config{Probe: f.probe})
		if got := use(t, f.Pool, Success); got != a {
			t.Fatalf("%s was chosen, want %s on trial: nobody checks it any more, so traffic must decide", got, a)
		}
		wantState(t, f.Pool, a, Active, "its trial succeeded")
	})
}

func TestEventsMayBeTurnedOffWhileSomeAreUntold(t *testing.T) {
	told := 0
	p := New(Config{OnEvent: func(Event) { told++ }})
	p.Update(addresses("a:1", "b:1"))
	// One who has changed the pool and has not come to telling of it yet.
	p.mu.Lock()
	p.moved(p.backends[0], Draining, byHand, time.Now())
	p.mu.Unlock()
	p.Reconfigure(Config{})
	if told != 2 {
		t.Fatalf("told of %d events, want the two joins", told)
	}
	p.Reconfigure(Config{OnEvent: func(Event) { told++ }})
	_ = p.Undrain("a:1")
	if told != 3 {
		t.Fatalf("told of %d events, want the two joins and the return: what happened while nobody listened is past", told)
	}
}

// Who is checked more often from now on is not first left alone for as long as before.
func TestAShorterIntervalIsInForceAtOnce(t *testing.T) {
	inBubble(t, Config{Health: Health{Interval: 10 * time.Minute}}, func(t *testing.T, f *fleet) {
		a := endpoints(3)[0].Address
		f.Update(endpoints(3))
		time.Sleep(time.Minute)
		f.Reconfigure(Config{Health: Health{Interval: time.Second}, Probe: f.probe})
		f.kill(a)
		time.Sleep(5 * time.Second)
		wantState(t, f.Pool, a, Ejected, "three checks failed")
	})
}

// Who is kept though it cannot be reached does not get everything as a trial once
// ejection is turned off.
func TestAKeptAbsenteeOutlivesEjection(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, f *fleet) {
		f.Update(endpoints(3))
		good := endpoints(3)[0].Address
		for _, e := range endpoints(3)[1:] {
			fail(t, f.Pool, e.Address, 5, Refused)
		}
		f.Reconfigure(Config{Eject: Eject{Consecutive: -1}, Probe: f.probe})
		time.Sleep(2 * time.Minute)
		served := 0
		for range 1000 {
			l := must(t, f.Pool)
			if l.Backend().Address() == good {
				served++
				l.Report(Success)
			} else {
				l.Report(Refused)
			}
			l.Release()
		}
		if served < 900 {
			t.Errorf("the one that serves got %d of 1000", served)
		}
	})
}

// With ejection turned off nobody stays out, or goes on being tried and ejected anew.
func TestEjectionTurnedOffLetsTheEjectedBack(t *testing.T) {
	inBubble(t, Config{Eject: Eject{Consecutive: 1}}, func(t *testing.T, f *fleet) {
		f.Update(endpoints(2))
		a := endpoints(2)[0].Address
		fail(t, f.Pool, a, 1, ServerError)
		wantState(t, f.Pool, a, Ejected, "it failed")
		f.Reconfigure(Config{Eject: Eject{Consecutive: -1}, Probe: f.probe})
		wantState(t, f.Pool, a, Active, "nobody is ejected any more")
		was := f.Status().Ejections
		for range 5 {
			time.Sleep(time.Minute)
			fail(t, f.Pool, a, 1, ServerError)
		}
		wantState(t, f.Pool, a, Active, "nobody is ejected any more")
		if got := f.Status().Ejections; !maps.Equal(got, was) {
			t.Errorf("ejections are %v, want %v", got, was)
		}
	})
}

// What a reload says holds for those whom it finds set aside, too.
func TestShorterLimitsHoldForWhoIsSetAside(t *testing.T) {
	inBubble(t, Config{Eject: Eject{Consecutive: 1, Backoff: time.Hour, MaxBackoff: time.Hour}}, func(t *testing.T, f *fleet) {
		es := endpoints(6)
		f.Update(es)
		ejected := es[0].Address
		fail(t, f.Pool, ejected, 1, Refused)
		f.Update(es[:1]) // the other five are gone at once, and suspects
		suspect := es[1].Address
		wantState(t, f.Pool, suspect, Suspect, "they left with most others")
		time.Sleep(time.Minute)
		f.Reconfigure(Config{Eject: Eject{Consecutive: 1, Backoff: time.Second}, Guard: Guard{SuspectMax: 2 * time.Minute}, Probe: f.probe})
		if until := state(t, f.Pool, ejected).Until; time.Until(until) > 2*time.Second {
			t.Errorf("the next trial is in %s, want it within what is now the backoff", time.Until(until))
		}
		if until := state(t, f.Pool, suspect).Until; time.Until(until) != time.Minute {
			t.Errorf("the suspect stays for %s, want a minute more", time.Until(until))
		}
		time.Sleep(61 * time.Second)
		for _, b := range f.Status().Backends {
			if b.State == Suspect {
				t.Errorf("%s is still a suspect, until %s", b.Address, b.Until)
			}
		}
	})
}

// What health checks have said of those that were kept is forgotten with the checks.
func TestHealthChecksTurnedOffSayNothingMore(t *testing.T) {
	inBubble(t, Config{Health: Health{Interval: time.Second}}, func(t *testing.T, f *fleet) {
		es := endpoints(3)
		f.Update(es)
		for _, e := range es {
			f.kill(e.Address)
		}
		time.Sleep(10 * time.Second)
		if !f.FailingOpen() {
			t.Fatal("all fail their checks, and the pool does not fail open: nothing is tested")
		}
		f.Reconfigure(Config{Probe: f.probe})
		for _, b := range f.Status().Backends {
			if b.State == Active && b.Reason != "" {
				t.Errorf("%s is active, %q, though nobody checks it any more", b.Address, b.Reason)
			}
		}
		if f.FailingOpen() {
			t.Error("the pool fails open though nobody is known to fail")
		}
	})
}

// A trial that went on and fails after ejection was turned off sets nobody aside.
func TestATrialThatOutlivesEjectionEjectsNobody(t *testing.T) {
	inBubble(t, Config{Eject: Eject{Consecutive: 1}}, func(t *testing.T, f *fleet) {
		f.Update(endpoints(2))
		a := endpoints(2)[0].Address
		fail(t, f.Pool, a, 1, Reset)
		time.Sleep(2 * time.Second)
		trial := must(t, f.Pool)
		if !trial.Trial() {
			t.Fatal("no trial is given when the time is up")
		}
		trial.Stays()
		f.Reconfigure(Config{Eject: Eject{Consecutive: -1}, Probe: f.probe})
		before := state(t, f.Pool, a).Failures
		trial.Report(CutShort)
		trial.Release()
		wantState(t, f.Pool, a, Active, "nobody is ejected any more")
		if got := state(t, f.Pool, a).Failures; got != before+1 {
			t.Errorf("%d failures, want %d: it has failed all the same", got, before+1)
		}
	})
}

// A request that succeeds does not make a health check pass: both are said.
func TestAKeptBackendWhoseCheckFailsSaysSo(t *testing.T) {
	inBubble(t, Config{Health: Health{Interval: time.Second}}, func(t *testing.T, f *fleet) {
		a := endpoints(1)[0].Address
		f.Update(endpoints(1))
		f.kill(a)
		time.Sleep(5 * time.Second)
		use(t, f.Pool, Success)
		reason := state(t, f.Pool, a).Reason
		if !strings.Contains(reason, "health checks, but requests succeed") {
			t.Errorf("its reason is %q, want what its health check says", reason)
		}
		f.revive(a)
		time.Sleep(3 * time.Second)
		if got := state(t, f.Pool, a).Reason; got != "" {
			t.Errorf("its reason is %q once the check passes, want none", got)
		}
		f.kill(a)
		time.Sleep(5 * time.Second)
		use(t, f.Pool, Success)
		f.Reconfigure(Config{})
		if got := state(t, f.Pool, a).Reason; got != "" {
			t.Errorf("its reason is %q once nobody checks, want none", got)
		}
	})
}
