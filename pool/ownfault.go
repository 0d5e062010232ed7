package pool

import (
	"errors"
	"net"
	"strings"
	"syscall"
)

// OwnFault reports whether err, of an attempt to connect, is for want of something on our
// own machine: descriptors, ports or memory. Such an error says nothing about the backend.
func OwnFault(err error) bool {
	for _, own := range []error{syscall.EMFILE, syscall.ENFILE, syscall.EADDRNOTAVAIL, syscall.EADDRINUSE, syscall.ENOBUFS, syscall.ENOMEM} {
		if errors.Is(err, own) {
			return own != syscall.EADDRNOTAVAIL || !unreachable(err)
		}
		// What keeps Go from looking up a name is in its error only as text.
		if dns, ok := errors.AsType[*net.DNSError](err); ok && strings.HasSuffix(dns.Err, own.Error()) {
			return true
		}
	}
	return false
}

// unreachable reports whether the address that err, EADDRNOTAVAIL, is about cannot be had
// from this machine at all, as one of IPv6 where that is turned off: the kernel says so in
// the words that are for ports that have run out. UDP has ports of its own, and to connect
// it sends nothing.
func unreachable(err error) bool {
	dial, ok := errors.AsType[*net.OpError](err)
	if !ok {
		return false
	}
	to, ok := dial.Addr.(*net.TCPAddr)
	if !ok {
		return false
	}
	conn, err := net.DialUDP("udp", nil, &net.UDPAddr{IP: to.IP, Port: to.Port, Zone: to.Zone})
	if err == nil {
		_ = conn.Close()
	}
	return errors.Is(err, syscall.EADDRNOTAVAIL)
}
