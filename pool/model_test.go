package pool

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"portside/discovery"
)

// model is what a pool must look like from outside: a map of what the registry
// said last, and the leases that are held. Everything else is the pool's own
// business, within the rules that check and the actions state.
type model struct {
	*fleet
	cfg    Config
	listed map[string]*Backend // by the last Update
	byHand map[string]bool     // drained
	seen   map[*Backend]bool   // all there ever were
	held   []*Lease
}

const modelSize = 7

func modelAddress(i int) string { return fmt.Sprintf("10.0.0.%d:80", i) }

// TestPoolAgainstItsModel does at random all that can be done to a pool.
func TestPoolAgainstItsModel(t *testing.T) {
	for _, balance := range []Balance{RoundRobin, LeastConn, EWMA, Random, Hash} {
		t.Run(string(balance), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				// Rapid would ask a *testing.T for its deadline, which bubbles forbid.
				rapid.Check(struct{ testing.TB }{t}, func(r *rapid.T) { modelRun(r, balance) })
			})
		})
	}
}

func modelRun(r *rapid.T, balance Balance) {
	m := &model{
		fleet:  &fleet{dead: map[string]bool{}},
		listed: map[string]*Backend{}, byHand: map[string]bool{}, seen: map[*Backend]bool{},
	}
	m.cfg = m.config(r, balance)
	m.Pool = New(m.cfg)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	defer func() { cancel(); <-done }()

	m.Update(r)
	r.Repeat(map[string]func(*rapid.T){
		"":       m.check,
		"update": m.Update, "acquire": m.acquire, "acquire more": m.acquire, "report": m.report, "report more": m.report,
		"release": m.release, "drain": m.drain, "undrain": m.undrain, "forget": m.forget,
		"reconfigure": m.reconfigure, "pass": m.pass, "kill": m.die, "revive": m.revive,
	})
	for len(m.held) > 0 {
		m.release(r)
	}
	m.check(r)
	for b := range m.seen {
		if n := b.InFlight(); n != 0 {
			r.Fatalf("%s has %d in flight when every lease is released, want 0", b.Address(), n)
		}
	}
}

// config draws a configuration with this policy.
func (m *model) config(r *rapid.T, balance Balance) Config {
	return Config{
		Balance: balance,
		Probe:   m.probe,
		Eject: Eject{
			Consecutive: rapid.SampledFrom([]int{1, 2, 5, -1}).Draw(r, "consecutive"),
			MaxPercent:  rapid.SampledFrom([]int{10, 50, 100}).Draw(r, "max_percent"),
		},
		Guard:  Guard{Off: rapid.Bool().Draw(r, "guard off"), SuspectMax: 10 * time.Second},
		Health: Health{Interval: rapid.SampledFrom([]time.Duration{0, 0, time.Second}).Draw(r, "health")},
	}
}

// Update hands a random set over, and holds the pool to the identities in it.
func (m *model) Update(r *rapid.T) {
	var es []discovery.Endpoint
	for i := range modelSize {
		if rapid.IntRange(0, 3).Draw(r, "there") == 0 {
			continue
		}
		es = append(es, discovery.Endpoint{
			Address:  modelAddress(i),
			Weight:   rapid.SampledFrom([]float64{1, 1, 1, 2, 0.5, 3}).Draw(r, "weight"),
			Draining: rapid.IntRange(0, 7).Draw(r, "draining") == 0,
		})
	}
	before := map[string]*Backend{}
	for _, b := range m.backends {
		before[b.address] = b
	}
	working := map[*Backend]bool{}
	for b := range m.seen {
		working[b] = b.InFlight() > 0
	}
	m.Pool.Update(es)
	synctest.Wait()
	m.listed = map[string]*Backend{}
	for _, e := range es {
		b := m.find(e.Address)
		switch {
		case b == nil:
			r.Fatalf("%s is in the registry's list and not in the pool", e.Address)
		case before[e.Address] != nil && b != before[e.Address]:
			r.Fatalf("%s lost its identity in an update that kept it", e.Address)
		case before[e.Address] == nil && (b.failures.Load() != 0 || b.Failing()):
			r.Fatalf("%s came back with its old record", e.Address)
		case before[e.Address] == nil && !working[b] && (m.seen[b] || leases(b) != 0):
			r.Fatalf("%s came back as it was, though it had no work left", e.Address)
		}
		if b.weight != e.Weight {
			r.Fatalf("%s has weight %v, want %v", e.Address, b.weight, e.Weight)
		}
		m.seen[b] = true
		m.listed[e.Address] = b
	}
	for a := range m.byHand {
		if m.find(a) == nil || m.find(a) != before[a] {
			delete(m.byHand, a)
		}
	}
}

