package pool

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestEWMATriesTheSlowAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Config{Balance: EWMA})
		p.Update(addresses("a:1", "b:1", "slow:1"))
		slow, late := time.Second, 0
		for i := range 18_000 {
			l := must(t, p)
			d := 10 * time.Millisecond
			if l.Backend().Address() == "slow:1" {
				d, slow = slow, 10*time.Millisecond // slow but once
				if i >= 12_000 {
					late++
				}
			}
			time.Sleep(d)
			l.Latency(d, time.Now())
			l.Report(Success)
			l.Release()
		}
		if late < 1000 {
			t.Fatalf("two minutes after it was slow once it got %d of 6000 requests, want about a third", late)
		}
	})
}
