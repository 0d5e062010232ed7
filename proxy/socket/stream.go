package socket

import (
	"net"
	"syscall"
)

// Stream is a TCP connection, be it net's or one that [Dialer] made.
type Stream interface {
	net.Conn
	syscall.Conn
	CloseRead() error
	CloseWrite() error
	// SetLinger is as net.TCPConn's.
	SetLinger(seconds int) error
}
