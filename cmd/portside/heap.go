package main

import (
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// The heap is small, a few megabytes, so that by itself the collector would run more than
// a hundred times a second under gRPC calls, whose heads are garbage after each; that
// would take half of the CPU. So garbage may gather to a fixed amount, as long as that is
// more than the runtime's default, which is as much as is alive.
const (
	garbage  = 24 << 20
	heapTick = time.Second
	// The runtime's own default, and the most that is set: it is reached where little is
	// alive.
	leastPercent, mostPercent = 100, 400
)

// gcPercent is how much garbage there may be, in percent of what is alive.
func gcPercent(alive uint64) int {
	return int(min(max(garbage*100/max(alive, 1), leastPercent), mostPercent))
}

// roomyHeap lets garbage gather, for ever. Where GOGC or GOMEMLIMIT is set, that is left
// alone.
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
