package etcd

import "time"

// Registration is one key that is kept in etcd while its holder lives.
type Registration struct {
	// Name is the service's name, for logs and metrics.
	Name string
	// Key is the whole key.
	Key string
	// Value is what the key holds while the server serves.
	Value string
	// Draining, when not empty, replaces Value while the server is leaving.
	Draining string
	// TTL of the lease, in whole seconds, rounded up; etcd may grant a longer
	// one. Zero: 10 s.
	TTL time.Duration
	// Yields leaves a key that another holder has to it from the start. Otherwise the
	// first write replaces whatever is there, which is most often what the holder's own
	// former process left behind.
	Yields bool
}

// seconds is the TTL as a lease takes it.
func (r Registration) seconds() int64 {
	if r.TTL <= 0 {
		return 10
	}
	return int64((r.TTL + time.Second - 1) / time.Second)
}

// ttl is seconds as a duration.
func (r Registration) ttl() time.Duration { return time.Duration(r.seconds()) * time.Second }
