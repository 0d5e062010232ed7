package proxy

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"syscall"
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

// errSelf is a backend that is the service itself: its record leads back to where its
// clients connect, and each would come round again until nothing is left.
var errSelf = errors.New("its address is this service's own port")

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

// ownPort is where a service accepts its clients.
type ownPort struct {
	netip.AddrPort

	mu  sync.Mutex
	all []netip.Addr // the machine's, if it is every one of them, as far as is known
}

// ownPortOf is where ln listens.
func ownPortOf(ln net.Listener) *ownPort {
	own := &ownPort{}
	a, ok := ln.Addr().(*net.TCPAddr)
	if !ok {
		return own
	}
	own.AddrPort = netip.AddrPortFrom(a.AddrPort().Addr().Unmap(), a.AddrPort().Port())
	if own.Addr().IsUnspecified() {
		all, _ := net.InterfaceAddrs() // others are found by isBehind
		for _, a := range all {
			if n, ok := a.(*net.IPNet); ok {
				ip, _ := netip.AddrFromSlice(n.IP)
				own.all = append(own.all, ip.Unmap())
			}
		}
	}
	return own
}

// refuse is errSelf if to is that port. It is asked before each connection: one made is
// a client accepted, who makes the next.
func (own *ownPort) refuse(to netip.AddrPort) error {
	ip := to.Addr().Unmap().WithZone("")
	switch {
	case to.Port() != own.Port():
		return nil
	case ip == own.Addr():
		return errSelf
	case ip.IsUnspecified() && (own.Addr().IsLoopback() || own.Addr().IsUnspecified()): // it leads to the loopback
		return errSelf
	case own.Addr().IsUnspecified() && (ip.IsLoopback() || own.has(ip)):
		return errSelf
	}
	return nil
}

func (own *ownPort) has(ip netip.Addr) bool {
	own.mu.Lock()
	defer own.mu.Unlock()
	return slices.Contains(own.all, ip)
}

// isBehind reports whether c leads to that port by an address that the machine has had
// since it was looked: then it is known from now on.
func (own *ownPort) isBehind(c socket.Stream) bool {
	to := socket.Peer(c)
	if to.Port() != own.Port() || !own.Addr().IsUnspecified() {
		return false
	}
	from, ok := c.LocalAddr().(*net.TCPAddr)
	if !ok || from.AddrPort().Addr().Unmap() != to.Addr() {
		return false
	}
	own.mu.Lock()
	defer own.mu.Unlock()
	own.all = append(own.all, to.Addr())
	return true
}

// dialOutcome tells a backend's fault from our own: out of descriptors or ports,
// or cancelled by us, says nothing about it.
func dialOutcome(err error) pool.Outcome {
	if ownFault(err) || errors.Is(err, context.Canceled) {
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

// ownFault reports whether err is for want of something of ours.
func ownFault(err error) bool {
	for _, own := range []error{syscall.EMFILE, syscall.ENFILE, syscall.EADDRNOTAVAIL, syscall.EADDRINUSE, syscall.ENOBUFS, syscall.ENOMEM} {
		if errors.Is(err, own) {
			return true
		}
	}
	return false
}

// Listen opens a service's listening socket. An address without a host is every
// interface; the backlog is the system's.
func Listen(ctx context.Context, address string) (net.Listener, error) {
	k := keepAliveFor(address)
	lc := net.ListenConfig{KeepAliveConfig: k}
	if !k.Enable {
		lc.KeepAlive = -1
	}
	lc.SetMultipathTCP(false)
	return lc.Listen(ctx, "tcp", address)
}

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
