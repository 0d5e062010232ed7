// Package discovery says what a registry says of a service: which endpoints
// serve a name, and how sure that is.
//
// A [Source] follows one name and hands over the whole set each time it changes:
//
//	err := source.Run(ctx, pool.Update)
//
// The package does not choose among endpoints, dial them or judge their health;
// that is the pool's work. How a registry is reached, and how its records are
// read, is the work of the packages below this one.
package discovery

import (
	"context"
	"maps"
	"slices"
	"time"
)

// Endpoint is what a registry says of one address.
// Values are shared between goroutines: never change one after handing it on.
type Endpoint struct {
	// Address is host:port in canonical form (IPv6 in brackets). It is the
	// identity: two keys with one address are one endpoint.
	Address string
	// Weight is the share of work relative to an ordinary peer, whose weight
	// is 1, whatever the default of the record's own format was. Zero means 1.
	Weight float64
	// Zone is where the endpoint runs, as its record says; empty when unsaid.
	Zone string
	// Version is the version its record says; empty when unsaid.
	Version string
	// Draining marks an endpoint that announced its departure: it gets no new
	// work, and its deletion is then no surprise.
	Draining bool
	// Returns counts how often the address has left and come back between two sets, so
	// that both have it: whoever compares them would not see that it had left.
	Returns int `json:",omitempty"`
	// Keys are the registry keys that name this address, sorted.
	Keys []string
	// Metadata is what else the record said, flattened to strings.
	Metadata map[string]string
}

// Equal reports whether e and f say the same.
func (e Endpoint) Equal(f Endpoint) bool {
	return e.Address == f.Address && e.Weight == f.Weight && e.Zone == f.Zone &&
		e.Version == f.Version && e.Draining == f.Draining && e.Returns == f.Returns &&
		slices.Equal(e.Keys, f.Keys) && maps.Equal(e.Metadata, f.Metadata)
}

// A Source knows which endpoints serve one name.
type Source interface {
	// Run follows the name until ctx ends, then returns ctx's error. It calls
	// update, never concurrently, with the whole set sorted by address: once
	// when the set is first known, then each time it changes. An empty set
	// means that the registry has proved that there is no endpoint: an unreachable
	// registry, a refused request or any other doubt never leads to a call. Update must
	// not keep Run waiting and must not modify the slice.
	Run(ctx context.Context, update func([]Endpoint)) error

	// Status is a snapshot, safe to take at any time from any goroutine.
	Status() Status
}

// State is how sure a source is of the set it last handed over.
type State string

// The states of a source.
const (
	Syncing State = "syncing" // no set yet
	Synced  State = "synced"  // proven current a moment ago
	Stale   State = "stale"   // the last set stands, without recent proof
)

// Status is what a source knows about itself.
type Status struct {
	Source   string // "etcd", "static"
	Prefix   string // where it looks; empty for a fixed list
	State    State
	Reason   string    // why it is not synced, in plain words; empty when it is
	Revision int64     // the registry revision the set is true for
	Proven   time.Time // when the set was last proven current; zero: never

	// Counters since the start.
	Resyncs    map[string]uint64 // lists taken again, by reason
	BadRecords uint64            // records that could not be read
	Drift      uint64            // endpoints that only a periodic audit corrected

	// Skipped are the keys under the prefix that yield no endpoint now.
	Skipped []Skipped
}

// Skipped is a key that yields no endpoint, and why.
type Skipped struct {
	Key    string
	Reason string
}
