package socket

import (
	"os"
	"syscall"
)

// ask is a question to be sent before its answer is waited for.
type ask struct {
	question []byte
	sent     int
	before   bool  // something was asked before
	err      error // of sending
	call     func(fd uintptr) bool
}

// Ask writes question, which must not be empty, and reads the beginning of the
// peer's answer into buf, waiting for it. It is Write and Read in one, less the
// look for an answer that cannot be there yet: the poller is made ready to tell of
// the answer before the question is sent. What came before that, it may fail to tell
// of, even an end of the stream. So the first question of all is followed by a look: a
// server may have spoken, or ended, as soon as it had accepted. Who asks again on a
// connection that has been idle looks before, and now and then while it waits, and
// uses [Conn.Stir].
//
// Sent is how much of the question the kernel took. If that is not all of it, err
// says why; otherwise err is of reading.
func (c *Conn) Ask(question, buf []byte) (sent, n int, err error) {
	c.ask.question, c.ask.sent, c.ask.err = question, 0, nil
	c.in.buf, c.in.n, c.in.err = buf, 0, nil
	err = c.raw.Read(c.ask.call)
	rest := c.ask.question
	c.ask.question, c.in.buf = nil, nil
	switch {
	case c.ask.err != nil:
		return c.ask.sent, 0, c.ask.err
	case err != nil:
		return c.ask.sent, 0, err
	case len(rest) == 0:
		return c.ask.sent, c.in.n, c.in.err
	}
	// The peer takes it piece by piece: there is waiting to be done.
	sent = c.ask.sent
	n, err = c.Write(rest)
	if sent += n; err != nil {
		return sent, 0, err
	}
	n, err = c.Read(buf)
	return sent, n, err
}

func (c *Conn) asking(fd uintptr) (done bool) {
	a := &c.ask
	if len(a.question) == 0 {
		return c.recv(fd)
	}
	n, errno := Send(fd, a.question)
	switch errno {
	case 0:
		a.sent, a.question = n, a.question[n:]
		if len(a.question) > 0 {
			return true
		}
		first := !a.before
		a.before = true
		return first && c.recv(fd)
	case syscall.EAGAIN:
	default:
		a.err = os.NewSyscallError("send", errno)
	}
	return true
}

// Stir wakes a reader whom the poller has failed to tell of the end of the peer's
// stream, which Gone reports. It does nothing to a stream that has ended.
func (c *Conn) Stir() { _ = c.CloseRead() }
