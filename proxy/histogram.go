package proxy

import (
	"sync/atomic"
	"time"
)

// Histogram counts durations by how long they were. Observe and Snapshot may be
// called at any time from any goroutine.
type Histogram struct {
	sum     atomic.Int64 // nanoseconds
	buckets [len(bounds) + 1]atomic.Uint64
}

// bounds are Prometheus' defaults and, since a sidecar's usual request takes less
// than its smallest, some below.
var bounds = [...]time.Duration{
	250 * time.Microsecond, 500 * time.Microsecond, time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
	10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond,
	500 * time.Millisecond, time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second,
}

// Observe counts d.
func (h *Histogram) Observe(d time.Duration) {
	h.sum.Add(int64(d))
	i := 0
	for i < len(bounds) && d > bounds[i] {
		i++
	}
	h.buckets[i].Add(1)
}

// HistogramSnapshot is what a histogram had counted.
type HistogramSnapshot struct {
	Count uint64
	Sum   time.Duration
	// UpTo is how many took at most so long.
	UpTo map[time.Duration]uint64
}

// Snapshot reads the histogram.
func (h *Histogram) Snapshot() HistogramSnapshot {
	s := HistogramSnapshot{Sum: time.Duration(h.sum.Load()), UpTo: make(map[time.Duration]uint64, len(bounds))}
	for i := range h.buckets {
		s.Count += h.buckets[i].Load()
		if i < len(bounds) {
			s.UpTo[bounds[i]] = s.Count
		}
	}
	return s
}
