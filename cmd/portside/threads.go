package main

import (
	"os"
	"runtime"
	"runtime/metrics"
	"syscall"
	"time"
)

// The application uses the same cores. When the system takes a core from one of our
// threads, the goroutines queued for that thread are run by another one if there is one to
// spare (GOMAXPROCS above the number of cores), and wait for milliseconds if not. But when
// there is little to do, or the work comes in many short pieces, a spare thread only costs:
// each new goroutine wakes it for what the others would have done.

const (
	// busyThreads is the least GOMAXPROCS when there is much to do.
	busyThreads = 3
	threadsTick = 100 * time.Millisecond
	// There is much to do when more CPU time is used than that of muchWork cores, and
	// little again after calmTicks ticks below littleWork cores.
	muchWork, littleWork = 0.45, 0.3
	calmTicks            = 20
	// The work comes in short pieces when there are more than shortWork new goroutines in
	// a second of CPU time.
	shortWork = 4000
)

// threads decides about GOMAXPROCS.
type threads struct {
	cores int // what the runtime would choose
	busy  bool
	calm  int // ticks in a row with little to do
}

// next is the next GOMAXPROCS, from how many cores' worth of CPU time was used since the last
// tick, and how many goroutines were made for each second of that time.
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

// spareThreads raises GOMAXPROCS while there is much to do. It never returns. Otherwise
// GOMAXPROCS is the runtime's own, which follows the limits of the container. Where the
// environment sets it, it stays as it is.
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
