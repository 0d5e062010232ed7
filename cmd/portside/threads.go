package main

import (
	"os"
	"runtime"
	"runtime/metrics"
	"syscall"
	"time"
)

// The cores are the application's as well. When the system gives one to that, what
// the scheduler has queued for it is done by another thread if there is one to
// spare, and waits milliseconds if not. When there is little to do, or the work is
// many short pieces, a spare one is only in the way: it is woken for what the others
// would have done, by each new goroutine.

const (
	// busyThreads is how many threads work at once when there is much to do, at
	// the least.
	busyThreads = 3
	threadsTick = 100 * time.Millisecond
	// Over so many cores' worth of CPU time it is much, and it is again little
	// when it has been under so many for a while.
	muchWork, littleWork = 0.45, 0.3
	calmTicks            = 20
	// Over so many new goroutines for a second of CPU time its pieces are short.
	shortWork = 4000
)

// threads says how many there are to be.
type threads struct {
	cores int
	busy  bool
	calm  int // ticks on end with little to do
}

// next takes in how many cores' worth was used since it was last asked, and how
// many goroutines were made for a second of that.
func (t *threads) next(used, made float64) int {
	switch {
	case used > muchWork && made < shortWork:
		t.busy, t.calm = true, 0
	case used > littleWork && made < shortWork:
		t.calm = 0
	default:
		if t.calm++; t.calm >= calmTicks {
			t.busy = false
		}
	}
	if t.busy {
		return busyThreads
	}
	return t.cores
}

// spareThreads has threads to spare while there is much to do, for ever. Otherwise
// there are as many as the runtime would have, which follows the limits of the
// container. Where GOMAXPROCS is set, that is left alone.
func spareThreads() {
	if os.Getenv("GOMAXPROCS") != "" {
		return
	}
	t := threads{cores: runtime.GOMAXPROCS(0)}
	spare := false
	cpu, made, since := cpuTime(), goroutinesMade(), time.Now()
	for range time.Tick(threadsTick) {
		if !spare {
			t.cores = runtime.GOMAXPROCS(0)
		}
		if t.cores >= busyThreads {
			continue
		}
		nowCPU, nowMade, at := cpuTime(), goroutinesMade(), time.Now()
		used := float64(max(nowCPU-cpu, 1))
		n := t.next(used/float64(max(at.Sub(since), 1)), float64(nowMade-made)/used*float64(time.Second))
		cpu, made, since = nowCPU, nowMade, at
		switch {
		case n > t.cores && !spare:
			runtime.GOMAXPROCS(n)
			spare = true
		case n == t.cores && spare:
			runtime.SetDefaultGOMAXPROCS() // and it follows again
			spare = false
		}
	}
}

// goroutinesMade is how many there have been.
func goroutinesMade() uint64 {
	s := []metrics.Sample{{Name: "/sched/goroutines-created:goroutines"}}
	metrics.Read(s)
	if s[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return s[0].Value.Uint64()
}

// cpuTime is what this process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
