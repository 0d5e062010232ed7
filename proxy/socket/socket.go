// Package socket reads and writes TCP connections by plain non-blocking system
// calls, and says what the kernel knows of them.
//
//	var c socket.Conn
//	err := c.Init(conn)
//	n, err := c.Read(buf)      // as conn.Read, a little cheaper
//	bytes, err := c.Alive()    // has the peer ended it? takes nothing, waits for nothing
//
// It adds no buffering and no policy. Deadlines are the connection's own.
package socket

import (
	"io"
	"os"
	"syscall"
)

// Conn is a TCP connection. One goroutine may read while another writes; Alive
// and the methods of the embedded connection may be called at any time.
type Conn struct {
	Stream
	raw syscall.RawConn
	in  read
	out write
	ask ask
}

// read and write are the operation under way in each direction, kept here so
// that the callbacks given to the poller need no allocation.
type read struct {
	buf  []byte
	n    int
	err  error
	call func(fd uintptr) bool
}

type write struct {
	buf   []byte
	err   error
	offer bool // not to be waited for
	call  func(fd uintptr) bool
}

// Init makes c wrap conn, which must not be read or written but through it.
func (c *Conn) Init(conn Stream) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	c.Stream, c.raw = conn, raw
	c.in.call, c.out.call, c.ask.call = c.recv, c.send, c.asking
	return nil
}

// Read reads what there is into buf, which must not be empty, and waits if there
// is nothing yet.
func (c *Conn) Read(buf []byte) (int, error) {
	c.in.buf = buf
	err := c.raw.Read(c.in.call)
	c.in.buf = nil
	if err != nil {
		return 0, err
	}
	return c.in.n, c.in.err
}

// Raw is the connection's descriptor, as SyscallConn gives it.
func (c *Conn) Raw() syscall.RawConn { return c.raw }

// ReadRaw calls back with the descriptor, and again whenever it has become
// readable, until the callback answers true: for callers who want no buffer in
// hand while they wait. See [Recv].
func (c *Conn) ReadRaw(callback func(fd uintptr) (done bool)) error {
	return c.raw.Read(callback)
}

// Try is ReadRaw that does not wait, for a connection that nobody has waited for
// yet: that makes it dearer. Of others, tried is false, and nothing was done.
func (c *Conn) Try(callback func(fd uintptr) (done bool)) (done, tried bool) {
	f, ok := c.Stream.(interface {
		Try(func(fd uintptr) (done bool)) (done, tried bool)
	})
	if !ok {
		return false, false
	}
	return f.Try(callback)
}

func (c *Conn) recv(fd uintptr) bool {
	n, errno := Recv(fd, c.in.buf)
	switch {
	case errno == syscall.EAGAIN:
		return false
	case errno != 0:
		c.in.n, c.in.err = 0, os.NewSyscallError("recv", errno)
	case n == 0:
		c.in.n, c.in.err = 0, io.EOF
	default:
		c.in.n, c.in.err = n, nil
	}
	return true
}

// Write writes all of buf, waiting where the peer makes it wait. On an error it
// returns how much the kernel had taken.
func (c *Conn) Write(buf []byte) (int, error) {
	if len(buf) == 0 {
		return 0, nil
	}
	return c.write(buf, false)
}

// Offer is Write that does not wait: it returns how much of buf, which must not be
// empty, the kernel has taken now.
func (c *Conn) Offer(buf []byte) (int, error) { return c.write(buf, true) }

func (c *Conn) write(buf []byte, offer bool) (int, error) {
	c.out.buf, c.out.err, c.out.offer = buf, nil, offer
	err := c.raw.Write(c.out.call)
	left := len(c.out.buf)
	c.out.buf = nil
	if err == nil {
		err = c.out.err
	}
	return len(buf) - left, err
}

func (c *Conn) send(fd uintptr) bool {
	for len(c.out.buf) > 0 {
		n, errno := Send(fd, c.out.buf)
		switch errno {
		case 0:
			c.out.buf = c.out.buf[n:]
		case syscall.EAGAIN:
			return c.out.offer
		default:
			c.out.err = os.NewSyscallError("send", errno)
			return true
		}
	}
	return true
}

// Alive is [Alive] of the connection.
func (c *Conn) Alive() (bytes bool, err error) { return Alive(c.raw) }

// Alive looks whether the peer has ended the connection: nil if not, with or
// without something to read; io.EOF or another error if so. Bytes reports that
// something can be read. It takes nothing and does not wait.
func Alive(raw syscall.RawConn) (bytes bool, err error) {
	cerr := raw.Control(func(fd uintptr) {
		var b [1]byte
		n, errno := Peek(fd, b[:])
		switch {
		case errno == syscall.EAGAIN:
		case errno != 0:
			err = os.NewSyscallError("recv", errno)
		case n == 0:
			err = io.EOF
		default:
			bytes = true
		}
	})
	if cerr != nil {
		return false, cerr
	}
	return bytes, err
}

// Unsent is how many bytes of what was written the peer has not acknowledged yet. It
// does not wait.
func (c *Conn) Unsent() (n int) {
	_ = c.raw.Control(func(fd uintptr) { n = Unsent(fd) })
	return n
}

// LiftUserTimeout is [LiftUserTimeout] of the connection.
func (c *Conn) LiftUserTimeout() { _ = c.raw.Control(LiftUserTimeout) }

// Gone reports whether the peer has ended the connection, or its own side of it,
// even if there is still something to read. It takes nothing and does not wait.
func (c *Conn) Gone() (gone bool) {
	err := c.raw.Control(func(fd uintptr) { gone = hungUp(fd) })
	return err != nil || gone
}
