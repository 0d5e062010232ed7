package proxy

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"portside/pool"
)

// keepAlive finds a peer that is gone, in about half a minute, where no traffic
// would: 15 s of silence, then three probes 5 s apart.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3}

// dialed is what came of connecting.
type dialed struct {
	conn    *net.TCPConn
	outcome pool.Outcome
	err     error
}

// dial connects to b and says what that taught about it. It does so on another
// goroutine: connecting needs a deep stack, which would stay with a connection
// that goes on to idle for hours.
func dial(ctx context.Context, b *pool.Backend, timeout time.Duration) (*net.TCPConn, pool.Outcome, error) {
	done := make(chan dialed, 1)
	go func() {
		var d dialed
		d.conn, d.outcome, d.err = connect(ctx, b, timeout)
		done <- d
	}()
	d := <-done
	return d.conn, d.outcome, d.err
}

func connect(ctx context.Context, b *pool.Backend, timeout time.Duration) (*net.TCPConn, pool.Outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	d := net.Dialer{KeepAliveConfig: keepAlive, Control: setUserTimeout}
	if host, _, err := net.SplitHostPort(b.Address()); err == nil && loopback(host) {
		// The kernel itself sees a local peer end; five options less to set.
		d = net.Dialer{KeepAlive: -1}
	}
	// MPTCP would cost a wider socket for nothing a sidecar's path can use.
	d.SetMultipathTCP(false)
	// Not DialTCP: it binds a local port first, even to an empty local address,
	// and of those there are 28,232 for all connections together, not for each
	// backend (ip(7), IP_BIND_ADDRESS_NO_PORT).
	conn, err := d.DialContext(ctx, "tcp", b.Address())
	if err != nil {
		return nil, dialOutcome(err), err
	}
	return conn.(*net.TCPConn), pool.Unknown, nil
}

// dialOutcome tells a backend's fault from our own: out of descriptors or ports,
// or cancelled by us, says nothing about it.
func dialOutcome(err error) pool.Outcome {
	for _, own := range []error{syscall.EMFILE, syscall.ENFILE, syscall.EADDRNOTAVAIL, syscall.EADDRINUSE, syscall.ENOBUFS, syscall.ENOMEM, context.Canceled} {
		if errors.Is(err, own) {
			return pool.Unknown
		}
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

// Listen opens a service's listening socket. An address without a host is
// loopback; the backlog is the system's.
func Listen(ctx context.Context, address string) (net.Listener, error) {
	lc := net.ListenConfig{KeepAliveConfig: keepAlive}
	if host, _, err := net.SplitHostPort(address); err == nil && loopback(host) {
		// The kernel itself sees a local client end; probing it is waste.
		lc.KeepAliveConfig = net.KeepAliveConfig{}
		lc.KeepAlive = -1
	}
	lc.SetMultipathTCP(false)
	return lc.Listen(ctx, "tcp", address)
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}
