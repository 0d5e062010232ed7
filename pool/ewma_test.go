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

func TestEWMAIsNotDrawnToFastFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Config{Balance: EWMA, Eject: Eject{Consecutive: -1}})
		p.Update(addresses("a:1", "b:1", "failing:1"))
		for i := range 3000 {
			l := must(t, p)
			d, o := 10*time.Millisecond, Success
			if l.Backend().Address() == "failing:1" && i%2 == 0 {
				d, o = time.Millisecond, ServerError
			}
			time.Sleep(d)
			l.Latency(d, time.Now())
			l.Report(o)
			l.Release()
		}
		if got := state(t, p, "failing:1").Requests; got > 600 {
			t.Fatalf("failing half of its requests, fast, it got %d of 3000: want far less than a third", got)
		}
	})
}
