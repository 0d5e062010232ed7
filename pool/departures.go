package pool

import (
	"slices"
	"time"
)

// departures is who left of late, unannounced, and from among how many.
//
// The guard goes by one moment: when the pool was at its largest within the window, the
// last time if it was so large more than once. Those who were there together then and are
// missing now are a mass if they are more than one, and more than max_leave of all who were
// there, and the pool is smaller than it was. So a pool whose size holds loses nobody,
// whoever takes whose place, in the same update or soon after; and addresses that come and
// go one after the other never were together. Who had announced that he would leave was
// never there.
type departures struct {
	peaks []peak      // ever smaller, the first is the moment to go by
	late  []departure // not before it
}

// peak is how many were in the pool just before an update some left with.
type peak struct {
	size   int
	at     time.Time
	update uint64 // see Pool.updates
}

type departure struct {
	backend *Backend
	at      time.Time
}

// mass reports whether those missing of a pool that had size backends, and has present,
// are more than may leave undoubted. One is never a mass.
func mass(missing, size, present int, maxLeave float64) bool {
	return present < size && missing > 1 && float64(missing) > maxLeave*float64(size)
}

// add notes that left, in the given update, have left a pool of size backends.
func (d *departures) add(left []*Backend, size int, update uint64, now time.Time) {
	d.peaks = slices.DeleteFunc(d.peaks, func(p peak) bool { return p.size <= size })
	if len(d.peaks) == 0 {
		d.late = nil // others have come for all of them
	}
	d.peaks = append(d.peaks, peak{size, now, update})
	for _, b := range left {
		d.late = append(d.late, departure{b, now})
	}
}

// announced has b, who left as it had said, never have been there.
func (d *departures) announced(b *Backend) {
	for i, p := range d.peaks {
		if b.joined < p.update {
			d.peaks[i].size--
		}
	}
}

// expire forgets what was before since.
func (d *departures) expire(since time.Time) {
	d.peaks = slices.DeleteFunc(d.peaks, func(p peak) bool { return p.at.Before(since) })
	d.late = slices.DeleteFunc(d.late, func(l departure) bool {
		return len(d.peaks) == 0 || l.at.Before(d.peaks[0].at)
	})
}

// missing is who was there when the pool had size backends, and is not now.
func (d *departures) missing() (missing []*Backend, size int) {
	if len(d.peaks) == 0 {
		return nil, 0
	}
	for _, l := range d.late {
		if l.backend.joined < d.peaks[0].update {
			missing = append(missing, l.backend)
		}
	}
	return missing, d.peaks[0].size
}
