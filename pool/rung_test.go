package pool

import (
	"math"
	"slices"
	"testing"
	"unsafe"

	"pgregory.net/rapid"
)

// TestRungIsASet moves nodes between two rungs, and holds both to plain sets.
func TestRungIsASet(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		const n = 1300 // three leaves
		l := &leastConn{nodes: make([]node, n)}
		rungs := [2]*rung{{}, {}}
		sets := [2]map[uint32]bool{{}, {}}
		for i := range uint32(n) {
			l.add(rungs[0], i)
			sets[0][i] = true
		}
		for range rapid.IntRange(1, 20).Draw(r, "moves") {
			from := rapid.IntRange(0, 1).Draw(r, "from")
			first := rapid.Uint32Range(0, n-1).Draw(r, "first")
			for i := first; i < min(n, first+rapid.SampledFrom([]uint32{1, 3, 600, n}).Draw(r, "many")); i++ {
				if sets[from][i] {
					l.drop(i)
					l.add(rungs[1-from], i)
					delete(sets[from], i)
					sets[1-from][i] = true
				}
			}
			for k, rung := range rungs {
				holdTo(r, rung, sets[k], rapid.Uint32Range(0, 2*n).Draw(r, "at"))
			}
		}
	})
}

// holdTo holds a rung to the set that it should be, looking from at.
func holdTo(r *rapid.T, g *rung, set map[uint32]bool, at uint32) {
	var want []uint32
	for i := range set {
		want = append(want, i)
	}
	slices.Sort(want)
	if got := g.members(); !slices.Equal(got, want) || int(g.count) != len(want) {
		r.Fatalf("a rung has %d members and counts %d, want %d", len(got), g.count, len(want))
	}
	if len(want) == 0 {
		return
	}
	next, _ := slices.BinarySearch(want, at)
	if got, want := g.from(at), want[next%len(want)]; got != want {
		r.Fatalf("the first from %d is %d, want %d", at, got, want)
	}
	nth := int(at) % len(want)
	if got := g.nth(uint32(nth)); got != want[nth] {
		r.Fatalf("number %d is %d, want %d", nth, got, want[nth])
	}
}

func TestTiesAreNotDrawnToTheEndOfAGap(t *testing.T) {
	for _, members := range [][]uint32{{0, 99}, {0, 1, 50}, {7, 600, 601}} {
		l := newLeastConn()
		l.nodes = make([]node, 1000)
		r := &rung{}
		for _, i := range members {
			l.add(r, i)
		}
		got := map[uint32]float64{}
		for range 6000 {
			got[l.anywhere(r)]++
		}
		share := 6000 / float64(len(members))
		for _, i := range members {
			if math.Abs(got[i]-share) > 300 {
				t.Errorf("of %v number %d was drawn %.0f of 6000 times, want %.0f ± 300: those after a gap would get the work of all in it", members, i, got[i], share)
			}
		}
	}
}

func TestLeastConnCountsMoreThanANodeCan(t *testing.T) {
	p := New(Config{Balance: LeastConn})
	p.Update(addresses("a:1"))
	p.ladder.nodes[0].leases = 1<<31 - 2
	var held []Lease
	for range 4 {
		held = append(held, must(t, p))
	}
	if got := state(t, p, "a:1"); got.Requests != 1<<31+2 || got.InFlight != 4 {
		t.Fatalf("%d requests, %d in flight, want %d and 4", got.Requests, got.InFlight, 1<<31+2)
	}
	for i := range held {
		held[i].Release()
	}
	if err := p.ladder.fault(p.view.Load().ready); err != nil {
		t.Fatal(err)
	}
}

func TestWhatPicksTouchFillsCacheLines(t *testing.T) {
	for what, size := range map[string]uintptr{
		"a Backend": unsafe.Sizeof(Backend{}), "a rung": unsafe.Sizeof(rung{}), "a leaf": unsafe.Sizeof(leaf{}), "a stripe": unsafe.Sizeof(stripe{}),
	} {
		if size != 64 {
			t.Errorf("%s has %d bytes, want a cache line of 64", what, size)
		}
	}
	p := New(Config{})
	p.Update(endpoints(100))
	for _, b := range p.backends {
		if at := uintptr(unsafe.Pointer(b)); at%64 != 0 {
			t.Fatalf("a Backend lies at %#x, across two cache lines", at)
		}
	}
}
