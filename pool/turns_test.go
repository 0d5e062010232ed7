package pool

import (
	"slices"
	"sync"
	"testing"
)

// collide has so many goroutines take so many turns each, and returns them all.
func collide(t *turns, goroutines, each int, n uint64) (all []uint64) {
	var mu sync.Mutex
	var own sync.WaitGroup
	for range goroutines {
		own.Go(func() {
			taken := make([]uint64, each)
			for i := range taken {
				s := t.borrow()
				taken[i] = t.take(s, n)
				t.giveBack(s)
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, taken...)
		})
	}
	own.Wait()
	return all
}

// held is the turns that stripes hold and have not dealt.
func (t *turns) held() (all []uint64) {
	for i := range t.stripes {
		b := t.stripes[i].block.Load()
		for k := range b & 0xff {
			all = append(all, b>>8+k)
		}
	}
	return all
}

func TestEveryTurnIsDealtOnce(t *testing.T) {
	for _, cores := range []int{1, 2, maxStripes} {
		d := newTurns(5, cores)
		all := collide(d, 8, 20_000, 7)
		all = append(all, d.held()...)
		slices.Sort(all)
		for i, turn := range all {
			if turn != 5+uint64(i) {
				t.Fatalf("%d cores: turn %d in place of %d: a turn was lost or dealt twice", cores, turn, 5+i)
			}
		}
		if end := 5 + uint64(len(all)); d.next.Load() != end {
			t.Fatalf("%d cores: the next turn is %d, want %d: those between were lost", cores, d.next.Load(), end)
		}
	}
}

func TestSequentialCallersStayInOrderAfterACollision(t *testing.T) {
	for _, n := range []uint64{1, 2, 3, 10, 33, 200, 255} {
		d := newTurns(0, 2)
		s := &d.stripes[1]
		size := blockSize(n)
		s.block.Store((d.next.Add(size)-size)<<8 | size)
		for want := range 3 * size {
			if got := d.take(s, n) % n; got != want%n {
				t.Fatalf("of %d the %dth turn after a collision is number %d's, want %d's: a block is whole rounds", n, want, got, want%n)
			}
		}
	}
}

func TestConcurrentRoundRobinIsExact(t *testing.T) {
	for _, n := range []int{3, 10, 100, 1000} {
		p := New(Config{})
		p.Update(endpoints(n))
		const goroutines, each = 8, 10_000
		var own sync.WaitGroup
		for range goroutines {
			own.Go(func() {
				for range each {
					l, err := p.Acquire(0, nil)
					if err != nil {
						t.Errorf("Acquire = %v, want a backend", err)
						return
					}
					l.Release()
				}
			})
		}
		own.Wait()
		share := float64(goroutines*each) / float64(n)
		// A stripe may hold back as much as a block of what was dealt; the rest is
		// the round that has begun.
		slack := float64(p.cores)*float64((blockSize(uint64(n))+uint64(n)-1)/uint64(n)) + 1
		for _, b := range p.Status().Backends {
			if got := float64(b.Requests); got < share-slack || got > share+slack {
				t.Errorf("%s got %.0f of %d among %d, want %.1f ± %.0f: a block a stripe", b.Address, got, goroutines*each, n, share, slack)
			}
			if b.InFlight != 0 {
				t.Errorf("%s has %d in flight at the end, want 0", b.Address, b.InFlight)
			}
		}
		seen := map[string]bool{}
		for range (2+p.cores)*n + p.cores*int(blockSize(uint64(n))) {
			seen[use(t, p, Success)] = true
		}
		if len(seen) != n {
			t.Errorf("one caller after a collision met %d of %d", len(seen), n)
		}
	}
}
