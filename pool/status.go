package pool

import (
	"cmp"
	"fmt"
	"maps"
	"time"
)

// Status is a snapshot of a pool.
type Status struct {
	Synced    bool // the first set is in
	FailOpen  bool // see [Pool.FailingOpen]
	Backends  []BackendStatus
	Ejections map[string]uint64 // since the start, by reason; each reason there is has an entry
}

// BackendStatus is a snapshot of a backend. Counters are since it joined.
type BackendStatus struct {
	Address  string
	Keys     []string
	State    State
	Reason   string
	Since    time.Time
	Until    time.Time // ejected: when its next trial is due; suspect: when it leaves at the latest
	Weight   float64
	Zone     string
	Version  string
	InFlight int64
	Requests uint64
	Failures uint64
	Latency  time.Duration // moving average of the time to the first byte; under EWMA a failure counts as slow; zero: not measured
}

// Status takes a snapshot, backends in order of address.
func (p *Pool) Status() Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := Status{
		FailOpen:  p.view.Load().failOpen,
		Backends:  make([]BackendStatus, len(p.backends)),
		Ejections: maps.Clone(p.ejections),
	}
	select {
	case <-p.synced:
		s.Synced = true
	default:
	}
	for i, b := range p.backends {
		s.Backends[i] = b.status(p.cfg)
	}
	return s
}

func (b *Backend) status(cfg *Config) BackendStatus {
	leases, inFlight := b.work()
	s := BackendStatus{
		Address:  b.address,
		Keys:     b.endpoint.Keys,
		State:    b.state,
		Reason:   b.reason,
		Since:    b.since,
		Weight:   b.weight,
		Zone:     b.endpoint.Zone,
		Version:  b.endpoint.Version,
		InFlight: inFlight,
		Requests: uint64(leases),
		Failures: b.failures.Load(),
		Latency:  time.Duration(b.latency.seconds() * float64(time.Second)),
	}
	switch {
	case b.state == Suspect:
		s.Reason = cmp.Or(s.Reason, b.doubt)
		s.Until = b.suspected.Add(cfg.Guard.SuspectMax)
	case b.state == Ejected && !b.unhealthy:
		s.Until = b.until
	}
	if s.Reason == "" && b.state == Active {
		s.Reason = b.caveat(cfg.Health)
	}
	return s
}

// caveat is what speaks against b, which is active all the same; empty when nothing does.
func (b *Backend) caveat(h Health) string {
	if n := b.streak.Load(); n > 0 {
		return inARow(n)
	}
	if h.Interval > 0 && -b.checks >= h.Fall { // a request has succeeded since keep said so
		return fmt.Sprintf("failed %d health checks, but requests succeed; kept, too many are out", -b.checks)
	}
	return ""
}
