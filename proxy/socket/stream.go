package socket

import (
	"net"
	"net/netip"
	"syscall"
)

// Stream is a TCP connection, be it net's or one of a [Dialer] or [Listener].
type Stream interface {
	net.Conn
	syscall.Conn
	CloseRead() error
	CloseWrite() error
	// SetLinger is as net.TCPConn's.
	SetLinger(seconds int) error
}

// Peer is the address at the other end of c, an IPv4 one as such; invalid where
// there is none.
func Peer(c net.Conn) netip.AddrPort {
	var peer netip.AddrPort
	switch c := c.(type) {
	case interface{ RemoteAddrPort() netip.AddrPort }:
		peer = c.RemoteAddrPort()
	default:
		if a, ok := c.RemoteAddr().(*net.TCPAddr); ok {
			peer = a.AddrPort()
		}
	}
	return netip.AddrPortFrom(peer.Addr().Unmap(), peer.Port())
}
