package parking

import (
	"runtime"
	"testing"
	"time"
)

func TestTooMuchIsSharedUntilItIsBearable(t *testing.T) {
	now := time.Now()
	l := load{since: now}
	var cpu time.Duration
	for i, step := range []struct {
		busy, used float64
		want       bool
	}{
		{0.3, 0.3, false},
		{0.9, 0.5, false}, // the system has taken its core away
		{0.3, 1.9, false}, // others are at work
		{0.9, 0.9, true},
		{0.4, 1.6, true}, // it is shared
		{0.4, 0.75, true},
		{0.4, 0.6, false},
	} {
		l.busy = time.Duration(step.busy * float64(loadTick))
		cpu += time.Duration(step.used * float64(loadTick))
		now = now.Add(loadTick)
		if l.look(now, cpu); l.tooMuch != step.want {
			t.Errorf("step %d: too much: %v, want %v", i, l.tooMuch, step.want)
		}
	}
}

func TestLoadIsMeasured(t *testing.T) {
	var l load
	l.look(time.Now(), cpuTime())
	for range 3 {
		began := time.Now()
		for time.Since(began) < 2*loadTick {
		}
		l.did(began)
	}
	// The system may have been busy otherwise, but not with us.
	if used := cpuTime() - l.cpu; used > time.Second {
		t.Errorf("%v of CPU time since the last look", used)
	}
	if l.busy != 0 || l.since.IsZero() {
		t.Error("nobody has looked")
	}
}

func TestPartsOfWhatIsTooMuch(t *testing.T) {
	var l Lot
	cores := runtime.GOMAXPROCS(0)
	if n := l.parts(30, true); n != 1 {
		t.Errorf("in %d parts though there is little to do", n)
	}
	l.poller.load.tooMuch = true
	for n, want := range map[int]int{1: 0, least: 1, 2 * least: min(2, cores), 64 * least: cores} {
		if got := l.parts(n, true); got != want {
			t.Errorf("%d in %d parts, want %d", n, got, want)
		}
	}
}
