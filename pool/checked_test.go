package pool

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// All backends of a list are checked when it comes, to know of each: that is no reason
// to check them together ever after.
func TestHealthChecksAreSpreadOverTheirInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n, interval, parts = 1000, 10 * time.Second, 10
		began := time.Now()
		var mu sync.Mutex
		var checks [4 * parts]int
		p := New(Config{Health: Health{Interval: interval}, Probe: func(context.Context, string) error {
			mu.Lock()
			defer mu.Unlock()
			if i := int(time.Since(began) / (interval / parts)); i < len(checks) {
				checks[i]++
			}
			return nil
		}})
		p.Update(endpoints(n))
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { p.Run(ctx) })
		time.Sleep(4 * interval)
		stop()
		running.Wait()
		if checks[0] < n {
			t.Errorf("%d of %d backends were checked at once, want all", checks[0], n)
		}
		for i, c := range checks[parts:] {
			if c > 2*n/parts {
				t.Errorf("%d of %d backends were checked within the same tenth of an interval, the %d., want some %d: %v", c, n, parts+i, n/parts, checks)
				break
			}
		}
	})
}

// Two failures within a moment are one: a server that is in etcd just before it listens
// must not be set aside for it.
func TestAFailedCheckIsNotMadeAgainAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const interval = 10 * time.Second
		began := time.Now()
		p := New(Config{Health: Health{Interval: interval, Fall: 2}, Probe: func(context.Context, string) error {
			if time.Since(began) < interval/4 {
				return errors.New("connection refused")
			}
			return nil
		}})
		p.Update(endpoints(100))
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { p.Run(ctx) })
		time.Sleep(interval / 2)
		ejected := 0
		for _, b := range p.Status().Backends {
			if b.State == Ejected {
				ejected++
			}
		}
		stop()
		running.Wait()
		if ejected > 0 {
			t.Errorf("%d of 100 are ejected that did not listen for a quarter of an interval, want none: two checks are to fail", ejected)
		}
	})
}
