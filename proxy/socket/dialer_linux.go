package socket

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// dialLiteral connects to an address that is a literal; ok is false if it is none.
func (d *Dialer) dialLiteral(ctx context.Context, address string) (_ Stream, err error, ok bool) {
	to, err := netip.ParseAddrPort(address)
	if err != nil || to.Addr().Zone() != "" || to.Addr().IsUnspecified() {
		return nil, nil, false
	}
	c, err := d.connect(ctx, to)
	for range 2 {
		if err != nil || !c.self(to) {
			break
		}
		_ = c.Close()
		c, err = d.connect(ctx, to)
	}
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(to), Err: err}, true
	}
	return c, nil, true
}

// connect makes a socket and connects it. A connection within the host is there by
// the time connect(2) has said that it is under way: a second call tells.
func (d *Dialer) connect(ctx context.Context, to netip.AddrPort) (*file, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if d.Refuse != nil {
		if err := d.Refuse(to); err != nil {
			return nil, err
		}
	}
	p := peerOf(to)
	fd, err := unix.Socket(int(p.sa.Family), unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	if Reserved(fd) {
		_ = closeRaw(uintptr(fd))
		return nil, os.NewSyscallError("socket", syscall.EMFILE)
	}
	d.set(fd)
	errno := p.connect(uintptr(fd))
	if errno == syscall.EINPROGRESS {
		errno = p.connect(uintptr(fd))
	}
	switch errno {
	case 0, syscall.EISCONN:
	case syscall.EALREADY:
		return d.wait(ctx, newFile(fd, to), p)
	default:
		_ = closeRaw(uintptr(fd))
		return nil, os.NewSyscallError("connect", errno)
	}
	c := newFile(fd, to)
	if !d.Lazy {
		_ = c.poll() // there is waiting to be done
	}
	return c, nil
}

// peer is an address in the kernel's form.
type peer struct {
	sa  unix.RawSockaddrInet6 // or, for IPv4, what begins like it
	len uintptr
}

func peerOf(to netip.AddrPort) *peer {
	p := &peer{}
	// The port is in the byte order of the network.
	port := to.Port()<<8 | to.Port()>>8
	if ip := to.Addr().Unmap(); ip.Is4() {
		sa := (*unix.RawSockaddrInet4)(unsafe.Pointer(&p.sa))
		sa.Family, sa.Port, sa.Addr = unix.AF_INET, port, ip.As4()
		p.len = unix.SizeofSockaddrInet4
		return p
	}
	p.sa.Family, p.sa.Port, p.sa.Addr = unix.AF_INET6, port, to.Addr().As16()
	p.len = unix.SizeofSockaddrInet6
	return p
}

// connect is connect(2) on a socket that does not block; told to the scheduler as
// computation, like the calls of sys_linux.go.
func (p *peer) connect(fd uintptr) syscall.Errno {
	for {
		_, _, errno := syscall.RawSyscall(unix.SYS_CONNECT, fd, uintptr(unsafe.Pointer(&p.sa)), p.len)
		if errno != syscall.EINTR {
			return errno
		}
	}
}

// wait waits until c, which is connecting, is connected, or will not be.
func (d *Dialer) wait(ctx context.Context, c *file, p *peer) (*file, error) {
	if d.Timeout > 0 {
		_ = c.SetWriteDeadline(time.Now().Add(d.Timeout))
	}
	stop := context.AfterFunc(ctx, func() { _ = c.SetWriteDeadline(time.Unix(1, 0)) })
	var how syscall.Errno
	raw, _ := c.SyscallConn()
	err := raw.Write(func(fd uintptr) bool {
		how = p.connect(fd)
		return how != syscall.EALREADY
	})
	if !stop() && ctx.Err() != nil {
		err = ctx.Err()
	}
	if err == nil && how != 0 && how != syscall.EISCONN {
		err = os.NewSyscallError("connect", how)
	}
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	_ = c.SetWriteDeadline(time.Time{})
	if d.Lazy {
		return c.unpolled(), nil
	}
	return c, nil
}

// unpolled is c, which is connected and which nobody else has yet, without the
// runtime's poller: that forgets a descriptor only when it closes it.
func (c *file) unpolled() *file {
	var fd int
	err := c.control("dup", func(old int) (err error) {
		fd, err = unix.FcntlInt(uintptr(old), unix.F_DUPFD_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return c // it does as it is
	}
	_ = c.Close()
	return newFile(fd, c.to)
}

// set sets the options. None is worth not connecting for.
func (d *Dialer) set(fd int) {
	noDelay(uintptr(fd))
	d.setUserTimeout(fd)
	setKeepAlive(fd, d.KeepAlive)
}

func setKeepAlive(fd int, k net.KeepAliveConfig) {
	if k.Enable {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, int(k.Idle/time.Second))
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, int(k.Interval/time.Second))
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPCNT, k.Count)
	}
}

func (d *Dialer) setUserTimeout(fd int) {
	if d.UserTimeout > 0 {
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.UserTimeout/time.Millisecond))
	}
}

// control sets what net would not.
func (d *Dialer) control(_, _ string, c syscall.RawConn) (err error) {
	cerr := c.Control(func(fd uintptr) {
		if Reserved(int(fd)) {
			err = os.NewSyscallError("socket", syscall.EMFILE)
		}
		d.setUserTimeout(int(fd))
	})
	return errors.Join(cerr, err)
}

// self reports whether c, to that address, is connected to itself. Where nobody
// listens, the kernel may choose the very port as our own, and then both ends of
// the connection are the same: a backend that died would be an echo.
func (c *file) self(to netip.AddrPort) bool {
	if low, high := ephemeral(); !to.Addr().IsLoopback() || int(to.Port()) < low || int(to.Port()) > high {
		return false
	}
	fd, ok, _ := c.begin()
	if !ok { // it had to be waited for
		return c.LocalAddr().(*net.TCPAddr).AddrPort() == netip.AddrPortFrom(to.Addr().Unmap(), to.Port())
	}
	defer c.done()
	return localAddr(fd) == netip.AddrPortFrom(to.Addr().Unmap(), to.Port())
}

// ephemeral are the ports that the kernel gives to outgoing connections (ip(7)).
var ephemeral = sync.OnceValues(func() (low, high int) {
	b, _ := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	f := strings.Fields(string(b))
	if len(f) != 2 {
		return 1, 65535
	}
	low, err := strconv.Atoi(f[0])
	high, err2 := strconv.Atoi(f[1])
	if errors.Join(err, err2) != nil {
		return 1, 65535
	}
	return low, high
})
