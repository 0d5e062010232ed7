package socket

import (
	"context"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// Dialer connects. It may be used by many at once.
type Dialer struct {
	// Timeout bounds the whole; zero: the system's limit alone.
	Timeout time.Duration
	// KeepAlive finds a peer that is gone where no traffic would. Not enabled:
	// nobody looks.
	KeepAlive net.KeepAliveConfig
	// UserTimeout is how long sent bytes may stay unacknowledged before the
	// connection is given up (TCP_USER_TIMEOUT, Linux); zero: the system's limit,
	// some 15 minutes (tcp(7)). See [LiftUserTimeout].
	UserTimeout time.Duration
	// Lazy leaves it to the first wait to have the runtime's poller watch the
	// connection: it may end before that, or be watched by somebody else. It makes
	// the first wait a little dearer.
	Lazy bool
	// Refuse is asked about each address before it is connected to. What it answers, if
	// anything, is the error. Nil: nobody is asked.
	Refuse func(netip.AddrPort) error
}

// Dial connects to address, host:port. An address that is a literal takes fewer
// system calls, and much less time and stack, than net's way, which names take.
// Errors are of the type [net.OpError].
func (d *Dialer) Dial(ctx context.Context, address string) (Stream, error) {
	if s, err, ok := d.dialLiteral(ctx, address); ok {
		return s, err
	}
	// On another goroutine: the stack that this needs would stay with a connection
	// that goes on to idle for hours.
	type dialed struct {
		conn net.Conn
		err  error
	}
	done := make(chan dialed, 1)
	go func() {
		conn, err := d.net().DialContext(ctx, "tcp", address)
		done <- dialed{conn, err}
	}()
	made := <-done
	if made.err != nil {
		return nil, made.err
	}
	return made.conn.(*net.TCPConn), nil
}

// net is the same for net.
func (d *Dialer) net() *net.Dialer {
	n := &net.Dialer{Timeout: d.Timeout, KeepAlive: -1, Control: d.vet}
	if d.KeepAlive.Enable {
		n.KeepAlive, n.KeepAliveConfig = 0, d.KeepAlive
	}
	// MPTCP would cost a wider socket for nothing a sidecar's path can use.
	n.SetMultipathTCP(false)
	return n
}

// vet is what net asks before it connects to an address that a name stands for.
func (d *Dialer) vet(network, address string, c syscall.RawConn) error {
	if to, err := netip.ParseAddrPort(address); err == nil && d.Refuse != nil {
		if err := d.Refuse(to); err != nil {
			return err
		}
	}
	return d.control(network, address, c)
}
