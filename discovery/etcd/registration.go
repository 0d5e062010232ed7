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
	// Yields says that a key which another holder has is left to it from the start.
	// Else the first write is over whatever is there, which is most often what a
	// former self left behind.
	Yields bool
}

// seconds is the TTL as a lease takes it.
func (r Registration) seconds() int64 {
	if r.TTL <= 0 {
		return 10
	}
	return int64((r.TTL + time.Second - 1) / time.Second)
}

// ttl is what seconds says.
func (r Registration) ttl() time.Duration { return time.Duration(r.seconds()) * time.Second }
