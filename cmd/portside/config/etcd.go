package config

import (
	"time"

	"portside/discovery/etcd"
)

const passwordVariable = "PORTSIDE_ETCD_PASSWORD"

var etcdSection = section(
	over("endpoints", "URLs of its members, or the word embedded for an etcd inside the process.", etcdEndpoints),
	at("prefix", "A service's keys live under <prefix><name>/.", prefix, func(e *Etcd) *string { return &e.Prefix }),
	at("username", "Sent with the password.", text, func(e *Etcd) *string { return &e.Username }).when(Etcd.apart),
	at("password", "Best written as a variable.", secret(passwordVariable), func(e *Etcd) *string { return &e.Password }),
	at("tls", "PEM files for https endpoints; off: the system's roots.", optional(tlsSection, newTLS), func(e *Etcd) **etcd.TLS { return &e.TLS }).when(Etcd.apart),
	at("liveness", "How long etcd may prove nothing before what is known is called stale.", duration(time.Second), func(e *Etcd) *time.Duration { return &e.Liveness }),
	at("audit", "How often a prefix is listed though nothing seems wrong.", duration(time.Second), func(e *Etcd) *time.Duration { return &e.Audit }),
)

var tlsSection = section(
	at("ca", "Authorities to trust; \"\": the system's.", path, func(t *etcd.TLS) *string { return &t.CA }),
	at("cert", "Client certificate; needs key.", path, func(t *etcd.TLS) *string { return &t.Cert }),
	at("key", "Key of the client certificate; needs cert.", path, func(t *etcd.TLS) *string { return &t.Key }),
	at("server_name", "Expected in the server's certificate; \"\": the endpoint's host.", text, func(t *etcd.TLS) *string { return &t.ServerName }),
)

// apart is an etcd that is reached over a connection.
func (e Etcd) apart() bool { return !e.Embedded }

func newTLS() etcd.TLS { return etcd.TLS{} }

func newEtcd() Etcd {
	return Etcd{
		Config: etcd.Config{Endpoints: []string{"http://127.0.0.1:2379"}, Liveness: 10 * time.Second, Audit: 5 * time.Minute},
		Prefix: "service/",
	}
}

var etcdURLs = listOf(etcdURL, "[http://127.0.0.1:2379]")

// etcdEndpoints is a list of URLs, or the word embedded.
var etcdEndpoints = form[Etcd]{
	read: func(r *reader, p place, e *Etcd) {
		if r.says(p, "embedded") {
			e.Embedded, e.Endpoints = true, nil
			return
		}
		if p.kind == list && len(p.items) == 1 && p.items[0].text == "embedded" {
			r.wrong(p, "embedded is no member of a list", "write `endpoints: embedded`")
			return
		}
		was := len(r.faults)
		if etcdURLs.read(r, p, &e.Endpoints); len(r.faults) == was {
			e.Embedded = false
		}
	},
	write: func(e Etcd) *node {
		if e.Embedded {
			return word("embedded")
		}
		return etcdURLs.write(e.Endpoints)
	},
	describe: func(w vocabulary, e Etcd) schema {
		return anyOrVariable(schema{"const": "embedded"}, etcdURLs.describe(w, nil))
	},
}

// prefix is the beginning of keys. It ends in a slash, given or not: without
// one, service/a would also find what lives under service/ab. Nothing else of
// it is changed; some registries do begin with a blank.
var prefix = scalarForm(func(text string) (string, string, string) {
	text, problem, hint := parseText(text)
	if text != "" && text[len(text)-1] != '/' {
		text += "/"
	}
	return text, problem, hint
}, phrase, schema{"type": "string"})
