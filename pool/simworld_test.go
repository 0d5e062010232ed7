package pool

import (
	"container/heap"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"portside/discovery"
)

// world is one simulated service: clients, each with a pool of its own, before
// servers with queues. One loop takes the events in order of time and sleeps from
// one to the next; in a synctest bubble that costs no time, and the pools' own
// timers fall in between where they belong.
//
// Arrivals, clients and service times come from the seed. What the pools draw for
// themselves (ties, two choices, starts, jitter) does not: two runs of one seed
// face the same load and differ by the pools' luck.
type world struct {
	scenario
	rng     *rand.Rand
	start   time.Time
	now     time.Duration
	events  events
	clients []*Pool
	servers map[string]*server
	order   []*server
	result  result
}

// scenario is what a world is made of.
type scenario struct {
	name     string
	clients  int
	servers  []server // as they are at the start, or join
	workers  int      // of each server: requests served at once
	service  time.Duration
	load     float64 // of what all servers together could serve
	requests int
	pool     Config
	from     time.Duration // what is sent before is not told of
	retries  bool          // a refused request is tried elsewhere, at most twice
}

// server is one backend's other end.
type server struct {
	slow    float64                                // service times are so many times longer
	fails   float64                                // this part of the requests fail, without work
	refuse  bool                                   // what fails is refused, not answered with an error
	watched bool                                   // told of by itself
	joins   time.Duration                          // it is not there before
	cold    func(age time.Duration) (slow float64) // more slowness, by age

	address string
	busy    int
	queue   []*work
	served  int
	peak    int // most in flight
	late    []time.Duration
}

// work is one request.
type work struct {
	at     time.Duration
	client *Pool
	tried  []*Backend
	lease  Lease
	sent   time.Duration
}

// result is what the clients saw.
type result struct {
	latencies []time.Duration // of requests that were answered without an error
	errors    int
	total     int
	marked    int // went to a server that is marked: slow, failing or new
}

type event struct {
	at time.Duration
	do func()
}

// events is a heap, the earliest first.
type events []event

func (e events) Len() int           { return len(e) }
func (e events) Less(i, j int) bool { return e[i].at < e[j].at }
func (e events) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)        { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := len(*e) - 1
	x := (*e)[last]
	(*e)[last] = event{}
	*e = (*e)[:last]
	return x
}

func (w *world) after(d time.Duration, do func()) { heap.Push(&w.events, event{w.now + d, do}) }

// exp draws from the exponential distribution of this mean.
func (w *world) exp(mean time.Duration) time.Duration {
	return time.Duration(w.rng.ExpFloat64() * float64(mean))
}

// simulate runs s to its end.
func simulate(t *testing.T, s scenario, seed uint64) *world {
	w := &world{scenario: s, rng: rand.New(rand.NewPCG(seed, 7)), servers: map[string]*server{}}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		for range s.clients {
			p := New(s.pool)
			w.clients = append(w.clients, p)
			running.Go(func() { _ = p.Run(ctx) })
		}
		w.start = time.Now()
		w.run()
		cancel()
		running.Wait()
	})
	slices.Sort(w.result.latencies)
	return w
}

func (w *world) run() {
	capacity := 0.0
	for i := range w.scenario.servers {
		s := &w.scenario.servers[i]
		s.slow = max(s.slow, 1)
		s.address = fmt.Sprintf("10.0.%d.%d:80", i/250, i%250)
		capacity += float64(w.workers) / (s.slow * w.service.Seconds())
		w.after(s.joins, func() { w.join(s) })
	}
	gap := time.Duration(float64(time.Second) / (capacity * w.load))
	left := w.requests
	var arrive func()
	arrive = func() {
		w.send(&work{at: w.now, client: w.clients[w.rng.IntN(len(w.clients))]})
		if left--; left > 0 {
			w.after(w.exp(gap), arrive)
		}
	}
	w.after(1, arrive)
	for len(w.events) > 0 {
		e := heap.Pop(&w.events).(event)
		time.Sleep(e.at - w.now)
		w.now = e.at
		e.do()
	}
}

// join lists s, with those that have joined, to every client.
func (w *world) join(s *server) {
	w.servers[s.address] = s
	w.order = append(w.order, s)
	if len(w.events) > 0 && w.events[0].at == w.now {
		return // more join now
	}
	es := make([]discovery.Endpoint, 0, len(w.order))
	for _, s := range w.order {
		es = append(es, discovery.Endpoint{Address: s.address})
	}
	for _, p := range w.clients {
		p.Update(es)
	}
}

// send has the work's client choose, and the chosen take it up.
func (w *world) send(k *work) {
	l, err := k.client.Acquire(w.rng.Uint64(), k.tried)
	if err != nil {
		w.done(k, false)
		return
	}
	k.lease, k.sent = l, w.now
	s := w.servers[l.Backend().Address()]
	if w.now >= w.from {
		s.served++
	}
	if s.marked() && w.now >= w.from {
		w.result.marked++
	}
	if s.fails > 0 && w.rng.Float64() < s.fails {
		w.after(100*time.Microsecond, func() { w.fail(k, s) })
		return
	}
	s.queue = append(s.queue, k)
	s.peak = max(s.peak, len(s.queue)+s.busy)
	w.serve(s)
}

func (s *server) marked() bool { return s.watched || s.slow > 1 || s.fails > 0 || s.joins > 0 }

// serve has idle workers of s take from its queue.
func (w *world) serve(s *server) {
	for s.busy < w.workers && len(s.queue) > 0 {
		k := s.queue[0]
		s.queue = s.queue[1:]
		s.busy++
		d := float64(w.exp(w.service)) * s.slow
		if s.cold != nil {
			d *= s.cold(w.now - s.joins)
		}
		w.after(time.Duration(d), func() {
			s.busy--
			k.lease.Latency(w.now-k.sent, time.Now())
			k.lease.Report(Success)
			k.lease.Release()
			w.done(k, true)
			if s.marked() && k.at >= w.from {
				s.late = append(s.late, w.now-k.at)
			}
			w.serve(s)
		})
	}
}

// fail ends an attempt that s would not serve. An error that was answered has a
// latency, as in proxy, and the client sees it; a refusal has none.
func (w *world) fail(k *work, s *server) {
	if !s.refuse {
		k.lease.Latency(w.now-k.sent, time.Now())
		k.lease.Report(ServerError)
		k.lease.Release()
		w.done(k, false)
		return
	}
	k.lease.Report(Refused)
	k.lease.Release()
	if k.tried = append(k.tried, k.lease.Backend()); w.retries && len(k.tried) < 3 {
		w.send(k)
		return
	}
	w.done(k, false)
}

func (w *world) done(k *work, ok bool) {
	if k.at < w.from {
		return
	}
	w.result.total++
	if !ok {
		w.result.errors++
		return
	}
	w.result.latencies = append(w.result.latencies, w.now-k.at)
}

// quantile of what was answered.
func (r *result) quantile(q float64) time.Duration { return quantile(r.latencies, q) }

func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

// spread is the busiest server's number of requests ÷ the mean of all.
func (w *world) spread() float64 {
	most, sum := 0, 0
	for _, s := range w.order {
		most, sum = max(most, s.served), sum+s.served
	}
	return float64(most) * float64(len(w.order)) / float64(sum)
}
