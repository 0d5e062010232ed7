package static

import (
	"context"
	"errors"
	"testing"

	"portside/discovery"
)

func TestHandsOverTheListOnceSorted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	given := []discovery.Endpoint{{Address: "b:1"}, {Address: "a:1"}}
	s := New(given)
	calls := 0
	err := s.Run(ctx, func(es []discovery.Endpoint) {
		calls++
		if len(es) != 2 || es[0].Address != "a:1" || es[1].Address != "b:1" {
			t.Errorf("update got %v, want the list sorted by address", es)
		}
		cancel()
	})
	if !errors.Is(err, context.Canceled) || calls != 1 {
		t.Fatalf("Run = %v after %d updates, want one update and the context's error", err, calls)
	}
	if given[0].Address != "b:1" {
		t.Fatal("New reordered the caller's slice")
	}
	if st := s.Status(); st.State != discovery.Synced {
		t.Fatalf("state %s, want synced", st.State)
	}
}
