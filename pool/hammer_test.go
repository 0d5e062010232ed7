package pool

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestPoolUnderEverythingAtOnce changes all that can be changed while many pick,
// and holds the pool to its promises at the end, and to the first of them all
// along: nobody is sent away while somebody could serve.
func TestPoolUnderEverythingAtOnce(t *testing.T) {
	policies := []Balance{RoundRobin, LeastConn, EWMA, LeastConn, Random, LeastConn, Hash, LeastConn}
	for _, mode := range []struct {
		name   string
		change func(p *Pool, i int)
	}{
		{"weights", func(p *Pool, i int) {
			es := endpoints(20)
			es[i%20].Weight = float64(i%5) + 0.5
			p.Update(es)
			p.Reconfigure(Config{Balance: []Balance{EWMA, Hash, LeastConn}[i/50%3], Guard: Guard{Off: true}})
		}},
		{"policies", func(p *Pool, i int) {
			p.Reconfigure(Config{Balance: policies[i%len(policies)], Guard: Guard{Off: true}})
		}},
		{"members", func(p *Pool, i int) {
			p.Update(endpoints(1 + i%20))
			p.Reconfigure(Config{Balance: policies[i/10%len(policies)], Guard: Guard{Off: i%3 == 0}, Eject: Eject{Backoff: time.Millisecond}})
			a := endpoints(20)[1+i%19].Address // never the only one
			_ = p.Drain(a)
			_ = p.Undrain(a)
		}},
	} {
		t.Run(mode.name, func(t *testing.T) { hammer(t, mode.change) })
	}
}

func hammer(t *testing.T, change func(p *Pool, i int)) {
	p := New(Config{Balance: LeastConn, Probe: func(context.Context, string) error { return nil }})
	p.Update(endpoints(20))
	ctx, cancel := context.WithCancel(t.Context())
	var run, pickers sync.WaitGroup
	run.Go(func() { _ = p.Run(ctx) })
	var met sync.Map
	var stop atomic.Bool
	for g := range 4 {
		pickers.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(g), 1))
			var held [8]Lease
			for i := 0; !stop.Load(); i++ {
				h := &held[rng.IntN(len(held))]
				if h.backend != nil {
					h.Report([]Outcome{Success, Success, Success, Refused, Reset, Unknown}[rng.IntN(6)])
					h.Release()
					h.backend = nil
				}
				l, err := p.Acquire(rng.Uint64(), nil)
				if err != nil {
					t.Errorf("Acquire = %v while there were backends", err)
					break
				}
				met.Store(l.Backend(), true)
				l.Latency(time.Millisecond, time.Now())
				*h = l
			}
			for i := range held {
				if held[i].backend != nil {
					held[i].Release()
				}
			}
		})
	}
	for i, end := 0, time.Now().Add(400*time.Millisecond); time.Now().Before(end) && !t.Failed(); i++ {
		change(p, i)
	}
	stop.Store(true)
	pickers.Wait()
	cancel()
	run.Wait()
	met.Range(func(b, _ any) bool {
		if n := b.(*Backend).InFlight(); n != 0 {
			t.Errorf("%s has %d in flight at the end, want 0", b.(*Backend).Address(), n)
		}
		return true
	})
	if err := p.fault(); err != nil {
		t.Error(err)
	}
	p.Reconfigure(Config{Balance: LeastConn})
	v := p.view.Load()
	if err := v.picker.(*leastConn).fault(v.ready); err != nil {
		t.Error(err)
	}
}
