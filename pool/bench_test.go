package pool

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"portside/discovery"
)

func endpoints(n int) []discovery.Endpoint {
	es := make([]discovery.Endpoint, n)
	for i := range es {
		es[i] = discovery.Endpoint{Address: fmt.Sprintf("10.0.%03d.%03d:80", i>>8&255, i&255), Keys: []string{fmt.Sprint("k", i)}}
	}
	return es
}

// BenchmarkAcquireRelease is the cost of one piece of work, all cores picking.
func BenchmarkAcquireRelease(b *testing.B) {
	for _, balance := range []Balance{RoundRobin, LeastConn, EWMA, Random, Hash} {
		for _, n := range []int{10, 1000, 10_000} {
			b.Run(fmt.Sprintf("%s/%d", balance, n), func(b *testing.B) {
				p := New(Config{Balance: balance})
				p.Update(endpoints(n))
				b.ReportAllocs()
				b.RunParallel(func(pb *testing.PB) {
					key := uint64(0)
					for pb.Next() {
						key++
						l, err := p.Acquire(key%1000, nil)
						if err != nil {
							b.Error(err)
							return
						}
						l.Report(Success)
						l.Release()
					}
				})
			})
		}
	}
}

// BenchmarkAcquireHeld is the same with 32 leases held by each core, so that
// loads differ.
func BenchmarkAcquireHeld(b *testing.B) {
	for _, balance := range []Balance{RoundRobin, LeastConn} {
		b.Run(string(balance), func(b *testing.B) {
			p := New(Config{Balance: balance})
			es := endpoints(10_000)
			for i := range es {
				es[i].Weight = float64(1 + i%4)
			}
			p.Update(es)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				var held [32]Lease
				for i := 0; pb.Next(); i++ {
					h := &held[i%len(held)]
					if h.backend != nil {
						h.Release()
					}
					*h, _ = p.Acquire(0, nil)
				}
			})
		})
	}
}

// BenchmarkUpdateOne is what one changed weight among 10,000 costs.
func BenchmarkUpdateOne(b *testing.B) {
	for _, balance := range []Balance{RoundRobin, LeastConn, Hash} {
		b.Run(string(balance), func(b *testing.B) {
			p := New(Config{Balance: balance})
			es := endpoints(10_000)
			p.Update(es)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				es[5000].Weight = float64(1 + i%2)
				p.Update(es)
			}
		})
	}
}

// BenchmarkFailOpen is what a failure costs when all of 10,000 fail and no more
// can be ejected: an outage is no time to be slow.
func BenchmarkFailOpen(b *testing.B) {
	p := New(Config{Eject: Eject{Consecutive: 1, MaxPercent: 1}})
	p.Update(endpoints(10_000))
	fails := func() {
		l, err := p.Acquire(0, nil)
		if err != nil {
			b.Fatal(err)
		}
		l.Report(Refused)
		l.Release()
	}
	for range 30_000 {
		fails()
	}
	b.ReportAllocs()
	for b.Loop() {
		fails()
	}
}

// BenchmarkEWMAFaded is a pick among 10,000 that all were last heard of a while ago.
func BenchmarkEWMAFaded(b *testing.B) {
	p := New(Config{Balance: EWMA})
	p.Update(endpoints(10_000))
	now := time.Now().UnixNano()
	for i, x := range p.backends {
		x.latency.observe(time.Duration(i+1)*time.Microsecond, now-int64(20*time.Second))
	}
	p.latency.observe(time.Millisecond, now)
	b.ReportAllocs()
	for b.Loop() {
		l, _ := p.Acquire(0, nil)
		l.Report(Success)
		l.Release()
	}
}

// BenchmarkUpdateArrival is what one backend that comes or goes costs among
// 10,000.
func BenchmarkUpdateArrival(b *testing.B) {
	p := New(Config{Guard: Guard{Off: true}})
	es := endpoints(10_001)
	p.Update(es)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		p.Update(es[:10_000+i%2])
	}
}

// BenchmarkUpdateMiddle is the same in the middle, in a new list each time, as a
// source hands it over.
func BenchmarkUpdateMiddle(b *testing.B) {
	for _, balance := range []Balance{RoundRobin, LeastConn, Hash} {
		b.Run(string(balance), func(b *testing.B) {
			p := New(Config{Balance: balance, Guard: Guard{Off: true}})
			all := endpoints(10_001)
			lists := [][]discovery.Endpoint{all, slices.Delete(slices.Clone(all), 5000, 5001)}
			p.Update(all)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				p.Update(lists[(i+1)%2])
			}
		})
	}
}
