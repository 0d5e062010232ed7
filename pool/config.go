package pool

import (
	"cmp"
	"context"
	"net"
	"time"
)

// Config says how a pool behaves. It is copied by [New]; the zero value is
// round robin with every default below.
type Config struct {
	// Balance is how a backend is chosen. Empty: [RoundRobin].
	Balance Balance
	// Eject says when a failing backend is set aside.
	Eject Eject
	// Guard says when departures are doubted.
	Guard Guard
	// Probe asks the backend at address whether it can serve now: nil if it can. It must
	// return by ctx's deadline and be safe for concurrent use. Suspects are probed, and
	// with Health every backend. Nil: a TCP connect.
	Probe func(ctx context.Context, address string) error
	// Health says how often every backend is probed, if at all.
	Health Health
	// OnEvent, when set, is told of each change of a backend's state, and of the pool's
	// own, one at a time and in order. It must not block. It may read the pool but not
	// change it.
	OnEvent func(Event)
}

// Balance names a policy.
type Balance string

// The policies.
const (
	RoundRobin Balance = "round_robin" // weighted, smooth, from a random start
	LeastConn  Balance = "least_conn"  // fewest in flight for its weight, ties at random
	EWMA       Balance = "ewma"        // two choices, peak-EWMA latency × in flight, a failure counting as slow
	Random     Balance = "random"      // weighted
	Hash       Balance = "hash"        // by the client's address, few moves on change
)

// Eject says when a backend that keeps failing gets no more work, and when it
// is tried again.
type Eject struct {
	// Consecutive failures set a backend aside. Zero: 5. Negative: never.
	Consecutive int
	// On says which answers count as failures. Failures to connect always do.
	// Empty: [On5xx].
	On EjectOn
	// Backoff is the first wait before a trial; it doubles with each trial
	// that fails, up to MaxBackoff, and is jittered by up to a tenth either
	// way. Zero: 1 s and 60 s.
	Backoff, MaxBackoff time.Duration
	// MaxPercent of the pool may be out at once, yet always at least one
	// backend of two or more and never all of them. Zero: 50.
	MaxPercent int
}

// EjectOn is a class of HTTP answers that count against a backend.
type EjectOn string

// The classes, the widest first.
const (
	On5xx     EjectOn = "5xx"     // any 5xx but 501 and 505
	OnGateway EjectOn = "gateway" // 502, 503, 504
	OnConnect EjectOn = "connect" // none: only failures to connect
)

// Guard says when departures from the registry are doubted: when more than MaxLeave of
// a pool of two or more are gone within Window, neither announced nor replaced. What is
// doubted stays in rotation, as a suspect, while it answers the probe.
type Guard struct {
	// Off turns the guard off: what the registry deletes is gone.
	Off bool
	// MaxLeave is the fraction of the pool, from 0 to 1, that may leave within
	// Window undoubted. Zero: 0.5.
	MaxLeave float64
	// Window is how close together departures count as one. Zero: 5 s.
	Window time.Duration
	// SuspectMax is how long a suspect stays at the most. Zero: 10 min.
	SuspectMax time.Duration
	// ProbeEvery is how often a suspect is probed. Zero: 1 s.
	ProbeEvery time.Duration
}

// Health says how backends are probed. One that keeps failing its probes is ejected,
// under the same limits as any, and returns when it passes them again. A passed probe
// does not bring back what traffic has ejected.
type Health struct {
	// Interval between two probes of a backend, jittered by a tenth. Zero: never.
	Interval time.Duration
	// Timeout of a probe. Zero: 1 s.
	Timeout time.Duration
	// Rise passed probes in a row readmit, Fall failed ones eject. Zero: 2 and 3.
	Rise, Fall int
}

// withDefaults is c with every zero replaced by what it stands for.
func (c Config) withDefaults() *Config {
	c.Balance = cmp.Or(c.Balance, RoundRobin)
	e := &c.Eject
	e.Consecutive = cmp.Or(e.Consecutive, 5)
	e.On = cmp.Or(e.On, On5xx)
	e.Backoff = cmp.Or(e.Backoff, time.Second)
	e.MaxBackoff = max(cmp.Or(e.MaxBackoff, 60*time.Second), e.Backoff)
	e.MaxPercent = cmp.Or(e.MaxPercent, 50)
	g := &c.Guard
	g.MaxLeave = cmp.Or(g.MaxLeave, 0.5)
	g.Window = cmp.Or(g.Window, 5*time.Second)
	g.SuspectMax = cmp.Or(g.SuspectMax, 10*time.Minute)
	g.ProbeEvery = cmp.Or(g.ProbeEvery, time.Second)
	h := &c.Health
	h.Timeout = cmp.Or(h.Timeout, time.Second)
	h.Rise = cmp.Or(h.Rise, 2)
	h.Fall = cmp.Or(h.Fall, 3)
	if c.Probe == nil {
		c.Probe = connect
	}
	return &c
}

// connect is the default of Config.Probe.
func connect(ctx context.Context, address string) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return conn.Close()
}
