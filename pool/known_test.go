package pool

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"portside/discovery"
)

// A first list that lacks what was saved is doubted for as long as any loss is, reckoned
// from when the registry had it.
func TestAFirstListIsDoubtedByTheAgeOfWhatWasKnown(t *testing.T) {
	for _, c := range []struct {
		age, more time.Duration
		want      int // suspects
		why       string
	}{
		{0, 9 * time.Minute, 3, "etcd may have been emptied during a restart"},
		{0, 11 * time.Minute, 0, "suspect_max is over"},
		{8 * time.Minute, time.Second, 3, "it is two minutes until suspect_max is over"},
		{8 * time.Minute, 3 * time.Minute, 0, "suspect_max is over"},
		{40 * 24 * time.Hour, 0, 0, "it was long before suspect_max"},
		{-time.Hour, 9 * time.Minute, 3, "a clock that was set back is no reason to believe less, or for longer"},
		{-time.Hour, 11 * time.Minute, 0, "suspect_max is over"},
	} {
		inBubble(t, Config{}, func(t *testing.T, f *fleet) {
			f.Restore(discovery.Known{At: time.Now().Add(-c.age), Endpoints: endpoints(4)[:3]})
			if n := count(f.Pool, Active); n != 3 {
				t.Fatalf("%d of 3 known serve before the first list", n)
			}
			f.Update(endpoints(4)[3:])
			time.Sleep(c.more)
			if n := count(f.Pool, Suspect); n != c.want {
				t.Errorf("what was known %s before is lost, and %s later %d are suspects, want %d: %s", c.age, c.more, n, c.want, c.why)
			}
		})
	}
}

// Etcd was away for long, portside was started again meanwhile, and etcd comes back with
// nothing: that is doubted as it is by a portside that went on.
func TestAnEmptyFirstListIsDoubtedAtAnyAge(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, f *fleet) {
		es := endpoints(3)
		f.Restore(discovery.Known{At: time.Now().Add(-time.Hour), Endpoints: es})
		f.Update(nil)
		if n := count(f.Pool, Suspect); n != 3 {
			t.Fatalf("%d suspects after an empty list, want 3: an hour's outage is no proof against them", n)
		}
		f.kill(es[0].Address)
		time.Sleep(9 * time.Minute)
		k := f.Known()
		if n := len(k.Lost); n != 2 {
			t.Fatalf("%d are known as lost, want the 2 that answer", n)
		}
		next := New(Config{Probe: f.probe})
		next.Restore(k)
		next.Update(nil)
		for _, s := range next.Status().Backends {
			if time.Until(s.Until) > 2*time.Minute {
				t.Errorf("another start has %s suspect for %s more, want one minute", s.Address, time.Until(s.Until))
			}
		}
	})
}

// Who was suspect already is so for no longer than any, whatever the clock said.
func TestASuspicionFromTheFutureBeginsNow(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, f *fleet) {
		e := endpoints(1)[0]
		f.Restore(discovery.Known{At: time.Now(), Lost: []discovery.Lost{{Endpoint: e, At: time.Now().Add(24 * time.Hour)}}})
		time.Sleep(9 * time.Minute)
		wantState(t, f.Pool, e.Address, Suspect, "suspect_max is not over")
		time.Sleep(2 * time.Minute)
		wantState(t, f.Pool, e.Address, Gone, "suspect_max is over")
	})
}

// Nor does one pool after another renew what the first suspected.
func TestSuspicionIsHandedOnWithItsBeginning(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, f *fleet) {
		es := endpoints(5)
		f.Update(es)
		_ = f.Drain(es[3].Address)
		f.Update(es[3:])
		time.Sleep(6 * time.Minute)
		k := f.Known()
		if diff := cmp.Diff(es[3:], k.Endpoints); diff != "" || len(k.Lost) != 3 {
			t.Fatalf("known are %v and lost %v, want two and three", k.Endpoints, k.Lost)
		}
		next := New(Config{Probe: f.probe})
		next.Inherit(f.Pool)
		next.Restore(k)
		for _, s := range next.Status().Backends {
			if s.State == Suspect && time.Until(s.Until) != 4*time.Minute {
				t.Errorf("%s is suspect for %s more, want 4 min: it has been for six", s.Address, time.Until(s.Until))
			}
		}
		next.Update(es[3:])
		if n := count(next, Suspect); n != 3 {
			t.Errorf("%d suspects after a list without them, want 3", n)
		}
		next.Update(es[2:])
		wantState(t, next, es[2].Address, Active, "it is back")
	})
}
