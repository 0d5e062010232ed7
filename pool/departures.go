package pool

import (
	"cmp"
	"slices"
	"time"
)

// departures are the backends that have left within the window without announcing it, and
// how large the pool was before. From these the guard tells a mass.
//
// It compares the pool with its peaks. The first is the moment, just before some left, at
// which it was at its largest within the window; the next one is the same for the time
// after that; and so on. Those that were there together at a peak and are missing now are
// a mass if they are more than one, more than max_leave of all at that peak, and the pool
// is smaller than at that peak. So nothing is doubted in a pool whose size holds,
// whichever address takes the place of which, in the same update or soon after; and
// addresses that come and go one after the other were never there together. What had
// announced its departure does not count as having been there.
//
// The largest peak alone would not do: a backend that joined after it was not there.
type departures struct {
	peaks []peak      // in order of time, each smaller than the one before
	late  []departure // those since the first peak
}

// peak is the size of the pool just before an update with which some backends left.
type peak struct {
	size   int
	at     time.Time
	update uint64 // see Pool.updates
}

type departure struct {
	backend *Backend
	at      time.Time
	update  uint64

	from, to int // it was there at the peaks from ≤ i < to; set and used by missing
}

// mass reports whether missing backends, of a pool that had size of them and now has
// present, are too many to leave undoubted. One is never a mass.
func mass(missing, size, present int, maxLeave float64) bool {
	return present < size && missing > 1 && float64(missing) > maxLeave*float64(size)
}

// add notes that left have left a pool of size backends, with the given update.
func (d *departures) add(left []*Backend, size int, update uint64, now time.Time) {
	d.peaks = slices.DeleteFunc(d.peaks, func(p peak) bool { return p.size <= size })
	if len(d.peaks) == 0 {
		d.late = nil // others have come in the place of all of them
	}
	d.peaks = append(d.peaks, peak{size, now, update})
	for _, b := range left {
		d.late = append(d.late, departure{backend: b, at: now, update: update})
	}
}

// announced makes the peaks as if b, which has left as it had announced, had never been
// there.
func (d *departures) announced(b *Backend) {
	for i, p := range d.peaks {
		if b.joined < p.update {
			d.peaks[i].size--
		}
	}
}

// expire forgets the peaks before since, and the departures before the first peak left.
func (d *departures) expire(since time.Time) {
	d.peaks = slices.DeleteFunc(d.peaks, func(p peak) bool { return p.at.Before(since) })
	d.late = slices.DeleteFunc(d.late, func(l departure) bool {
		return len(d.peaks) == 0 || l.at.Before(d.peaks[0].at)
	})
}

// missing are the backends that are part of a mass, now that present backends are there.
// At the first peak from which a mass is missing, n of size backends are.
func (d *departures) missing(present int, maxLeave float64) (missing []*Backend, n, size int) {
	if len(d.peaks) == 0 {
		return nil, 0, 0
	}
	steps := make([]int, len(d.peaks)+1) // how many more are missing from a peak than from the one before
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
	masses := make([]int, len(d.peaks)+1) // from how many of the peaks before i a mass is missing
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

// after is the index of the first peak that is later than update.
func (d *departures) after(update uint64) int {
	if update < d.peaks[0].update { // by far the most frequent
		return 0
	}
	i, _ := slices.BinarySearchFunc(d.peaks, update+1, func(p peak, u uint64) int { return cmp.Compare(p.update, u) })
	return i
}