func leases(b *Backend) int64 {
	n, _ := b.work()
	return n
}

// acquire takes a lease, sometimes with some backends tried already.
func (m *model) acquire(r *rapid.T) {
	var tried, usable []*Backend
	regular := 0 // active or suspect
	for _, b := range m.backends {
		if b.state == Draining {
			continue
		}
		if b.state != Ejected {
			regular++
		}
		if rapid.IntRange(0, 5).Draw(r, "tried") == 0 {
			tried = append(tried, b)
		} else if b.state != Ejected {
			usable = append(usable, b)
		}
	}
	var least float64
	for i, b := range usable {
		if load := float64(b.InFlight()+1) / b.effectiveWeight(); i == 0 || load < least {
			least = load
		}
	}
	l, err := m.Acquire(rapid.Uint64().Draw(r, "key"), tried)
	if err != nil {
		if len(usable) > 0 || len(tried) == 0 && len(m.backends) > m.count(Draining) {
			r.Fatalf("Acquire = %v with %d usable of %d and %d tried: it must find one while one is not draining", err, len(usable), len(m.backends), len(tried))
		}
		return
	}
	b := l.Backend()
	switch {
	case b.Left() || m.find(b.address) != b:
		r.Fatalf("%s, which has left, got new work", b.address)
	case b.state == Draining:
		r.Fatalf("%s got new work while draining", b.address)
	case slices.Contains(tried, b):
		r.Fatalf("%s was chosen though it had been tried", b.address)
	case b.state == Ejected && !l.Trial() && regular > 0:
		r.Fatalf("%s got ordinary work while ejected, with %d to choose from", b.address, regular)
	case l.Trial() && !b.triable():
		r.Fatalf("%s is on trial while %s", b.address, b.state)
	case l.Trial() && slices.ContainsFunc(m.held, func(o *Lease) bool {
		// One from before it left decides nothing any more.
		return o.Trial() && !o.reported && !o.outdated() && o.Backend() == b
	}):
		r.Fatalf("%s has a second trial at the same time", b.address)
	}
	if load := float64(b.InFlight()-1) / b.effectiveWeight(); m.cfg.Balance == LeastConn && !l.Trial() && len(usable) > 0 && load >= least {
		r.Fatalf("least_conn chose %s at a load of %v, and another would come to %v", b.address, load, least)
	}
	m.held = append(m.held, &l)
}

func (m *model) count(s State) int { return count(m.Pool, s) }

// report says something of a lease, and holds an ejection to its limits.
func (m *model) report(r *rapid.T) {
	if len(m.held) == 0 {
		r.Skip("nothing held")
	}
	l := rapid.SampledFrom(m.held).Draw(r, "lease")
	o := rapid.SampledFrom([]Outcome{Unknown, Success, Refused, Refused, Reset, ServerError}).Draw(r, "outcome")
	before := m.count(Ejected)
	l.Latency(time.Duration(rapid.IntRange(0, 100).Draw(r, "ms"))*time.Millisecond, time.Now())
	l.Report(o)
	out := m.count(Ejected)
	n := out + m.count(Active) + m.count(Suspect)
	if most := min(max(n*m.cfg.Eject.MaxPercent/100, 1), n-1); out > before && out > most {
		r.Fatalf("%d of %d are ejected, want at most %d (%d%%, one of two or more, never all)", out, n, most, m.cfg.Eject.MaxPercent)
	}
}

