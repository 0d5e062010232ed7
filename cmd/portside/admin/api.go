package admin

import (
	"time"

	"portside/discovery"
	"portside/pool"
)

// Service is a service in the API.
type Service struct {
	Name      string    `json:"name"`
	Listen    string    `json:"listen"`
	Protocol  string    `json:"protocol"`
	Balance   string    `json:"balance"`
	FailOpen  bool      `json:"fail_open"`
	Discovery Discovery `json:"discovery"`
	Guard     Guard     `json:"guard"`
	Traffic   Traffic   `json:"traffic"`
	Backends  []Backend `json:"backends"`

	// What follows are metrics, not part of the API: ejections by reason, the requests
	// that portside answered itself by class of code, and how long requests took (nil
	// where there are none).
	Ejections map[string]uint64 `json:"-"`
	Answered  map[string]uint64 `json:"-"`
	Duration  *Histogram        `json:"-"`
}

// Guard is what is done about departures in a mass.
type Guard struct {
	Off        bool    `json:"off"`
	MaxLeave   float64 `json:"max_leave"`
	SuspectMax string  `json:"suspect_max"`
}

// Discovery is how sure a service's source is of its endpoints.
type Discovery struct {
	Source   string            `json:"source"`
	Prefix   string            `json:"prefix,omitempty"`
	State    discovery.State   `json:"state"`
	Reason   string            `json:"reason,omitempty"`
	Revision int64             `json:"revision"`
	Age      float64           `json:"age_seconds"` // since the endpoints were last proven current; -1: never
	Snapshot *time.Time        `json:"snapshot,omitempty"`
	Resyncs  map[string]uint64 `json:"resyncs,omitempty"`
	Bad      uint64            `json:"bad_records"`
	Drift    uint64            `json:"drift_corrected"`
	Skipped  []Skipped         `json:"skipped,omitempty"`
}

// Skipped is a registry key that yields no endpoint.
type Skipped struct {
	Key    string `json:"key"`
	Reason string `json:"reason"`
}

// Traffic is what a service has carried since the start.
type Traffic struct {
	Connections   int64 `json:"connections_total"`
	Active        int64 `json:"connections_active"`
	ToBackend     int64 `json:"bytes_to_backend"`
	ToClient      int64 `json:"bytes_to_client"`
	Retries       int64 `json:"retries_total"`
	RetriesDenied int64 `json:"retries_denied_total"`
	Failed        int64 `json:"failed_total"`
}

// Backend is a backend in the API.
type Backend struct {
	Address  string     `json:"address"`
	Keys     []string   `json:"keys"`
	State    pool.State `json:"state"`
	Reason   string     `json:"reason"`
	Since    time.Time  `json:"since"`
	Until    *time.Time `json:"until,omitempty"`
	Weight   float64    `json:"weight"`
	Zone     string     `json:"zone"`
	Version  string     `json:"version,omitempty"`
	InFlight int64      `json:"in_flight"`
	Requests uint64     `json:"requests_total"`
	Failures uint64     `json:"failures_total"`
	Latency  float64    `json:"latency_ms"`

	// Classes are answers by class of code, "2xx" and so on; nil where there
	// are no codes. They are a metric, not part of the API.
	Classes map[string]uint64 `json:"-"`
}

// Registration is one key that this portside keeps in the registry.
type Registration struct {
	Name       string    `json:"name"`
	Key        string    `json:"key"`
	Address    string    `json:"address"`
	State      string    `json:"state"`
	Reason     string    `json:"reason,omitempty"`
	Registered bool      `json:"registered"`
	Since      time.Time `json:"since"`
	Losses     uint64    `json:"losses_total"`
	TTL        float64   `json:"ttl_seconds"`
}

// Event is one change, as it is streamed.
type Event struct {
	Time    time.Time `json:"time"`
	Service string    `json:"service"`
	Backend string    `json:"backend,omitempty"`
	Kind    string    `json:"kind"` // backend, pool, discovery, registration, reload
	From    string    `json:"from,omitempty"`
	To      string    `json:"to"`
	Reason  string    `json:"reason,omitempty"`
}

// BackendsOf renders what a pool says of its backends.
func BackendsOf(status pool.Status) []Backend {
	bs := make([]Backend, len(status.Backends))
	for i, b := range status.Backends {
		keys := b.Keys
		if keys == nil {
			keys = []string{}
		}
		bs[i] = Backend{
			Address: b.Address, Keys: keys, State: b.State, Reason: b.Reason, Since: b.Since.UTC(),
			Weight: b.Weight, Zone: b.Zone, Version: b.Version, InFlight: b.InFlight,
			Requests: b.Requests, Failures: b.Failures, Latency: float64(b.Latency) / float64(time.Millisecond),
		}
		if !b.Until.IsZero() {
			until := b.Until.UTC()
			bs[i].Until = &until
		}
	}
	return bs
}

// DiscoveryOf renders what a source says of itself at now.
func DiscoveryOf(status discovery.Status, now time.Time) Discovery {
	d := Discovery{
		Source: status.Source, Prefix: status.Prefix, State: status.State, Reason: status.Reason,
		Revision: status.Revision, Age: -1, Resyncs: status.Resyncs, Bad: status.BadRecords, Drift: status.Drift,
	}
	if !status.Proven.IsZero() {
		d.Age = max(now.Sub(status.Proven).Seconds(), 0)
	}
	for _, s := range status.Skipped {
		d.Skipped = append(d.Skipped, Skipped(s))
	}
	return d
}
