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
	// Liveness is how long a set counts as current without a proof. A watch that
	// proves nothing for nearly as long is doubted, and the prefix listed again.
	// Zero: 10 s.
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

func (c Config) liveness() time.Duration {
	if c.Liveness <= 0 {
		return 10 * time.Second
	}
	return c.Liveness
}

// audit is how often to audit; zero: never.
func (c Config) audit() time.Duration {
	switch {
	case c.Audit < 0:
		return 0
	case c.Audit == 0:
		return 5 * time.Minute
	}
	return c.Audit
}
