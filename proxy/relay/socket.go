package relay

import (
	"errors"
	"io"
	"os"
	"syscall"

	"portside/proxy/socket"
)

// errDrained ends a direction whose source is gone and has nothing left to read.
var errDrained = errors.New("nothing left to read")

// fetchSocket waits for src to be readable, with no buffer in hand, and reads.
// It does not return with each chunk: it keeps moving them for as long as dst
// takes them at once.
func (d *direction) fetchSocket() error {
	d.readErr = nil
	callback := d.spliceCallback()
	if callback == nil {
		callback = d.onReadable
	}
	if err := d.src.raw.Read(callback); err != nil {
		return err
	}
	return d.readErr
}

// writeSocket calls back once dst is writable.
func (d *direction) writeSocket(callback func(fd uintptr) bool) {
	d.writing.Add(1)
	if err := d.dst.raw.Write(callback); err != nil {
		d.writeErr = err
	}
	if d.writeErr == nil {
		d.writing.Add(-1)
	}
}

// metError reports whether a write of d's has failed, or may be about to.
func (d *direction) metError() bool { return d.dst.raw == nil || d.writing.Load() > 0 }

// pump moves chunks until src has no more, which it reports by false, or
// something is to be done that must not be done here. Waiting for dst is such a
// thing: whoever closes src waits until src's callback has returned, and might
// close dst only after that.
func (d *direction) pump(fd uintptr) (done bool) {
	for {
		d.take()
		n, errno := socket.Recv(fd, d.buf[:])
		switch {
		case errno == syscall.EAGAIN:
			return d.noMore()
		case errno != 0:
			d.drop()
			d.readErr = os.NewSyscallError("read", errno)
			return true
		case n == 0:
			d.drop()
			d.readErr = io.EOF
			return true
		}
		d.pending = d.buf[:n]
		if !d.admitted || d.dst.raw == nil {
			return true
		}
		long := d.splice.copied(n, n == size)
		if d.tryWrite(); len(d.pending) > 0 || long || d.relay.resting.Load() {
			return true
		}
		if n < size && d.unasked() && !d.draining {
			d.drop()
			return false
		}
	}
}

// noMore gives the buffer back until src has bytes again, if it ever will.
func (d *direction) noMore() (done bool) {
	d.drop()
	if d.draining {
		d.readErr = errDrained
	}
	return d.draining
}

// tryWrite writes what dst takes without waiting.
func (d *direction) tryWrite() { d.writeSocket(d.onWritableOnce) }

// push writes until nothing is pending, or dst takes no more, which it reports
// by false.
func (d *direction) push(fd uintptr) (done bool) {
	for len(d.pending) > 0 {
		n, errno := socket.Send(fd, d.pending)
		switch errno {
		case 0:
			d.took(n)
		case syscall.EAGAIN:
			return false
		default:
			d.writeErr = os.NewSyscallError("write", errno)
			return true
		}
	}
	return true
}

func (d *direction) pushOnce(fd uintptr) (done bool) {
	d.push(fd)
	return true
}
