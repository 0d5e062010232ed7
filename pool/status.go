package pool

import (
	"cmp"
	"maps"
	"time"
)

// Status is a snapshot of a pool.
type Status struct {
	Synced    bool // the first set is in
	FailOpen  bool // see [Pool.FailingOpen]
	Backends  []BackendStatus
	Ejections map[string]uint64 // since the start, by reason; of every reason there is
}

// BackendStatus is a snapshot of a backend. Counters are since it joined.
type BackendStatus struct {
	Address  string
	Keys     []string
	State    State
	Reason   string
	Since    time.Time
	Until    time.Time // ejected: its next trial; suspect: its last moment
	Weight   float64
	Zone     string
	Version  string
	InFlight int64
	Requests uint64
	Failures uint64
	Latency  time.Duration // to the first byte, moving average, failures slow under ewma; zero: not measured
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
		s.Backends[i] = b.status(p.cfg.Guard.SuspectMax)
	}
	return s
}

func (b *Backend) status(suspectMax time.Duration) BackendStatus {
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
		s.Until = b.suspected.Add(suspectMax)
	case b.state == Ejected && !b.unhealthy:
		s.Until = b.until
	}
	if n := b.streak.Load(); n > 0 && b.state == Active && s.Reason == "" {
		s.Reason = inARow(n)
	}
	return s
}
