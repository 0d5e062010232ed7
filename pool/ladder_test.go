package pool

import (
	"fmt"
	"math"
	"testing"

	"pgregory.net/rapid"
)

// fault says what is wrong with the ladders, if they should hold just ready.
func (l *leastConn) fault(ready []*Backend) error {
	l.lock()
	defer l.unlock()
	wanted := map[*Backend]bool{}
	for _, b := range ready {
		wanted[b] = true
	}
	for i := range l.ladders {
		d := &l.ladders[i]
		if err := d.fault(wanted); err != nil {
			return fmt.Errorf("ladder %d: %w", i, err)
		}
		low := uint64(noLoad)
		if d.floor.above != nil {
			low = math.Float64bits(d.floor.above.load)
		}
		if shown := l.lows[i].Load(); shown != low {
			return fmt.Errorf("ladder %d shows a load of %v, has %v", i, math.Float64frombits(shown), math.Float64frombits(low))
		}
	}
	if len(wanted) > 0 {
		return fmt.Errorf("%d of %d ready ones are on no ladder", len(wanted), len(ready))
	}
	return nil
}

// fault says what is wrong with d, if only those in wanted may be on it, and takes
// those that are out of wanted.
func (d *ladder) fault(wanted map[*Backend]bool) error {
	if len(d.floor.members) > 0 {
		return fmt.Errorf("somebody stands on the floor")
	}
	below, size := &d.floor, 0
	for r := d.floor.above; r != nil; below, r = r, r.above {
		if r.below != below || r.load <= below.load || len(r.members) == 0 {
			return fmt.Errorf("the rung of load %v with %d members stands above that of %v: loads must ascend, and nobody's rung goes", r.load, len(r.members), below.load)
		}
		for i, b := range r.members {
			n := &b.place
			started, ended := b.workOffLadder()
			switch {
			case !wanted[b]:
				return fmt.Errorf("%s stands there twice, or is not ready", b.address)
			case n.rung != r || n.at != uint32(i) || b.ladder.Load() != d:
				return fmt.Errorf("%s does not know its place", b.address)
			case n.load() != r.load:
				return fmt.Errorf("%s has load %v and stands at %v", b.address, n.load(), r.load)
			case started != ended:
				return fmt.Errorf("%s has %d in flight that the ladder does not count", b.address, started-ended)
			case n.weight != b.effectiveWeight():
				return fmt.Errorf("%s stands by weight %v, has %v", b.address, n.weight, b.effectiveWeight())
			}
			delete(wanted, b)
			size++
		}
	}
	if d.size != size {
		return fmt.Errorf("%d stand there, not %d", size, d.size)
	}
	for r := d.spare; r != nil; r = r.above {
		if len(r.members) > 0 {
			return fmt.Errorf("a spare rung has %d members", len(r.members))
		}
	}
	return nil
}

// TestLadderStaysInOrder changes weights and members under load.
func TestLadderStaysInOrder(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		p := New(Config{Balance: LeastConn, Guard: Guard{Off: true}})
		es := endpoints(12)
		var held []Lease
		for range rapid.IntRange(1, 60).Draw(r, "steps") {
			switch rapid.IntRange(0, 4).Draw(r, "step") {
			case 0:
				es[rapid.IntRange(0, 11).Draw(r, "which")].Weight = rapid.SampledFrom([]float64{0.1, 0.3, 1, 1.5, 3, 100}).Draw(r, "weight")
				from := rapid.IntRange(0, 11).Draw(r, "from")
				p.Update(es[from:])
			case 1, 2:
				if l, err := p.Acquire(0, nil); err == nil {
					held = append(held, l)
				}
			case 3:
				if n := len(held); n > 0 {
					i := rapid.IntRange(0, n-1).Draw(r, "lease")
					held[i].Release()
					held = append(held[:i], held[i+1:]...)
				}
			default:
				for len(held) > 0 {
					held[0].Release()
					held = held[1:]
				}
			}
			v := p.view.Load()
			if err := v.picker.(*leastConn).fault(v.ready); err != nil {
				r.Fatal(err)
			}
		}
	})
}

// TestTheLadderHearsOfWorkCountedPastIt lets one who still holds the view from
// before least_conn pick and release after it.
func TestTheLadderHearsOfWorkCountedPastIt(t *testing.T) {
	for _, balance := range []Balance{RoundRobin, EWMA, Random, Hash} {
		p := New(Config{Balance: balance})
		p.Update(endpoints(3))
		early := must(t, p)
		old := p.view.Load().picker
		p.Reconfigure(Config{Balance: LeastConn})
		check := func(when string) {
			t.Helper()
			v := p.view.Load()
			if err := v.picker.(*leastConn).fault(v.ready); err != nil {
				t.Fatalf("%s, then least_conn, %s: %v", balance, when, err)
			}
		}
		check("at once")
		late, c := old.pick(1, nil)
		check("after a late pick")
		old.take(late)
		check("after a late trial")
		if n := late.InFlight(); n < 2 {
			t.Fatalf("%s, then least_conn: %d in flight after two late picks", balance, n)
		}
		old.release(late, c)
		old.release(late, nil)
		check("after late releases")
		early.Release()
		check("after the release of early work")
		for _, b := range p.Status().Backends {
			if b.InFlight != 0 {
				t.Fatalf("%s, then least_conn: %s has %d in flight at the end", balance, b.Address, b.InFlight)
			}
		}
	}
}
