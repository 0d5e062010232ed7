package pool

import (
	"math"
	"sync/atomic"
	"time"
)

// average is a peak-sensitive exponentially weighted moving average: a slower
// sample replaces it, a faster one pulls it down (Finagle's PeakEwma).
type average struct {
	bits  atomic.Uint64 // float64, seconds; zero: no sample
	stamp atomic.Int64  // unix nanoseconds of the last sample
}

// decay is the time after which an old average counts for 1/e, 37 %, of what it did.
const decay = 10 * time.Second

func (a *average) seconds() float64 { return math.Float64frombits(a.bits.Load()) }

// faded is the average as it counts at now. It fades without new samples, so that a
// backend that was slow once, and has got nothing since, is tried again (Finagle's does
// as much on each reading).
func (a *average) faded(now int64) float64 {
	age := now - a.stamp.Load()
	if age <= 0 {
		return a.seconds()
	}
	// (1 + x/8)^8 is near enough to e^x, for a tenth of the time.
	x := 1 + float64(age)/(8*float64(decay))
	x *= x
	x *= x
	return a.seconds() / (x * x)
}

// observe takes in a sample seen at now. Concurrent samples may overwrite one
// another; an average can lose one.
func (a *average) observe(d time.Duration, now int64) {
	sample := d.Seconds()
	old := a.seconds()
	last := a.stamp.Swap(now)
	if old > 0 && sample < old {
		w := math.Exp(-float64(max(now-last, 0)) / float64(decay))
		// Samples closer together than decay/100 still move the average a little.
		w = min(w, 0.99)
		sample = old*w + sample*(1-w)
	}
	a.bits.Store(math.Float64bits(sample))
}
