package http2

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"

	"portside/proxy/socket"
)

// readSize is of the buffers that connections are read into: a frame fits.
const readSize = 32 << 10

var readBuffers = sync.Pool{New: func() any { return new([readSize]byte) }}

// reader reads frames. Before it waits for more it calls pause, so that what was put
// down meanwhile is sent. It has a buffer only while there is something in it.
type reader struct {
	sock  *socket.Conn
	pause func()
	buf   []byte // nil: none
	r, w  int    // buf[r:w] was read, and not looked at yet

	call func(fd uintptr) bool // receive, without an allocation
	err  error                 // of receive
}

func (r *reader) init(sock *socket.Conn, early []byte, pause func()) {
	r.sock, r.pause, r.call = sock, pause, r.receive
	if n := len(early); n > readSize {
		r.buf, r.w = early, n
	} else if n > 0 {
		r.buf = readBuffers.Get().(*[readSize]byte)[:]
		r.w = copy(r.buf, early)
	}
}

// next reads a frame, whose payload is valid until the next call.
func (r *reader) next() (frame, error) {
	head, err := r.need(frameHead)
	if err != nil {
		return frame{}, err
	}
	n := int(head[0])<<16 | int(head[1])<<8 | int(head[2])
	f := frame{kind: head[3], flags: head[4], stream: binary.BigEndian.Uint32(head[5:]) & lastID}
	if n > largest {
		return f, fault(FrameSizeError, fmt.Sprintf("a frame of %d bytes", n))
	}
	whole, err := r.need(frameHead + n)
	if err != nil {
		return f, err
	}
	f.payload = whole[frameHead:]
	r.r += frameHead + n
	return f, f.check()
}

// awaits reports whether a frame has begun to come, but for one of a body.
func (r *reader) awaits() bool {
	return r.w > r.r && (r.w-r.r < frameHead || r.buf[r.r+3] != kindData)
}

// need returns the next n bytes, and reads them where they have not come.
func (r *reader) need(n int) ([]byte, error) {
	for r.w-r.r < n {
		if err := r.more(n); err != nil {
			if err == io.EOF && r.w > r.r {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
	return r.buf[r.r : r.r+n], nil
}

// more reads more, of which n bytes in all are wanted.
func (r *reader) more(n int) error {
	r.pause()
	if r.r == r.w {
		r.release()
		if err := r.sock.ReadRaw(r.call); err != nil {
			return err
		}
		return r.err
	}
	if len(r.buf)-r.r < n {
		r.r, r.w = 0, copy(r.buf, r.buf[r.r:r.w])
	}
	got, err := r.sock.Read(r.buf[r.w:])
	r.w += got
	return err
}

// receive takes a buffer when there is something to read.
func (r *reader) receive(fd uintptr) bool {
	buf := readBuffers.Get().(*[readSize]byte)
	n, errno := socket.Recv(fd, buf[:])
	if errno != 0 || n == 0 {
		readBuffers.Put(buf)
	}
	switch {
	case errno == syscall.EAGAIN:
		return false
	case errno != 0:
		r.err = os.NewSyscallError("recv", errno)
	case n == 0:
		r.err = io.EOF
	default:
		r.buf, r.r, r.w, r.err = buf[:], 0, n, nil
	}
	return true
}

// release gives the buffer back. Frames that were read are void.
func (r *reader) release() {
	if len(r.buf) == readSize {
		readBuffers.Put((*[readSize]byte)(r.buf))
	}
	r.buf, r.r, r.w = nil, 0, 0
}
