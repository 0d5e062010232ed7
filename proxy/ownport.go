package proxy

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"

	"portside/proxy/socket"
)

// errSelf is a backend that is the service itself: its record leads back to where its
// clients connect, and each would come round again until nothing is left.
var errSelf = errors.New("its address is this service's own port")

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
