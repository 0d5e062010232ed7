package main

import (
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// The heap is small, a few megabytes. With the runtime's default, under which there may be
// as much garbage as there are live objects, the collector would run more than a hundred
// times a second under gRPC calls, whose heads are garbage after each, and take half of the
// CPU. So there may be a fixed amount of garbage, as long as that is more than the default.
const (
	garbage  = 24 << 20
	heapTick = time.Second
	// The runtime's default, and the most that is set, even if little is alive.
	leastPercent, mostPercent = 100, 400
)

// gcPercent is how much garbage there may be, in percent of what is alive.
func gcPercent(alive uint64) int {
	return int(min(max(garbage*100/max(alive, 1), leastPercent), mostPercent))
}

// roomyHeap sets GOGC by what is alive, again and again; it never returns. Where the
// environment sets GOGC or GOMEMLIMIT, it does nothing.
func roomyHeap() {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	set := 0
	for ; ; <-time.After(heapTick) {
		if p := gcPercent(heapAlive()); p*4 > set*5 || p*5 < set*4 { // each change stops the world for a moment
			debug.SetGCPercent(p)
			set = p
		}
	}
}

// heapAlive is what the last collection left, in bytes.
func heapAlive() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(s)
	if s[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return s[0].Value.Uint64()
}
