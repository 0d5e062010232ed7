package etcd

import "time"

// Config says how etcd is reached. It is copied by [New].
type Config struct {
	// Endpoints are URLs, http or https; the first one's scheme decides for all.
	Endpoints []string
	// Username and Password are sent when Username is not empty.
	Username, Password string
	// TLS names the files for https endpoints; nil means the system's roots.
	TLS *TLS
	// Liveness is how long a watch may prove nothing before it is doubted and
	// the prefix listed again. Zero: 10 s.
	Liveness time.Duration
	// Audit is how often a prefix is listed though nothing seems wrong, give or
	// take a tenth. Zero: 5 min. Negative: never.
	Audit time.Duration
}

// TLS names PEM files. They are read again when they change on disk.
type TLS struct {
	CA         string // authorities to trust; empty: the system's
	Cert, Key  string // client certificate; both or neither
	ServerName string // expected in the server's certificate; empty: the endpoint's host
}

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

func (c Config) liveness() time.Duration {
	if c.Liveness <= 0 {
		return 10 * time.Second
	}
	return c.Liveness
}

// audit is zero when there shall be none.
func (c Config) audit() time.Duration {
	switch {
	case c.Audit < 0:
		return 0
	case c.Audit == 0:
		return 5 * time.Minute
	}
	return c.Audit
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
