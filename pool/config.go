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
	// Probe answers whether the backend at address can serve now; it must
	// return by ctx's deadline. It decides over suspects, and over all when
	// Health says so. Nil: a TCP connect.
	Probe func(ctx context.Context, address string) error
	// Health has every backend probed all the time.
	Health Health
	// OnEvent, when set, is told of each change of a backend's state, and of the
	// pool's own. It is called one at a time and in order; it must not block, and may read the pool
	// but not change it.
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
	// On is which answers count as failures besides those of connecting.
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

// The classes, each wider than the next.
const (
	On5xx     EjectOn = "5xx"     // any 5xx, but 501 and 505 count as answers
	OnGateway EjectOn = "gateway" // 502, 503, 504
	OnConnect EjectOn = "connect" // none: only failures of connecting
)

// Guard says when departures from the registry are doubted: more than MaxLeave
// of a pool of two or more gone within Window, not announced and not replaced.
// The doubted stay in rotation as suspects while they answer the probe.
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

// Health says how backends are probed. One that keeps failing is ejected, under
// the same limits as any, and returns when it passes; a passed probe does not
// overrule what traffic has shown.
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

// connect is the probe of those who name none.
func connect(ctx context.Context, address string) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return conn.Close()
}
