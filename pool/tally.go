package pool

import "sync/atomic"

// tally counts the work of some backends separately for each core, so that cores that
// use the same backend need not fetch one another's cache lines. It is for policies that
// only count and never look at the counts while they pick: the sum takes a look at each
// core's.
type tally struct {
	cores [][tallyColumns]cell
}

// cell is the work of one backend that one core has begun, wherever it ended.
type cell struct {
	begun atomic.Int64
	done  atomic.Int64
}

// tallyColumns is the number of backends of a tally: whole cache lines for each
// core.
const tallyColumns = 64

// assignCell gives b a place in a tally if the policy wants that and it has none. The
// caller holds p.mu.
func (p *Pool) assignCell(b *Backend) {
	if p.cfg.Balance != RoundRobin || b.tally.Load() != nil {
		return
	}
	if p.tally == nil {
		p.tally, p.columns = &tally{make([][tallyColumns]cell, p.cores)}, 0
	}
	b.column = p.columns
	b.tally.Store(p.tally)
	if p.columns++; p.columns == tallyColumns {
		p.tally = nil
	}
}

// takeIn counts one more on b, in the core's cell if b has any, and returns that cell.
func (b *Backend) takeIn(core int) *cell {
	t := b.tally.Load()
	if t == nil {
		counting{}.take(b)
		return nil
	}
	c := &t.cores[core][b.column]
	c.begun.Add(1)
	b.reconcileLadder()
	return c
}

func (t *tally) begun(column uint32) (n int64) {
	for i := range t.cores {
		n += t.cores[i][column].begun.Load()
	}
	return n
}

func (t *tally) done(column uint32) (n int64) {
	for i := range t.cores {
		n += t.cores[i][column].done.Load()
	}
	return n
}