func (m *model) release(r *rapid.T) {
	if len(m.held) == 0 {
		r.Skip("nothing held")
	}
	i := rapid.IntRange(0, len(m.held)-1).Draw(r, "lease")
	m.held[i].Release()
	m.held = slices.Delete(m.held, i, i+1)
}

func (m *model) drain(r *rapid.T) {
	a := drawAddress(r)
	if b := m.find(a); (m.Drain(a) == nil) != (b != nil) {
		r.Fatalf("Drain(%s) disagrees with whether it is there", a)
	} else if b != nil {
		m.byHand[a] = true
	}
}

func (m *model) undrain(r *rapid.T) {
	a := drawAddress(r)
	_ = m.Undrain(a)
	delete(m.byHand, a)
}

func (m *model) forget(r *rapid.T) { _ = m.Forget(drawAddress(r)) }

func (m *model) reconfigure(r *rapid.T) {
	m.cfg = m.config(r, rapid.SampledFrom([]Balance{RoundRobin, LeastConn, EWMA, Random, Hash, m.cfg.Balance, m.cfg.Balance}).Draw(r, "balance"))
	m.Reconfigure(m.cfg)
}

func (m *model) pass(r *rapid.T) {
	_ = m.Status() // the lock orders what the test has read before what Run writes next
	time.Sleep(time.Duration(rapid.IntRange(1, 3000).Draw(r, "ms")) * time.Millisecond)
}

func (m *model) die(r *rapid.T) { m.kill(drawAddress(r)) }

func (m *model) revive(r *rapid.T) {
	a := drawAddress(r)
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.dead, a)
}

func drawAddress(r *rapid.T) string {
	return modelAddress(rapid.IntRange(0, modelSize-1).Draw(r, "address"))
}

// check holds the pool to what is true at every step.
func (m *model) check(r *rapid.T) {
	synctest.Wait()
	m.checkMembers(r)
	held := map[*Backend]int64{}
	for _, l := range m.held {
		held[l.Backend()]++
		m.seen[l.Backend()] = true
	}
	for b := range m.seen {
		if b.InFlight() != held[b] {
			r.Fatalf("%s has %d in flight, want %d: as many as leases are held", b.address, b.InFlight(), held[b])
		}
	}
	if err := m.fault(); err != nil {
		r.Fatal(err)
	}
	v := m.view.Load()
	if len(v.ready) == 0 && len(m.backends) > m.count(Draining) {
		r.Fatal("nobody is ready though not all are draining: ejection emptied the pool")
	}
	for _, b := range v.ready {
		if b.Left() || b.state == Draining {
			r.Fatalf("%s is ready while %s", b.address, b.state)
		}
	}
	if lc, ok := v.picker.(*leastConn); ok {
		if err := lc.fault(v.ready); err != nil {
			r.Fatal(err)
		}
	}
}

// checkMembers holds the pool's members to the registry's list.
func (m *model) checkMembers(r *rapid.T) {
	if !slices.IsSortedFunc(m.backends, func(a, b *Backend) int { return byAddress(a.endpoint, b.endpoint) }) {
		r.Fatal("the backends are not in order of address")
	}
	for _, b := range m.backends {
		listed := m.listed[b.address]
		switch {
		case b.doubted != (listed == nil), b.state == Active && b.doubted:
			r.Fatalf("%s is %s (%s), in a list: %v, doubted: %v; only suspects are in none", b.address, b.state, b.reason, listed != nil, b.doubted)
		case listed != nil && (b != listed || b.state == Suspect):
			r.Fatalf("%s is %s (%s) though the registry lists it", b.address, b.state, b.reason)
		case listed != nil && (b.state == Draining) != (m.byHand[b.address] || b.endpoint.Draining):
			r.Fatalf("%s is %s: by hand %v, announced %v", b.address, b.state, m.byHand[b.address], b.endpoint.Draining)
		case b.Left():
			r.Fatalf("%s is in the pool and has left it", b.address)
		}
	}
	for a, b := range m.listed {
		if m.find(a) != b {
			r.Fatalf("%s is in the registry's list and not in the pool", a)
		}
	}
}
