// Package proxy accepts a service's clients and joins each to a backend.
//
//	tcp := proxy.NewTCP(pool, proxy.Config{})
//	err := tcp.Serve(ctx, listener)   // until ctx ends and its clients are done
//
// A client is not told of a backend that refuses, times out or ends before its
// first byte, as long as another can be tried in safety. The package knows no
// registry and keeps no health: what it learns goes to the pool.
package proxy

import (
	"cmp"
	"log/slog"
	"time"

	"portside/proxy/http1"
)

// Config says how a service is proxied. It is copied by the constructors.
type Config struct {
	// Timeouts bound each phase.
	Timeouts Timeouts
	// Retry bounds second tries.
	Retry Retry
	// CloseOnRemove cuts the connections of a backend that left; otherwise they
	// may finish, for RemoveTimeout at the most.
	CloseOnRemove bool
	// RemoveTimeout: see CloseOnRemove. Zero: 5 min.
	RemoveTimeout time.Duration
	// DrainTimeout is how long clients may finish once Serve's context has
	// ended. Zero: 30 s. Negative: not at all.
	DrainTimeout time.Duration
	// HTTP is what only an HTTP service has.
	HTTP HTTPConfig
	// Log gets one line for what an operator should know; nil: silent.
	Log *slog.Logger
}

// Timeouts bound each phase of a connection.
type Timeouts struct {
	// Connect bounds one attempt to reach a backend, and how long a client is
	// held while no list of backends is in. Zero: 1 s.
	Connect time.Duration
	// Idle ends a connection in which no byte moved in either direction,
	// half-closed ones included. Zero: 5 min. Negative: never.
	Idle time.Duration
	// Head bounds the arrival of an HTTP request's head. Zero: 10 s.
	Head time.Duration
	// Response bounds the wait for an HTTP response's head. Zero: no bound.
	Response time.Duration
}

// Retry bounds second tries.
type Retry struct {
	// Attempts is the most backends that one piece of work is tried on, at most
	// [MaxAttempts]. Zero: 3.
	Attempts int
	// Budget is the share of requests, from 0 to 1, that may be second tries,
	// over a floor of 10 a second. Zero: 0.2. Negative: no second tries.
	Budget float64
}

func (c Config) withDefaults() *Config {
	t := &c.Timeouts
	t.Connect = cmp.Or(t.Connect, time.Second)
	t.Idle = max(cmp.Or(t.Idle, 5*time.Minute), 0)
	t.Head = cmp.Or(t.Head, 10*time.Second)
	c.HTTP.Forwarded = cmp.Or(c.HTTP.Forwarded, ForwardedAppend)
	c.HTTP.MaxIdle = cmp.Or(c.HTTP.MaxIdle, 128)
	c.Retry.Attempts = max(cmp.Or(c.Retry.Attempts, 3), 1)
	c.Retry.Budget = cmp.Or(c.Retry.Budget, 0.2)
	c.RemoveTimeout = cmp.Or(c.RemoveTimeout, 5*time.Minute)
	c.DrainTimeout = max(cmp.Or(c.DrainTimeout, 30*time.Second), 0)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &c
}

// HTTPConfig is what only an HTTP service has.
type HTTPConfig struct {
	// Forwarded is what becomes of X-Forwarded-For, -Host and -Proto, and
	// whether Via is said. Empty: [ForwardedAppend].
	Forwarded Forwarded
	// MaxIdle is how many idle connections to each backend are kept. Zero: 128.
	// Negative: none.
	MaxIdle int
	// Limits bound heads; zero: http1's.
	Limits http1.Limits
	// AccessLog, when set, gets a line for each request.
	AccessLog *AccessLog
}

// Forwarded is what a service does with what names the client.
type Forwarded string

// What it does.
const (
	ForwardedAppend  Forwarded = "append"  // the client's address is added to what it says
	ForwardedReplace Forwarded = "replace" // what the client says is dropped
	ForwardedOff     Forwarded = "off"     // passed on as it came; no Via
)
