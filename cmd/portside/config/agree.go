package config

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"strconv"
	"strings"

	"portside/discovery/etcd"
)

// agree checks that values go together, each of which is right by itself.
func agree(r *reader, c *Config, o Options) {
	agreeEtcd(r, c.Etcd)
	agreeListeners(r, c)
	for _, s := range c.Services {
		agreeService(r, s)
		agreeReading(r, s, o.Reads)
	}
	keys := map[string]string{}
	for _, reg := range c.Register {
		agreeRegistration(r, reg, keys)
		if o.Fits != nil {
			agreeFormat(r, reg, o.Fits)
		}
	}
}

func item(path string, i int) string { return join(path, strconv.Itoa(i)) }

func agreeEtcd(r *reader, e Etcd) {
	if e.Password != "" && e.Username == "" {
		r.wrongAt("etcd.password", "is never sent without `username`", "add `username`")
	}
	if e.Embedded {
		r.idle("etcd", []string{"username", "password", "tls"}, "an embedded etcd has none")
		return
	}
	if e.Username != "" && e.Password == "" && !r.faulty("etcd.password") {
		// etcd's client would then send neither, and be told that its user has no name.
		r.wrongAt("etcd.username", "is never sent without `password`", "add `password`, or set $"+passwordVariable)
	}
	agreeSchemes(r, e)
	if e.TLS != nil {
		agreeTLS(r, *e.TLS)
	}
}

// agreeSchemes: all endpoints have one scheme, because etcd's client goes by the first one's.
func agreeSchemes(r *reader, e Etcd) {
	first, _, _ := strings.Cut(strings.Join(e.Endpoints, ""), "://")
	for i, endpoint := range e.Endpoints {
		scheme, _, _ := strings.Cut(endpoint, "://")
		switch {
		case endpoint == "": // reported already
		case scheme != first:
			r.wrongAt(item("etcd.endpoints", i), fmt.Sprintf("is %s, but the first endpoint is %s", scheme, first), "all are one or the other")
		}
	}
}

func agreeTLS(r *reader, t etcd.TLS) {
	if t.CA != "" {
		if pem, err := Reread(t.CA); err != nil {
			r.wrongAt("etcd.tls.ca", reason(err), "paths are relative to the file that names them")
		} else if !x509.NewCertPool().AppendCertsFromPEM(pem) {
			r.wrongAt("etcd.tls.ca", "holds no certificate in PEM", "")
		}
	}
	switch {
	case t.Cert != "" && t.Key == "":
		r.wrongAt("etcd.tls.cert", "has no `key` beside it", "add `key`")
	case t.Cert == "" && t.Key != "":
		r.wrongAt("etcd.tls.key", "has no `cert` beside it", "add `cert`")
	case t.Cert != "":
		agreePair(r, t)
	}
}

func agreePair(r *reader, t etcd.TLS) {
	const relative = "paths are relative to the file that names them"
	cert, errCert := Reread(t.Cert)
	if errCert != nil {
		r.wrongAt("etcd.tls.cert", reason(errCert), relative)
	}
	key, errKey := Reread(t.Key)
	if errKey != nil {
		r.wrongAt("etcd.tls.key", reason(errKey), relative)
	}
	if errCert != nil || errKey != nil {
		return
	}
	if _, err := tls.X509KeyPair(cert, key); err != nil {
		r.wrongAt("etcd.tls.cert", "makes no pair with `key`: "+strings.TrimPrefix(err.Error(), "tls: "), "")
	}
}

// agreeListeners: no two may want one address.
func agreeListeners(r *reader, c *Config) {
	type listener struct{ path, address string }
	all := []listener{{"admin", c.Admin}}
	for _, s := range c.Services {
		all = append(all, listener{join(join("services", s.Name), "listen"), s.Listen})
	}
	before := map[int][]listener{} // by port: there may be thousands
	for _, a := range all {
		_, port, _ := hostPort(a.address)
		if a.address == "" {
			continue
		}
		for _, b := range before[port] {
			if clash(a.address, b.address) {
				r.wrongAt(a.path, fmt.Sprintf("%s is taken by %s (%s)", a.address, b.path, b.address), "give it another port")
				break
			}
		}
		before[port] = append(before[port], a)
	}
}

func agreeService(r *reader, s Service) {
	at := join("services", s.Name)
	if s.Listen == "" && !r.wrote(join(at, "listen")) {
		r.wrongAt(join(at, "listen"), "is missing", "write the address that clients connect to, such as 127.0.0.1:7001")
	}
	seen := map[string]bool{}
	for i, e := range s.Endpoints {
		place := item(join(at, "endpoints"), i)
		switch {
		case e.Address == "": // reported already
		case seen[e.Address]:
			r.wrongAt(place, e.Address+" is listed twice", "for more work give it a weight")
		case callsItself(e.Address, s.Listen):
			r.wrongAt(place, e.Address+" is where the service listens: it would call itself", "")
		}
		seen[e.Address] = true
	}
	if e := s.Pool.Eject; e.MaxBackoff < e.Backoff {
		r.wrongAt(join(at, "eject"), "`max_backoff` is below `backoff`", fmt.Sprintf("at least %s", writeDuration(e.Backoff)))
	}
	agreeCheck(r, join(at, "health"), s.Health)
}

// agreeReading: the format has what the user chooses after a plus sign.
func agreeReading(r *reader, s Service, reads func(Service) error) {
	at := join("services", s.Name)
	if reads == nil || s.fixed() || r.faulty(at) {
		return
	}
	if err := reads(s); err != nil {
		r.wrongAt(join(at, "format"), err.Error(), "")
	}
}

func agreeCheck(r *reader, path string, c *Check) {
	if c == nil {
		return
	}
	if c.Kind == "" {
		r.wrongAt(path, "gives no check method", "write one of http: /healthz, tcp: {}, grpc: SERVICE")
	}
	if c.Timeout > c.Interval {
		r.wrongAt(join(path, "timeout"), fmt.Sprintf("%s is longer than the interval, %s", writeDuration(c.Timeout), writeDuration(c.Interval)), "")
	}
}

func agreeRegistration(r *reader, reg Registration, keys map[string]string) {
	at := join("register", reg.Name)
	if reg.Address == "" {
		if !r.wrote(join(at, "address")) {
			r.wrongAt(join(at, "address"), "is missing", "write the HOST:PORT that clients dial")
		}
		return
	}
	if other, taken := keys[reg.Key]; taken {
		r.wrongAt(join(at, "key"), fmt.Sprintf("%s is the key of %s too", reg.Key, other), "")
	}
	keys[reg.Key] = at
	agreeCheck(r, join(at, "check"), reg.Check)
}

// agreeFormat: the format has room for all that the record is to say.
func agreeFormat(r *reader, reg Registration, fits func(Registration) error) {
	at := join("register", reg.Name)
	if reg.Address == "" || r.faulty(at) {
		return // with another fault in it, it is not what the user means
	}
	err := fits(reg)
	if err == nil {
		return
	}
	for _, part := range []struct {
		key     string
		without func(*Registration)
	}{
		{"weight", func(reg *Registration) { reg.Weight = 1 }},
		{"zone", func(reg *Registration) { reg.Zone = "" }},
		{"version", func(reg *Registration) { reg.Version = "" }},
		{"protocol", func(reg *Registration) { reg.Protocol = "" }},
		{"metadata", func(reg *Registration) { reg.Metadata = nil }},
	} {
		less := reg
		if part.without(&less); fits(less) == nil {
			r.wrongAt(join(at, part.key), err.Error(), "")
			return
		}
	}
	r.fault(r.spots[at].key, at, err.Error(), "")
}
