package pool

import (
	"sync"
	"sync/atomic"
)

// turns are numbers that are dealt out one after another, each once. As long as no two
// cores want one in the same instant they come in order, from one counter. Cores that
// collide there take whole blocks: each keeps one in a stripe of its own, and uses it up
// before it comes back to the counter.
type turns struct {
	next    atomic.Uint64 // the first turn that is not dealt out
	_       [56]byte
	stripes []stripe
	given   atomic.Uint32 // stripes given to cores that had none
	cores   sync.Pool     // of *stripe; a core mostly gets again what it has put back
}

// stripe is a block of turns, on a cache line of its own.
type stripe struct {
	block atomic.Uint64 // its first turn << 8 | how many are left
	core  int           // index of the stripe
	_     [48]byte
}

const (
	// maxStripes bounds the stripes; more cores than that share them.
	maxStripes = 16
	// blockTurns is the least in a block; see blockSize.
	blockTurns = 32
	// dealing is the block of a stripe that is being filled.
	dealing = 1<<64 - 1<<8
)

func newTurns(first uint64, cores int) *turns {
	t := &turns{stripes: make([]stripe, cores)}
	for i := range t.stripes {
		t.stripes[i].core = i
	}
	t.next.Store(first)
	return t
}

// borrow is the calling core's stripe, until it is given back.
func (t *turns) borrow() *stripe {
	s, _ := t.cores.Get().(*stripe)
	if s == nil {
		s = &t.stripes[t.given.Add(1)%uint32(len(t.stripes))]
	}
	return s
}

func (t *turns) giveBack(s *stripe) { t.cores.Put(s) }

// take deals one turn, of rounds of n, to the core that has borrowed s.
func (t *turns) take(s *stripe, n uint64) uint64 {
	b := s.block.Load()
	if b&0xff > 0 && s.block.CompareAndSwap(b, b+1<<8-1) {
		return b >> 8
	}
	turn := t.next.Load()
	if t.next.CompareAndSwap(turn, turn+1) {
		return turn
	}
	if b&0xff > 0 || b == dealing || !s.block.CompareAndSwap(b, dealing) {
		return t.next.Add(1) - 1 // another core is at this stripe
	}
	size := blockSize(n)
	turn = t.next.Add(size) - size
	s.block.Store((turn+1)<<8 | (size - 1))
	return turn
}

// blockSize is how many turns a block has: whole rounds of n where they fit, so that the
// order is unbroken from the end of one block to whatever comes next.
func blockSize(n uint64) uint64 {
	if n > 0xff {
		return blockTurns
	}
	return (blockTurns + n - 1) / n * n
}
