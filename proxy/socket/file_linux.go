package socket

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// file is a TCP socket of our own making. It looks like net's from outside, errors
// included, but asks the kernel only for what somebody wants to know, and comes to
// the runtime's poller only when somebody has to wait: a client that is answered
// and left at once never does.
type file struct {
	to     netip.AddrPort
	polled atomic.Bool // f and raw are there; never changes back
	f      *os.File
	raw    syscall.RawConn

	mu     sync.Mutex
	fd     int // until polled
	users  int // calls under way that began on fd
	closed bool
	until  [2]time.Time // deadlines set on fd: to read, to write
}

// newFile takes over fd, which must not block.
func newFile(fd int, to netip.AddrPort) *file { return &file{fd: fd, to: to} }

// poll has the runtime's poller watch c.
func (c *file) poll() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	if c.polled.Load() {
		return nil
	}
	c.f = os.NewFile(uintptr(c.fd), "tcp")
	c.raw, _ = c.f.SyscallConn() // of an open file it is to be had
	if !c.until[forReading].IsZero() {
		_ = c.f.SetReadDeadline(c.until[forReading])
	}
	if !c.until[forWriting].IsZero() {
		_ = c.f.SetWriteDeadline(c.until[forWriting])
	}
	c.polled.Store(true)
	return nil
}

const (
	forReading = iota
	forWriting
)

// begin begins a call on fd itself, which done ends. Not ok: c is polled.
func (c *file) begin() (fd uintptr, ok bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return 0, false, net.ErrClosed
	case c.polled.Load():
		return 0, false, nil
	}
	c.users++
	return uintptr(c.fd), true, nil
}

func (c *file) done() {
	c.mu.Lock()
	c.users--
	last := c.closed && c.users == 0
	c.mu.Unlock()
	if last {
		_ = c.finish()
	}
}

// overdue reports whether the deadline of a call on fd has passed.
func (c *file) overdue(what int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.until[what]
	return !t.IsZero() && !time.Now().Before(t)
}

// Close closes c when the calls that began on the bare descriptor are over, as
// the poller does with those it knows.
func (c *file) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return c.error("close", net.ErrClosed)
	}
	c.closed = true
	busy := c.users > 0
	if busy && c.polled.Load() {
		_ = c.f.SetDeadline(time.Unix(1, 0)) // who waits meanwhile does so in vain
	}
	c.mu.Unlock()
	if busy {
		return nil
	}
	return c.error("close", c.finish())
}

// finish closes the descriptor. Nobody uses it any more, but through the poller.
func (c *file) finish() error {
	if c.polled.Load() {
		return c.f.Close()
	}
	return closeRaw(uintptr(c.fd))
}

func (c *file) Read(p []byte) (int, error) {
	if err := c.poll(); err != nil {
		return 0, c.error("read", err)
	}
	n, err := c.f.Read(p)
	return n, c.error("read", err)
}

func (c *file) Write(p []byte) (int, error) {
	if err := c.poll(); err != nil {
		return 0, c.error("write", err)
	}
	n, err := c.f.Write(p)
	return n, c.error("write", err)
}

func (c *file) CloseRead() error                   { return c.shutdown(unix.SHUT_RD) }
func (c *file) CloseWrite() error                  { return c.shutdown(unix.SHUT_WR) }
func (c *file) SetDeadline(t time.Time) error      { return c.deadline(t, true, true) }
func (c *file) SetReadDeadline(t time.Time) error  { return c.deadline(t, true, false) }
func (c *file) SetWriteDeadline(t time.Time) error { return c.deadline(t, false, true) }
func (c *file) RemoteAddr() net.Addr               { return net.TCPAddrFromAddrPort(c.to) }

// RemoteAddrPort is RemoteAddr without an allocation.
func (c *file) RemoteAddrPort() netip.AddrPort { return c.to }

func (c *file) deadline(t time.Time, read, write bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var err error
	switch polled := c.polled.Load(); {
	case c.closed:
		err = net.ErrClosed
	case polled && read && write:
		err = c.f.SetDeadline(t)
	case polled && read:
		err = c.f.SetReadDeadline(t)
	case polled:
		err = c.f.SetWriteDeadline(t)
	default:
		if read {
			c.until[forReading] = t
		}
		if write {
			c.until[forWriting] = t
		}
	}
	return c.error("set", err)
}

func (c *file) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// SyscallConn is c itself, told apart by its methods.
func (c *file) SyscallConn() (syscall.RawConn, error) { return (*rawFile)(c), nil }

// LocalAddr is empty if c is closed.
func (c *file) LocalAddr() net.Addr {
	var at netip.AddrPort
	_ = (*rawFile)(c).Control(func(fd uintptr) { at = localAddr(fd) })
	if !at.IsValid() {
		return &net.TCPAddr{}
	}
	return net.TCPAddrFromAddrPort(at)
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
	if fd, ok, _ := c.begin(); ok {
		defer c.done()
		return c.error("shutdown", os.NewSyscallError("shutdown", shutdown(fd, how)))
	}
	return c.control("shutdown", func(fd int) error { return shutdown(uintptr(fd), how) })
}

func (c *file) control(op string, f func(fd int) error) error {
	var how error
	if err := (*rawFile)(c).Control(func(fd uintptr) { how = f(int(fd)) }); err != nil {
		return err
	}
	return c.error(op, os.NewSyscallError(op, how))
}

// error is err as net would tell it.
func (c *file) error(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return c.told(op, err)
}

func (c *file) told(op string, err error) error {
	var path *os.PathError
	var plain syscall.Errno
	if errors.As(err, &path) {
		err = path.Err
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded) && !c.isClosed():
		err = os.ErrDeadlineExceeded
	case !errors.As(err, &plain):
		err = net.ErrClosed // nothing else is left that os tells of
	}
	return &net.OpError{Op: op, Net: "tcp", Addr: net.TCPAddrFromAddrPort(c.to), Err: err}
}
