package relay

import (
	"io"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"
)

// In these benchmarks client and backend are part of the process: their time
// compares one relay with another, and says nothing of what a relay costs. For
// that run testdata/proxy and testdata/load as processes of their own.

func BenchmarkPingPong(b *testing.B) {
	const conns = 64
	var wg sync.WaitGroup
	for i := range conns {
		r := start(b, tcpPair, Config{Idle: 5 * time.Minute, Counters: new(Counters)})
		go io.CopyBuffer(plain{r.backend}, plain{r.backend}, make([]byte, 4096))
		n := b.N / conns
		if i < b.N%conns {
			n++
		}
		wg.Go(func() {
			message := make([]byte, 16)
			for range n {
				r.client.Write(message)
				if _, err := io.ReadFull(r.client, message); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkBulk(b *testing.B) {
	r := start(b, tcpPair, Config{})
	chunk := make([]byte, 256<<10)
	b.SetBytes(int64(len(chunk)))
	go func() {
		for range b.N {
			r.backend.Write(chunk)
		}
		r.backend.CloseWrite()
	}()
	io.CopyBuffer(io.Discard, plain{r.client}, make([]byte, 256<<10))
}

// BenchmarkIdle reports what an idle relay between two TCP conns holds. The
// test's own two conns are of the same kind as the relay's, and so half of what
// the conns cost.
func BenchmarkIdle(b *testing.B) {
	const relays = 1000
	for b.Loop() {
		before := memory()
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		var wg sync.WaitGroup
		var outside []Conn
		for range relays {
			client, innerClient := connectTo(b, l)
			backend, innerBackend := connectTo(b, l)
			outside = append(outside, client, backend)
			wg.Go(func() { Run(innerClient, innerBackend, Config{Idle: 5 * time.Minute, Early: time.Second}) })
			write(b, client, "x")
			expect(b, backend, "x")
			write(b, backend, "x")
			expect(b, client, "x")
		}
		after := memory()
		b.ReportMetric(float64(after.StackInuse-before.StackInuse)/relays, "stack-B/relay")
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/relays, "heap-B/relay")
		l.Close()
		for _, c := range outside {
			c.Close()
		}
		wg.Wait()
	}
}

func memory() (m runtime.MemStats) {
	runtime.GC()
	runtime.GC() // empties the pools
	runtime.ReadMemStats(&m)
	return m
}
