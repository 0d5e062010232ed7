package pool

import (
	"cmp"
	"slices"
	"time"
)

// departures is who left of late, unannounced, and from among how many.
//
// The guard goes by the moments just before somebody left: by that when the pool was at its
// largest within the window, the last one if it was so large more than once, and by the later
// ones, when it was smaller. Those who were there together at one of them and are missing now
// are a mass if they are more than one, and more than max_leave of all who were there, and
// the pool is smaller than it was. So a pool whose size holds loses nobody, whoever takes
// whose place, in the same update or soon after; and addresses that come and go one after the
// other never were together. Who had announced that he would leave was never there.
//
// The largest alone would not do: who has come since, or come back, was not there.
type departures struct {
	peaks []peak      // ever smaller, and later
	late  []departure // not before the first of them
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
	update  uint64

	from, to int // the peaks at which it was there, for missing
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
		d.late = append(d.late, departure{backend: b, at: now, update: update})
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

// missing is who was there at a moment of whose pool a mass is missing, now that present
// are there. N of size are the numbers of the first such moment.
func (d *departures) missing(present int, maxLeave float64) (missing []*Backend, n, size int) {
	if len(d.peaks) == 0 {
		return nil, 0, 0
	}
	steps := make([]int, len(d.peaks)+1) // of how many are missing, from each peak to the next
	to := 0
	for i := range d.late {
		l := &d.late[i]
		for to < len(d.peaks) && d.peaks[to].update <= l.update {
			to++
		}
		l.from, l.to = min(d.after(l.backend.joined), to), to
		steps[l.from]++
		steps[l.to]--
	}
	masses := make([]int, len(d.peaks)+1) // so many before each peak
	count := 0
	for i, p := range d.peaks {
		masses[i+1] = masses[i]
		if count += steps[i]; !mass(count, p.size, present, maxLeave) {
			continue
		}
		if masses[i+1]++; size == 0 {
			n, size = count, p.size
		}
	}
	for _, l := range d.late {
		if masses[l.from] < masses[l.to] {
			missing = append(missing, l.backend)
		}
	}
	return missing, n, size
}

// after is the first peak that is later than update.
func (d *departures) after(update uint64) int {
	if update < d.peaks[0].update { // as most
		return 0
	}
	i, _ := slices.BinarySearchFunc(d.peaks, update+1, func(p peak, u uint64) int { return cmp.Compare(p.update, u) })
	return i
}
