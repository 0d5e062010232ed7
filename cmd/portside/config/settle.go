package config

import (
	"net/netip"
	"strings"
	"time"
)

// settle fills in the defaults that depend on other values.
func settle(r *reader, c *Config, resolve func(string) (string, error)) {
	settleEtcd(r, &c.Etcd)
	for i := range c.Services {
		settleService(r, c.Etcd.Prefix, &c.Services[i])
	}
	for i := range c.Register {
		if resolve != nil {
			resolveAddress(r, &c.Register[i], resolve)
		}
		settleRegistration(r, c.Etcd.Prefix, &c.Register[i])
	}
}

// settleEtcd gives host:port, and the endpoint that nobody named, the scheme that tls
// asks for.
func settleEtcd(r *reader, e *Etcd) {
	scheme := "http://"
	if e.TLS != nil {
		scheme = "https://"
	}
	if !r.wrote("etcd.endpoints") {
		for i := range e.Endpoints {
			e.Endpoints[i] = strings.TrimPrefix(e.Endpoints[i], "http://")
		}
	}
	for i, endpoint := range e.Endpoints {
		if endpoint != "" && !strings.Contains(endpoint, "://") {
			e.Endpoints[i] = scheme + endpoint
		}
	}
}

func settleService(r *reader, prefix string, s *Service) {
	at := join("services", s.Name)
	if s.fixed() {
		r.idle(at, etcdKeys, "`endpoints` is a fixed list; nothing is read from etcd")
		s.Prefix, s.Format = "", ""
		completeEndpoints(r, join(at, "endpoints"), s)
	} else if s.Prefix == "" {
		s.Prefix = prefix + s.Name + "/"
	} else {
		s.Prefix = strings.TrimRight(s.Prefix, "/") + "/" // as it is followed
	}
	if !s.http() {
		r.idle(at, httpKeys, "it needs `protocol: http`")
		s.HTTP = HTTP{}
	}
	settleCheck(s.Health)
}

// idle reports keys under path that nothing would read.
func (r *reader) idle(path string, keys []string, why string) {
	for _, key := range keys {
		if r.wrote(join(path, key)) {
			r.wrongAt(join(path, key), "has no effect", why)
		}
	}
}

// completeEndpoints adds default_port where an address has no port.
func completeEndpoints(r *reader, path string, s *Service) {
	for i := range s.Endpoints {
		e := &s.Endpoints[i]
		if e.Address == "" {
			continue // reported already
		}
		address, problem, hint := parseDial(e.Address, s.DefaultPort)
		if problem != "" {
			if _, port, wrong := hostPort(e.Address); wrong == "" && port < 0 && hint != "" {
				hint += ", or set default_port"
			}
			r.wrongAt(item(path, i), problem, hint)
			continue
		}
		e.Address = address
	}
}

// resolveAddress puts what the address stands for in its place, and at the end of a
// key that names it.
func resolveAddress(r *reader, reg *Registration, resolve func(string) (string, error)) {
	was, at := reg.Address, join(join("register", reg.Name), "address")
	address, err := resolve(was)
	switch {
	case err != nil:
		r.wrongAt(at, err.Error(), "")
	case address != was, strings.HasPrefix(was, "auto:"): // POD_IP may be that word, too
		address = r.standIn(at, address)
	}
	reg.Address = address
	if rest, ok := strings.CutSuffix(reg.Key, "/"+was); ok && was != "" {
		reg.Key = rest + "/" + address
	}
}

// standIn is the address that another stood for, in canonical form; empty, with a
// fault, when it will not do. It was given from outside, so it is held to what a written
// one is, and to more: a name would hide that POD_IP is none of what it should be.
func (r *reader) standIn(at, address string) string {
	dialled, problem, _ := parseDial(address, 0)
	host, _, _ := hostPort(dialled)
	if _, err := netip.ParseAddr(host); problem == "" && err == nil {
		return dialled
	}
	what := "it stands for " + shown(address)
	if pod, _ := r.env("POD_IP"); pod != "" {
		what = "POD_IP is " + shown(pod)
	}
	r.wrongAt(at, what+", which is no IP address that others can connect to", "set POD_IP to one, such as 10.0.0.5, or write the address")
	return ""
}

func settleRegistration(r *reader, prefix string, reg *Registration) {
	if !reg.kratos() {
		r.idle(join("register", reg.Name), []string{"service", "protocol"}, "only a record of `format: kratos` says it")
	}
	if reg.Key == "" && reg.Address != "" {
		reg.Key = prefix + reg.Name + "/" + reg.Address
	}
	if settleCheck(reg.Check); reg.Check != nil && reg.Check.Kind == CheckTCP && reg.Check.Address == "" {
		reg.Check.Address = reg.Address
	}
}

func settleCheck(c *Check) {
	if c != nil && c.Timeout == 0 {
		c.Timeout = min(time.Second, c.Interval)
	}
}
