package socket

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// file is a TCP socket of our own making, with the runtime's poller behind it. It
// looks like net's from outside, errors included, but asks the kernel only for
// what somebody wants to know.
type file struct {
	f   *os.File
	raw syscall.RawConn
	to  netip.AddrPort
}

// newFile takes over fd, which must not block.
func newFile(fd int, to netip.AddrPort) *file {
	f := os.NewFile(uintptr(fd), "tcp")
	raw, _ := f.SyscallConn() // of an open file it is to be had
	return &file{f: f, raw: raw, to: to}
}

func (c *file) Read(p []byte) (int, error) {
	n, err := c.f.Read(p)
	return n, c.error("read", err)
}

func (c *file) Write(p []byte) (int, error) {
	n, err := c.f.Write(p)
	return n, c.error("write", err)
}

func (c *file) Close() error                       { return c.error("close", c.f.Close()) }
func (c *file) CloseRead() error                   { return c.shutdown(unix.SHUT_RD) }
func (c *file) CloseWrite() error                  { return c.shutdown(unix.SHUT_WR) }
func (c *file) SetDeadline(t time.Time) error      { return c.error("set", c.f.SetDeadline(t)) }
func (c *file) SetReadDeadline(t time.Time) error  { return c.error("set", c.f.SetReadDeadline(t)) }
func (c *file) SetWriteDeadline(t time.Time) error { return c.error("set", c.f.SetWriteDeadline(t)) }
func (c *file) RemoteAddr() net.Addr               { return net.TCPAddrFromAddrPort(c.to) }

// SyscallConn is c itself, told apart by its methods.
func (c *file) SyscallConn() (syscall.RawConn, error) { return (*rawFile)(c), nil }

// LocalAddr is empty if c is closed.
func (c *file) LocalAddr() net.Addr {
	var sa unix.Sockaddr
	_ = c.raw.Control(func(fd uintptr) { sa, _ = unix.Getsockname(int(fd)) })
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)))
	case *unix.SockaddrInet6:
		return net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port)))
	}
	return &net.TCPAddr{}
}

func (c *file) SetLinger(seconds int) error {
	l := unix.Linger{Onoff: 1, Linger: int32(max(seconds, 0))}
	if seconds < 0 {
		l.Onoff = 0
	}
	return c.control("set", func(fd int) error {
		return unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &l)
	})
}

func (c *file) shutdown(how int) error {
	return c.control("shutdown", func(fd int) error {
		if _, _, errno := syscall.RawSyscall(unix.SYS_SHUTDOWN, uintptr(fd), uintptr(how), 0); errno != 0 {
			return errno
		}
		return nil
	})
}

func (c *file) control(op string, f func(fd int) error) error {
	var how error
	if err := c.raw.Control(func(fd uintptr) { how = f(int(fd)) }); err != nil {
		return c.error(op, err)
	}
	return c.error(op, os.NewSyscallError(op, how))
}

// error is err as net would tell it.
func (c *file) error(op string, err error) error {
	var path *os.PathError
	var plain syscall.Errno
	switch {
	case err == nil:
		return nil
	case err == io.EOF:
		return err
	case errors.As(err, &path):
		err = path.Err
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = os.ErrDeadlineExceeded
	case !errors.As(err, &plain):
		err = net.ErrClosed // nothing else is left that os tells of
	}
	return &net.OpError{Op: op, Net: "tcp", Addr: net.TCPAddrFromAddrPort(c.to), Err: err}
}

// rawFile is a file's descriptor.
type rawFile file

func (c *rawFile) Control(f func(fd uintptr)) error {
	return (*file)(c).error("raw-control", c.raw.Control(f))
}

func (c *rawFile) Read(f func(fd uintptr) (done bool)) error {
	return (*file)(c).error("raw-read", c.raw.Read(f))
}

func (c *rawFile) Write(f func(fd uintptr) (done bool)) error {
	return (*file)(c).error("raw-write", c.raw.Write(f))
}
