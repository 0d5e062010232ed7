package pool

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"
)

// ladder holds backends in order of load, a rung for each distinct one,
// ascending. To take one of the lowest, to move one up and to move one down cost
// a few steps however many there are.
//
// It fills whole cache lines, so that who works on one is alone with it.
type ladder struct {
	mu    sync.Mutex
	low   uint64         // load of the lowest rung, in bits that compare as it does
	shown *atomic.Uint64 // low, for those without the lock
	size  int            // backends on it; guarded by pool.mu
	spare *rung          // emptied rungs, kept for their memory
	_     [24]byte
	floor rung // below the lowest, always empty
}

// footing is a backend's place on its ladder, and its work since it came to stand
// there. The ladder's lock guards it.
type footing struct {
	rung     *rung
	weight   float64
	leases   int64
	inFlight int32 // of before too
	at       uint32
}

// rung holds the backends that are equally loaded.
type rung struct {
	load         float64
	members      []*Backend
	above, below *rung
	_            [16]byte // to a cache line
}

// nobody is the low of a ladder without backends.
const nobody = math.MaxUint64

// load is what one more would make of n: (in flight + 1) ÷ weight.
func (n *footing) load() float64 {
	load := float64(n.inFlight + 1)
	if n.weight == 1 {
		return load
	}
	return load / n.weight
}

// hold locks the ladder b stands on. It is nil if b stands on none.
func (b *Backend) hold() *ladder {
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

func (d *ladder) unlock() {
	low := uint64(nobody)
	if r := d.floor.above; r != nil {
		low = math.Float64bits(r.load)
	}
	if low != d.low {
		d.low = low
		d.shown.Store(low)
	}
	d.mu.Unlock()
}

// count makes b's leases in flight n more.
func (d *ladder) count(b *Backend, n int32) {
	if n > 0 {
		b.footing.leases += int64(n)
	}
	b.footing.inFlight += n
	d.move(b)
}

// absorb counts here what of b is in flight and counted elsewhere.
func (b *Backend) absorb() {
	started, ended := b.elsewhere()
	b.ended.Add(started - ended)
	b.footing.inFlight += int32(started - ended)
}

// move puts b where its load belongs, looking from where it stood.
func (d *ladder) move(b *Backend) {
	from, load := b.footing.rung, b.footing.load()
	d.drop(b)
	at := from
	for at.load > load {
		at = at.below
	}
	d.stand(b, load, at)
	d.sweep(from)
}

// stand puts b on the rung of load, looking upward from at, which must not be
// above it.
func (d *ladder) stand(b *Backend, load float64, at *rung) {
	for at.above != nil && at.above.load <= load {
		at = at.above
	}
	if at.load != load {
		at = d.insert(at, load)
	}
	b.footing.rung, b.footing.at = at, uint32(len(at.members))
	at.members = append(at.members, b)
}

// drop takes b off its rung; the last member fills its place.
func (d *ladder) drop(b *Backend) {
	r := b.footing.rung
	last := len(r.members) - 1
	moved := r.members[last]
	r.members[last] = nil
	if moved != b {
		r.members[b.footing.at] = moved
		moved.footing.at = b.footing.at
	}
	r.members = r.members[:last]
}

// insert adds a rung for load just above at.
func (d *ladder) insert(at *rung, load float64) *rung {
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

// sweep removes r if nobody stands on it.
func (d *ladder) sweep(r *rung) {
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

// untried is one of r that is not in tried, looking from at; nil if there is
// none.
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
