package pool

import (
	"math/rand/v2"
	"sync"
	"testing"
)

// crowded is a least_conn pool of so many, on several ladders.
func crowded(n int) *Pool {
	p := New(Config{Balance: LeastConn, Guard: Guard{Off: true}})
	p.leastConn = newLeastConn(2)
	p.Update(endpoints(n))
	return p
}

// TestLeastConnIsExactOverLadders takes and returns at random, and looks each time
// that nobody had less.
func TestLeastConnIsExactOverLadders(t *testing.T) {
	p := crowded(700)
	if !p.leastConn.spread {
		t.Fatal("700 backends stand on one ladder")
	}
	rng := rand.New(rand.NewPCG(1, 2))
	var held []Lease
	loads := map[*Backend]int{}
	check := func() {
		t.Helper()
		if err := p.leastConn.fault(p.view.Load().ready); err != nil {
			t.Fatal(err)
		}
	}
	for step := range 20_000 {
		if n := len(held); n > 0 && rng.IntN(100) < 45 {
			i := rng.IntN(n)
			loads[held[i].Backend()]--
			held[i].Release()
			held[i] = held[n-1]
			held = held[:n-1]
			continue
		}
		l := must(t, p)
		if step%50 == 0 {
			for _, b := range p.view.Load().ready {
				if loads[b] < loads[l.Backend()] {
					t.Fatalf("%s was picked with %d in flight while %s had %d", l.Backend().Address(), loads[l.Backend()], b.Address(), loads[b])
				}
			}
			check()
		}
		loads[l.Backend()]++
		held = append(held, l)
	}
	// Few remain, then many come.
	p.Update(endpoints(100))
	check()
	if p.leastConn.spread {
		t.Error("100 backends are spread over the ladders of 700")
	}
	p.Update(endpoints(1500))
	check()
	for _, l := range held {
		l.Release()
	}
	check()
}

// TestPicksAtOnceAreExact lets four take what they can: nobody gets more than
// another.
func TestPicksAtOnceAreExact(t *testing.T) {
	const rounds, size = 8, 600
	p := crowded(size)
	var pickers sync.WaitGroup
	for range 4 {
		pickers.Go(func() {
			for range rounds * size / 4 {
				if _, err := p.Acquire(0, nil); err != nil {
					t.Errorf("Acquire = %v", err)
				}
			}
		})
	}
	pickers.Wait()
	for _, b := range p.view.Load().ready {
		if n := b.InFlight(); n != rounds {
			t.Errorf("%s has %d in flight, want %d as all others", b.Address(), n, rounds)
		}
	}
}

// TestEqualsOnEveryLadderHaveTheirTurn: one who picks alone gets to them all.
func TestEqualsOnEveryLadderHaveTheirTurn(t *testing.T) {
	const mean, size = 256, 600
	p := crowded(size)
	got := map[*Backend]int{}
	for range mean * size {
		l := must(t, p)
		got[l.Backend()]++
		l.Release()
	}
	for _, b := range p.view.Load().ready {
		if n := got[b]; n < mean/4 || n > mean*3 {
			t.Errorf("%s was picked %d times, want about %d", b.Address(), n, mean)
		}
	}
}

// TestTriedOnesAreNotPickedAgain: the next is the least loaded of the others.
func TestTriedOnesAreNotPickedAgain(t *testing.T) {
	p := crowded(600)
	var tried []*Backend
	for range 600 {
		l, err := p.Acquire(0, tried)
		if err != nil {
			t.Fatalf("Acquire after %d = %v", len(tried), err)
		}
		if n := l.Backend().InFlight(); n != 1 {
			t.Fatalf("%s was picked with %d in flight, others had none", l.Backend().Address(), n-1)
		}
		tried = append(tried, l.Backend())
	}
	if _, err := p.Acquire(0, tried); err != ErrTried {
		t.Errorf("Acquire when all were tried = %v, want ErrTried", err)
	}
}

// TestLittleWorkIsSharedByWeight: one request at a time is not for the heaviest
// alone.
func TestLittleWorkIsSharedByWeight(t *testing.T) {
	p := New(Config{Balance: LeastConn})
	es := addresses("a:1", "b:1", "c:1")
	es[0].Weight, es[1].Weight = 5, 3
	p.Update(es)
	got := map[string]int{}
	for range 9000 {
		got[use(t, p, Success)]++
	}
	for a, want := range map[string]int{"a:1": 5000, "b:1": 3000, "c:1": 1000} {
		if n := got[a]; n < want-300 || n > want+300 {
			t.Errorf("idle %s got %d of 9000 that came one by one, want about %d", a, n, want)
		}
	}
}

// With a few requests at a time, fewer than there are backends, weights hold too, and
// those of a crowd on several ladders.
func TestWeightsHoldAtAnyLoad(t *testing.T) {
	for _, c := range []struct {
		name        string
		heavy, rest float64
		others      int
		atOnce      int
	}{
		{"2:1:1, one at a time", 2, 1, 2, 1},
		{"2:1:1", 2, 1, 2, 3},
		{"3:1", 3, 1, 1, 2},
		{"10:1", 10, 1, 1, 4},
		{"10 and ten", 10, 1, 10, 10},
		{"100 and a hundred", 100, 1, 100, 5},
		{"100 and 600", 100, 1, 600, 5},
		{"1 and ten of 5", 1, 5, 10, 4},
	} {
		p := New(Config{Balance: LeastConn, Guard: Guard{Off: true}})
		es := endpoints(c.others + 1)
		for i := range es {
			es[i].Weight = c.rest
		}
		es[0].Weight = c.heavy
		p.Update(es)
		r := rand.New(rand.NewPCG(1, 2))
		var held []Lease
		const n = 20_000
		got := 0
		for range n {
			if len(held) == c.atOnce {
				i := r.IntN(len(held))
				held[i].Release()
				held[i] = held[len(held)-1]
				held = held[:len(held)-1]
			}
			l := must(t, p)
			if l.Backend().Address() == es[0].Address {
				got++
			}
			held = append(held, l)
		}
		want := c.heavy / (c.heavy + c.rest*float64(c.others))
		if share := float64(got) / n; share < want*0.7 || share > want*1.6 {
			t.Errorf("%s: the first got %.3f of what came %d at a time, want about %.3f", c.name, share, c.atOnce, want)
		} else {
			t.Logf("%s: %.3f of %.3f", c.name, share, want)
		}
	}
}
