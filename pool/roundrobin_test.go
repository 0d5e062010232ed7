package pool

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// rounds picks n times and counts who was chosen.
func rounds(p picker, n int) map[*Backend]int {
	got := map[*Backend]int{}
	for range n {
		b, c := p.pick(0, nil)
		p.release(b, c)
		got[b]++
	}
	return got
}

func weighted(ws []float64) (ready []*Backend, top, sum float64) {
	for i, w := range ws {
		ready = append(ready, newBackend(modelAddress(i), w))
		top, sum = max(top, w), sum+w
	}
	return ready, top, sum
}

func TestRoundRobinIsExactOverAWholeCycle(t *testing.T) {
	for _, ws := range [][]float64{{1, 1, 1}, {5, 1}, {3, 1, 0.2}, {15, 1, 5, 5}} {
		ready, top, _ := weighted(ws)
		r := newRoundRobin(nil, ready, weights(ready), 1) // starts anywhere
		want, cycle := make([]int, len(ws)), 0
		for i, w := range ws {
			want[i] = int(math.Round(strideTop * w / top))
			cycle += want[i]
		}
		got := rounds(r, cycle)
		for i, b := range ready {
			if got[b] != want[i] {
				t.Errorf("of weights %v the one of %v got %d of a cycle of %d, want exactly %d", ws, ws[i], got[b], cycle, want[i])
			}
		}
	}
}

func TestRoundRobinIsNeverFarFromTheShare(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		ws := rapid.SliceOfN(rapid.SampledFrom([]float64{1, 2, 3, 5, 15, 0.2}), 1, 12).Draw(r, "weights")
		n := rapid.IntRange(1, 5000).Draw(r, "picks")
		ready, _, sum := weighted(ws)
		got := rounds(newRoundRobin(nil, ready, weights(ready), 1), n)
		for i, b := range ready {
			// A partial round at each end, and one's own rounding.
			if share := float64(n) * ws[i] / sum; math.Abs(float64(got[b])-share) > 3 {
				r.Fatalf("the one of weight %v has %d of %d, want %.1f ± 3", ws[i], got[b], n, share)
			}
		}
	})
}

// Second tries of what a heavy backend has failed are spread as well.
func TestWeightedSecondTriesAreSpread(t *testing.T) {
	es := endpoints(11)
	es[10].Weight = 100
	p := New(Config{})
	p.Update(es)
	heavy := p.find(es[10].Address)
	got := map[string]int{}
	const tries = 1000
	for range tries {
		l, err := p.Acquire(0, []*Backend{heavy})
		if err != nil {
			t.Fatal(err)
		}
		got[l.Backend().Address()]++
		l.Release()
	}
	for address, n := range got {
		if n > 2*tries/10 {
			t.Errorf("%s got %d of %d, want about a tenth", address, n, tries)
		}
	}
}

// However many light ones there are, their turns do not all come at once, nor the
// heavy one's.
func TestRoundRobinSpreadsManyEquals(t *testing.T) {
	for _, c := range []struct {
		n           int
		heavy       float64
		run, absent int // picks of the heavy one in a row, and of others between two of it, at the most
	}{
		{100, 100, 3, 4},
		{1000, 100, 2, 20},
		{100, 10, 2, 20},
	} {
		ws := make([]float64, c.n)
		for i := range ws {
			ws[i] = 1
		}
		ws[0] = c.heavy
		ready, _, _ := weighted(ws)
		r := newRoundRobin(nil, ready, weights(ready), 1)
		run, gap, worstRun, worstGap, seen := 0, 0, 0, 0, false
		for range 20 * c.n {
			b, cell := r.pick(0, nil)
			r.release(b, cell)
			if b == ready[0] {
				run, gap, seen = run+1, 0, true
			} else if run, gap = 0, gap+1; seen {
				worstGap = max(worstGap, gap)
			}
			worstRun = max(worstRun, run)
		}
		if worstRun > c.run || worstGap > c.absent {
			t.Errorf("one of weight %v among %d: up to %d times in a row and up to %d others between, want at most %d and %d", c.heavy, c.n, worstRun, worstGap, c.run, c.absent)
		}
	}
}
