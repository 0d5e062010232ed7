package parking

import (
	"runtime"
	"slices"
	"syscall"
	"time"
)

// Who is woken does what there is to do on the goroutine that watches, so that all
// of it stays with one core. If that has too much to do, it gives parts away.

const (
	// A look at the load is taken so often.
	loadTick = 20 * time.Millisecond
	// It is too much if the goroutine, and the process, are at work for so much
	// of the time, until the process is for less.
	tooMuch, bearable = 0.8, 0.7
	// least is how many a part is worth.
	least = 4
)

// load is how much the goroutine that watches has to do.
type load struct {
	since   time.Time // the last look
	cpu     time.Duration
	busy    time.Duration // since then
	tooMuch bool
}

// did takes in that there was something to do from then until now.
func (l *load) did(from time.Time) {
	now := time.Now()
	l.busy += now.Sub(from)
	if now.Sub(l.since) >= loadTick {
		l.look(now, cpuTime())
	}
}

func (l *load) look(now time.Time, cpu time.Duration) {
	wall, busy, used := float64(now.Sub(l.since)), float64(l.busy), float64(cpu-l.cpu)
	switch {
	case busy > tooMuch*wall && used > tooMuch*wall:
		l.tooMuch = true
	case used < bearable*wall:
		l.tooMuch = false
	}
	l.since, l.cpu, l.busy = now, cpu, 0
}

// cpuTime is what this process has used; cmd/portside has the same for its threads.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// wake wakes all of some, by itself or in part, and returns the list empty. Whole
// says that they are all there are.
func (l *Lot) wake(some []woken, whole bool) []woken {
	if len(some) == 0 {
		return some
	}
	began := time.Now()
	rest := some
	for parts := l.parts(len(some), whole); parts > 1; parts-- {
		part := rest[:len(rest)/parts]
		rest = rest[len(part):]
		go wake(slices.Clone(part))
	}
	wake(rest)
	clear(some)
	l.poller.load.did(began)
	return some[:0]
}

// parts is in how many n are to be woken.
func (l *Lot) parts(n int, whole bool) int {
	switch {
	case l.poller.load.tooMuch:
		return min(runtime.GOMAXPROCS(0), n/least)
	case !whole:
		return 2 // there are more than a few: the other may be for another core
	}
	return 1
}

func wake(some []woken) {
	for _, w := range some {
		w.sleeper.Wake(w.news)
	}
}
