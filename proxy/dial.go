package proxy

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"time"

	"portside/pool"
	"portside/proxy/socket"
)

// keepAlive finds a peer that is gone, in about half a minute, where no traffic
// would: 15 s of silence, then three probes 5 s apart.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3}

// userTimeout is how long sent bytes may stay unacknowledged: without it a peer
// that lost its power while we were sending is noticed after some 15 minutes.
const userTimeout = 30 * time.Second

// liftEvery is how often connections are checked for a backend that does not read: several
// times within userTimeout.
const liftEvery = 2 * time.Second

// keepAliveFor is how peers at address, ours or theirs, are probed. The kernel
// itself sees a local one end: probing it is waste.
func keepAliveFor(address string) net.KeepAliveConfig {
	if host, _, err := net.SplitHostPort(address); err == nil && loopback(host) {
		return net.KeepAliveConfig{}
	}
	return keepAlive
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// dial connects to b and says what that taught about it. Lazy is the dialer's.
func (s *server) dial(ctx context.Context, b *pool.Backend, timeout time.Duration, lazy bool) (socket.Stream, pool.Outcome, error) {
	d := socket.Dialer{Timeout: timeout, KeepAlive: keepAliveFor(b.Address()), Lazy: lazy, Refuse: s.refuse}
	if d.KeepAlive.Enable {
		d.UserTimeout = userTimeout
	}
	conn, err := d.Dial(ctx, b.Address())
	if err != nil {
		return nil, dialOutcome(err), err
	}
	if s.self != nil && s.self.isBehind(conn) {
		_ = conn.Close()
		return nil, pool.Refused, errSelf
	}
	return conn, pool.Unknown, nil
}

// dialOutcome tells a backend's fault from our own: out of descriptors or ports,
// or cancelled by us, says nothing about it.
func dialOutcome(err error) pool.Outcome {
	if pool.OwnFault(err) || errors.Is(err, context.Canceled) {
		return pool.Unknown
	}
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
		return pool.Timeout
	}
	var ne net.Error
	if errors.As(err, &ne) && ne.Timeout() {
		return pool.Timeout
	}
	return pool.Refused
}
