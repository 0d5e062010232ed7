package pool

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"
)

// ladder holds backends in order of load: a rung for each load there is, ascending. To
// take one of the least loaded, to move one up and to move one down cost a few steps
// however many backends there are.
//
// It fills whole cache lines, so that cores that work on two ladders do not slow one
// another down.
type ladder struct {
	mu    sync.Mutex
	low   uint64         // load of the lowest rung, as bits, which compare as it does
	shown *atomic.Uint64 // low, for those without the lock
	size  int            // backends on it; guarded by pool.mu
	spare *rung          // emptied rungs, kept for their memory
	_     [24]byte
	floor rung // below the lowest, always empty
}

// ladderPlace is a backend's place on its ladder, and what the ladder counts of its work.
// The ladder's lock guards it.
type ladderPlace struct {
	rung     *rung
	weight   float64
	leases   int64  // since it is on this ladder
	inFlight int32  // all of them, whenever they began
	at       uint32 // index among the rung's members
}

// rung holds the backends that are equally loaded.
type rung struct {
	load         float64
	members      []*Backend
	above, below *rung
	_            [16]byte // to a cache line
}

// noLoad is what a ladder without backends shows as its lowest load: more than any.
const noLoad = math.MaxUint64

// load is what one more lease would make it: (in flight + 1) ÷ weight.
func (n *ladderPlace) load() float64 {
	load := float64(n.inFlight + 1)
	if n.weight == 1 {
		return load
	}
	return load / n.weight
}

// lockLadder locks the ladder that b stands on and returns it; nil if b stands on none.
func (b *Backend) lockLadder() *ladder {
	for {
		d := b.ladder.Load()
		if d == nil {
			return nil
		}
		d.mu.Lock()
		if b.ladder.Load() == d {
			return d
		}
		d.mu.Unlock()
	}
}

// unlock shows the lowest load to those without the lock, and unlocks.
func (d *ladder) unlock() {
	low := uint64(noLoad)
	if r := d.floor.above; r != nil {
		low = math.Float64bits(r.load)
	}
	if low != d.low {
		d.low = low
		d.shown.Store(low)
	}
	d.mu.Unlock()
}

// count adds n to b's leases in flight; n may be negative. The caller holds the lock.
func (d *ladder) count(b *Backend, n int32) {
	if n > 0 {
		b.place.leases += int64(n)
	}
	b.place.inFlight += n
	d.move(b)
}

// absorbOffLadder has b's ladder count those in flight that were counted off it, too. The
// caller holds the ladder's lock.
func (b *Backend) absorbOffLadder() {
	started, ended := b.workOffLadder()
	b.ended.Add(started - ended)
	b.place.inFlight += int32(started - ended)
}

// move puts b on the rung of its load, looking for it from the one where it stood.
func (d *ladder) move(b *Backend) {
	from, load := b.place.rung, b.place.load()
	d.takeFromRung(b)
	at := from
	for at.load > load {
		at = at.below
	}
	d.insertAt(b, load, at)
	d.removeIfEmpty(from)
}

// insertAt puts b on the rung of load, looking for it upwards from at, which must not be
// above it.
func (d *ladder) insertAt(b *Backend, load float64, at *rung) {
	for at.above != nil && at.above.load <= load {
		at = at.above
	}
	if at.load != load {
		at = d.insertRung(at, load)
	}
	b.place.rung, b.place.at = at, uint32(len(at.members))
	at.members = append(at.members, b)
}

// takeFromRung takes b off its rung, where the last member fills the gap.
func (d *ladder) takeFromRung(b *Backend) {
	r := b.place.rung
	last := len(r.members) - 1
	moved := r.members[last]
	r.members[last] = nil
	if moved != b {
		r.members[b.place.at] = moved
		moved.place.at = b.place.at
	}
	r.members = r.members[:last]
}

// insertRung adds a rung for load just above at.
func (d *ladder) insertRung(at *rung, load float64) *rung {
	r := d.spare
	if r == nil {
		r = &rung{}
	} else {
		d.spare = r.above
	}
	r.load, r.below, r.above = load, at, at.above
	if at.above != nil {
		at.above.below = r
	}
	at.above = r
	return r
}

// removeIfEmpty removes r if no backend stands on it.
func (d *ladder) removeIfEmpty(r *rung) {
	if len(r.members) > 0 {
		return
	}
	r.below.above = r.above
	if r.above != nil {
		r.above.below = r.below
	}
	r.below, r.above = nil, d.spare
	d.spare = r
}

// untried is a member that is not in tried, looking from index at on, round to it; nil if
// there is none.
func (r *rung) untried(at int, tried []*Backend) *Backend {
	for range r.members {
		if b := r.members[at]; !slices.Contains(tried, b) {
			return b
		}
		if at++; at == len(r.members) {
			at = 0
		}
	}
	return nil
}
