package config

import "time"

// fileSection is the whole file.
var fileSection = section(
	at("etcd", "Where etcd is.", etcdSection, func(c *Config) *Etcd { return &c.Etcd }),
	at("admin", "Address of the admin API, metrics and dashboard; a port alone means loopback; \"\" turns it off.",
		admin, func(c *Config) *string { return &c.Admin }),
	at("drain", "How portside takes leave.", drainSection, func(c *Config) *Drain { return &c.Drain }),
	at("state_dir", "Where the last known endpoints are kept for a start without etcd; \"\" is nowhere.",
		path, func(c *Config) *string { return &c.StateDir }),
	at("services", "The names that are proxied.", named(serviceSection, newService, func(s Service) string { return s.Name }),
		func(c *Config) *[]Service { return &c.Services }),
	at("register", "The servers that are kept in etcd.", named(registrationSection, newRegistration, func(r Registration) string { return r.Name }),
		func(c *Config) *[]Registration { return &c.Register }),
)

var drainSection = section(
	at("delay", "How long it still accepts once it is no longer ready.", duration(0), func(d *Drain) *time.Duration { return &d.Delay }),
	at("timeout", "The most that work may take to finish; 0s cuts it at once.", duration(0), func(d *Drain) *time.Duration { return &d.Timeout }),
)

// defaults is what an empty file says.
func defaults() Config {
	return Config{
		Etcd:  newEtcd(),
		Admin: "127.0.0.1:7070",
		Drain: Drain{Timeout: 30 * time.Second},
	}
}
