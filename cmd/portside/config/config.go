// Package config turns what a user wrote, a YAML file, the environment, flags
// and NAME=LISTEN arguments, into plain validated values.
//
//	c, err := config.Load(config.Options{Path: "portside.yaml", Args: []string{"orders=7001"}})
//	if faults, ok := errors.AsType[config.Faults](err); ok {
//		fmt.Fprint(os.Stderr, faults.Pretty())
//	}
//
// All faults are reported at once, each with its file, line and column and what would
// be right. For each section one table says which keys there are: it reads them, writes
// them back ([Config.Effective]) and describes them to editors ([Schema]).
//
// The package binds nothing and dials nothing. It reads the configuration and
// the PEM files it names, and does not follow their changes.
package config

import (
	"reflect"
	"strings"
	"time"

	"portside/discovery"
	"portside/discovery/etcd"
	"portside/pool"
	"portside/proxy"
)

// Config is everything a user can say. Every value is set: defaults are filled
// in, paths are absolute, addresses are in canonical form.
type Config struct {
	Etcd     Etcd
	Admin    string // address of the admin API; empty: off
	Drain    Drain
	StateDir string // where the last known endpoints are kept; empty: nowhere
	Services []Service
	Register []Registration

	// Source is the file that was read; "-" for standard input; empty when
	// there was none.
	Source string
}

// NeedsEtcd reports whether anything has to be read from etcd or kept there.
func (c *Config) NeedsEtcd() bool {
	for _, s := range c.Services {
		if !s.fixed() {
			return true
		}
	}
	return len(c.Register) > 0
}

// Nothing reports whether there is nothing to run.
func (c *Config) Nothing() bool { return len(c.Services) == 0 && len(c.Register) == 0 }

// Doubts are warnings about what is valid but can hardly be meant, each a sentence.
func (c *Config) Doubts() (all []string) {
	if c.Nothing() {
		all = append(all, "there is nothing to run: no services and no registrations")
	}
	if c.NeedsEtcd() && c.Etcd.TLS != nil && !c.Etcd.Embedded && strings.HasPrefix(c.Etcd.Endpoints[0], "http://") {
		all = append(all, "etcd.tls has no effect: etcd.endpoints are http://, and the connection is not encrypted")
	}
	return all
}

// Etcd says where etcd is and where in it services live.
type Etcd struct {
	etcd.Config
	Embedded bool   // run an etcd inside the process; Endpoints is then empty, until it runs
	Prefix   string // a service's keys live under Prefix + name + "/"
}

// Drain says how a process ends its work.
type Drain struct {
	Delay   time.Duration // how long it still accepts clients, and is no longer ready
	Timeout time.Duration // the most that work may take to finish; zero: cut at once
}

// Service is one name and the local address that leads to it.
type Service struct {
	Name     string
	Listen   string // host:port; without a host it is every interface; port 0 is the kernel's choice
	Protocol Protocol

	Prefix      string               // its keys in etcd; empty when Endpoints is not
	Format      string               // of its records; empty when Endpoints is not
	DefaultPort int                  // completes addresses without a port; zero: none
	Endpoints   []discovery.Endpoint // a fixed list instead of etcd, in the order written

	Pool          pool.Config // functions are nil
	Timeouts      Timeouts
	Retry         Retry
	OnRemove      OnRemove
	RemoveTimeout time.Duration // bounds OnRemove's drain
	Health        *Check        // nil: backends are not asked
	HTTP          HTTP          // zero unless Protocol is [ProtocolHTTP]
}

// Equal reports whether s and t say the same, as a reload asks.
func (s Service) Equal(t Service) bool { return reflect.DeepEqual(s, t) }

func (s Service) fixed() bool { return len(s.Endpoints) > 0 }

// Protocol is what a service speaks.
type Protocol string

// The protocols.
const (
	ProtocolTCP  Protocol = "tcp"
	ProtocolHTTP Protocol = "http" // HTTP/1.1, WebSocket, and h2c and gRPC by the preface
)

// Timeouts bound the steps of a connection or a request.
type Timeouts struct {
	Connect  time.Duration // one attempt
	Idle     time.Duration // no byte in either direction; zero: for ever
	Head     time.Duration // a client's whole request head
	Response time.Duration // a backend's response head; zero: for ever
}

// Retry bounds how often a failure is tried elsewhere.
type Retry struct {
	Attempts int     // in all, the first included
	Budget   float64 // share of requests that may be second tries, from 0 to 1
}

// OnRemove is what becomes of connections to an endpoint that has left.
type OnRemove string

// What becomes of them.
const (
	RemoveDrain OnRemove = "drain" // they may finish, within RemoveTimeout
	RemoveClose OnRemove = "close"
)

// HTTP is what only an HTTP service has.
type HTTP struct {
	Forwarded proxy.Forwarded
	MaxIdle   int        // idle connections kept per backend; zero: none
	AccessLog *AccessLog // nil: off
	Limits    Limits
}

// Limits bound a request's head.
type Limits struct {
	Head   int64 // bytes
	Fields int   // header fields
}

// AccessLog says where each request leaves a line.
type AccessLog struct {
	File       string // absolute; "stdout" is the standard output
	Format     LogFormat
	Sample     float64 // fraction of the requests logged, above 0, at most 1
	ErrorsOnly bool    // only answers of 500 and above
}

// LogFormat is how a line of the access log looks.
type LogFormat string

// The formats.
const (
	LogJSON   LogFormat = "json"
	LogCommon LogFormat = "common" // Common Log Format
)

// Check says how a server is asked whether it can serve.
type Check struct {
	Kind    CheckKind
	URL     string   // of [CheckHTTP]: under a service the path alone
	Address string   // of [CheckTCP], under a registration
	Service string   // of [CheckGRPC]; empty: the whole server
	Command []string // of [CheckExec], the program first

	Interval time.Duration
	Timeout  time.Duration // at most Interval
	Rise     int           // successes in a row that make it healthy
	Fall     int           // failures in a row that make it unhealthy
	Grace    time.Duration // failures this soon after the start do not count
}

// CheckKind is the way a check asks.
type CheckKind string

// The ways.
const (
	CheckHTTP CheckKind = "http" // GET answers 2xx or 3xx
	CheckTCP  CheckKind = "tcp"  // a connect succeeds
	CheckGRPC CheckKind = "grpc" // grpc.health.v1 says SERVING
	CheckExec CheckKind = "exec" // a command exits with 0
)

// Registration is one server that is kept in etcd while it serves.
type Registration struct {
	Name        string
	Address     string // host:port that clients dial
	Key         string // the whole key
	Format      string
	TTL         time.Duration
	LeaveDelay  time.Duration // between leaving and stopping
	StopTimeout time.Duration // the most the command may take to exit
	Weight      float64
	Zone        string
	Version     string
	Service     string // in a Kratos record; empty: Name
	Protocol    string // in a Kratos record, its URL's scheme; empty: http
	Metadata    map[string]string
	Check       *Check // nil: always in etcd
}

// Equal reports whether r and s say the same, as a reload asks.
func (r Registration) Equal(s Registration) bool { return reflect.DeepEqual(r, s) }
