package pool

import (
	"sync"
	"sync/atomic"
)

// turns are dealt out one after another, each once. As long as no two cores
// want one in the same instant they come in order, from one counter. Cores that
// collide there take whole blocks: each keeps one in a stripe of its own, and
// uses it up before it comes back to the counter.
type turns struct {
	next    atomic.Uint64 // the first that nobody has
	_       [56]byte
	stripes []stripe
	given   atomic.Uint32 // stripes, to cores that had none
	cores   sync.Pool     // of *stripe: what a core puts back it mostly gets again
}

// stripe is a block of turns, on a cache line of its own.
type stripe struct {
	block atomic.Uint64 // the first turn << 8 | how many
	core  int           // which stripe it is
	_     [48]byte
}

const (
	// maxStripes are enough: more cores than that share them.
	maxStripes = 16
	// blockTurns is the least in a block. Whole rounds, where they fit in, keep
	// the order unbroken from the end of a block to whatever comes next.
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

// near is the calling core's stripe, until it leaves it.
func (t *turns) near() *stripe {
	s, _ := t.cores.Get().(*stripe)
	if s == nil {
		s = &t.stripes[t.given.Add(1)%uint32(len(t.stripes))]
	}
	return s
}

func (t *turns) leave(s *stripe) { t.cores.Put(s) }

// take deals one turn, of rounds of n, to who is at s.
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
		return t.next.Add(1) - 1 // somebody else is at this stripe
	}
	size := blockSize(n)
	turn = t.next.Add(size) - size
	s.block.Store((turn+1)<<8 | (size - 1))
	return turn
}

// blockSize is whole rounds of n, if they fit in.
func blockSize(n uint64) uint64 {
	if n > 0xff {
		return blockTurns
	}
	return (blockTurns + n - 1) / n * n
}
