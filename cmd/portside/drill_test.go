package main

import (
	"strings"
	"testing"

	"portside/cmd/portside/admin"
	"portside/pool"
)

// What drill foretells is what the guard does, and said of one it is said of one.
func TestDrillSaysWhatTheGuardDoes(t *testing.T) {
	for _, c := range []struct {
		states []pool.State
		off    bool
		want   [3]string // etcd away, emptied, half of the keys gone
	}{
		{nil, false, [3]string{"its 0 backends stand;", "nothing to lose", "nothing to lose"}},
		{[]pool.State{pool.Active}, false, [3]string{"its one backend stands;", "the one leaves at once: one is never a mass", "one is never a mass"}},
		{[]pool.State{pool.Active, pool.Ejected}, false, [3]string{"its 2 backends stand;", "the 2 become suspects", "one is never a mass"}},
		{[]pool.State{pool.Active, pool.Active, pool.Active, pool.Active}, false, [3]string{"its 4 backends", "the 4 become suspects", "the 2 leave at once: no more than 50% of 4"}},
		{[]pool.State{pool.Active, pool.Active, pool.Draining}, false, [3]string{"its 3 backends", "the 2 become suspects: each stays while it answers probes, for 10m0s at most; the one that is draining leaves at once", "one is never a mass"}},
		{[]pool.State{pool.Active, pool.Active}, true, [3]string{"its 2 backends", "the 2 leave at once: the guard is off", "one is never a mass"}},
	} {
		s := admin.Service{Name: "orders", Guard: admin.Guard{Off: c.off, MaxLeave: 0.5, SuspectMax: "10m0s"}}
		s.Discovery.Source = "etcd"
		for _, state := range c.states {
			s.Backends = append(s.Backends, admin.Backend{State: state})
		}
		for i, want := range c.want {
			if got := drill(s).Cases[i]; !strings.Contains(got.Then, want) {
				t.Errorf("of %v: if %s, %q, want %q", c.states, got.If, got.Then, want)
			}
		}
	}
}
