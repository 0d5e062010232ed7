package pool

import (
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"portside/discovery"
)

func TestUpdateTakesListsInAnyOrder(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		p := New(Config{Guard: Guard{Off: true}})
		known := map[string]*Backend{}
		for range rapid.IntRange(1, 8).Draw(r, "updates") {
			es := drawEndpoints(r)
			p.Update(es)
			want := map[string]discovery.Endpoint{}
			for _, e := range es {
				if _, twice := want[e.Address]; !twice {
					want[e.Address] = e
				}
			}
			if got, want := slices.Collect(addressesOf(p)), slices.Sorted(maps.Keys(want)); !slices.Equal(got, want) {
				r.Fatalf("after an update the pool has %v, want %v", got, want)
			}
			for _, b := range p.backends {
				if !b.endpoint.Equal(want[b.address]) {
					r.Fatalf("%s is %+v, want the first of its address, %+v", b.address, b.endpoint, want[b.address])
				}
				if old := known[b.address]; old != nil && old != b && !old.Left() {
					r.Fatalf("%s lost its identity in an update that kept it", b.address)
				}
				known[b.address] = b
			}
			if err := p.fault(); err != nil {
				r.Fatal(err)
			}
			// What becomes of the list is its owner's business.
			for i := range es {
				es[i] = discovery.Endpoint{Address: "overwritten"}
			}
		}
	})
}

// drawEndpoints is mostly what it was, of few addresses, at times out of order or
// with one twice.
func drawEndpoints(r *rapid.T) []discovery.Endpoint {
	var es []discovery.Endpoint
	for i := range 9 {
		if rapid.IntRange(0, 5).Draw(r, "there") == 0 {
			continue
		}
		e := discovery.Endpoint{Address: modelAddress(i), Weight: 2, Keys: []string{"k"}, Metadata: map[string]string{"a": "b"}}
		switch rapid.IntRange(0, 12).Draw(r, "kind") {
		case 0:
			e.Weight = 3
		case 1:
			e.Metadata["a"] = "c"
		case 2:
			e.Keys = []string{"k", "l"}
		case 3:
			e.Draining = true
		case 4:
			es = append(es, e)
			e.Zone = "second"
		}
		es = append(es, e)
	}
	if rapid.IntRange(0, 3).Draw(r, "shuffle") == 0 {
		// Those of one address stay in order, or the first would be another.
		slices.SortStableFunc(es, func(a, b discovery.Endpoint) int { return -byAddress(a, b) })
	}
	return es
}

func addressesOf(p *Pool) func(func(string) bool) {
	return func(yield func(string) bool) {
		for _, b := range p.backends {
			if !yield(b.address) {
				return
			}
		}
	}
}

func TestAnEqualListChangesNothing(t *testing.T) {
	for _, balance := range []Balance{RoundRobin, LeastConn, Hash} {
		p := New(Config{Balance: balance})
		p.Update(endpoints(100))
		v := p.view.Load()
		p.Update(endpoints(100)) // the same in other memory
		if p.view.Load() != v {
			t.Fatalf("%s: a list that says the same made a new view", balance)
		}
		es := endpoints(100)
		es[50].Zone = "z"
		p.Update(es)
		if p.view.Load() != v {
			t.Fatalf("%s: a zone that no policy asks for made a new view", balance)
		}
		if got := state(t, p, es[50].Address); got.Zone != "z" {
			t.Fatalf("%s: zone %q, want the new one", balance, got.Zone)
		}
		_ = p.Drain(es[3].Address)
		_ = p.Undrain(es[3].Address)
		if got := len(p.view.Load().ready); got != 100 {
			t.Fatalf("%s: %d to choose from after one was drained and undrained, want 100", balance, got)
		}
	}
}

func TestHashKeepsItsChoicesThroughOthersChanges(t *testing.T) {
	p := New(Config{Balance: Hash, Guard: Guard{Off: true}})
	es := endpoints(50)
	for i := range 40 {
		p.Update(slices.Delete(slices.Clone(es), i, i+1+i%3))
		v := p.view.Load()
		fresh := newRendezvous(nil, v.ready, v.weights)
		if !slices.Equal(v.picker.(*rendezvous).seeds, fresh.seeds) {
			t.Fatal("seeds taken over from the last view differ from those of the addresses")
		}
	}
}
