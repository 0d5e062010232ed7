package proxy

import (
	"testing"
	"time"
)

func TestBudget(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	taken := func(b *budget, share float64, requests int64, wanted int) (n int) {
		for range wanted {
			if b.take(share, requests, now) {
				n++
			}
		}
		return n
	}
	t.Run("the floor alone", func(t *testing.T) {
		if n := taken(&budget{}, 0.2, 0, 1000); n != 100 {
			t.Errorf("%d second tries without traffic, want the floor of ten seconds, 100", n)
		}
	})
	t.Run("a share of the requests on top", func(t *testing.T) {
		b := &budget{}
		b.take(0.2, 0, now)
		now = now.Add(time.Second)
		if n := taken(b, 0.2, 5000, 10_000); n != 1099 {
			t.Errorf("%d second tries after 5,000 requests, want 100 + 20%%, less one taken before", n)
		}
	})
	t.Run("a storm is held to the share", func(t *testing.T) {
		b, requests, tries := &budget{}, int64(0), 0
		for range 600 { // a minute in which every request fails and wants another try
			now = now.Add(100 * time.Millisecond)
			requests += 100
			tries += taken(b, 0.2, requests, 100)
		}
		if most := 60_000/5 + 60*budgetFloor + 200; tries > most || tries < most*3/4 {
			t.Errorf("%d second tries of 60,000 failing requests, want about %d", tries, most)
		}
	})
	t.Run("none when told so", func(t *testing.T) {
		if (&budget{}).take(-1, 1000, now) {
			t.Error("a second try under a budget of none")
		}
	})
}
