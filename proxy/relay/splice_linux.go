package relay

import (
	"io"
	"math"
	"os"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"portside/proxy/socket"
)

const (
	// spliceAfter is how many bytes a direction moves by the bufferful before
	// it is thought a long flow, for which splice(2) pays.
	spliceAfter = 1 << 20
	// spliceMin is what a call should move: with less, copying is as cheap.
	// After spliceSmall calls in a row that move less the flow is copied again.
	spliceMin   = 64 << 10
	spliceSmall = 16
	// pipeSize is of a pipe, the most that everybody may have, and maxPipes of
	// them at the most are open: half of what one user may have in pipes
	// (pipe(7): 64 MiB), because beyond that every new pipe is a single page.
	pipeSize = 1 << 20
	maxPipes = 32
)

// splice moves a long flow through a pipe, so that its bytes never enter this
// process. It starts, ends and fails without anybody noticing: whenever it does
// not work, copying does.
type splice struct {
	after int   // how many bytes moved by the bufferful make a long flow
	full  int   // bytes moved by the bufferful, of late
	small int   // calls in a row that moved little
	pipe  *pipe // held only while there is something to move
	held  int   // bytes in the pipe: read, and not yet taken by dst

	onReadable, onWritable, onWritableOnce func(fd uintptr) (done bool)
}

// copied notes a chunk moved by copying, and reports whether to splice from now on.
func (s *splice) copied(n int, whole bool) (switchOver bool) {
	if whole {
		s.full += n
	} else {
		s.full /= 2
	}
	return s.on()
}

func (s *splice) on() bool { return s.full >= s.after }

// off goes back to copying until a long flow shows again.
func (s *splice) off() { s.full, s.small = 0, 0 }

// spliceCallback is what moves bytes by splicing; nil: they are to be copied.
// The callbacks are made when a direction first splices: few ever do.
func (d *direction) spliceCallback() func(fd uintptr) (done bool) {
	s := &d.splice
	if !s.on() {
		return nil
	}
	if s.onReadable == nil {
		s.onReadable, s.onWritable = d.splicePump, d.splicePush
		s.onWritableOnce = func(fd uintptr) bool { d.splicePush(fd); return true }
	}
	return s.onReadable
}

// splicePump is pump with a pipe for a buffer.
func (d *direction) splicePump(fd uintptr) (done bool) {
	s := &d.splice
	for s.on() {
		if !s.take() {
			s.off()
			return true
		}
		n, errno, stuck := s.fill(fd)
		switch {
		case stuck:
			s.drop()
			s.off()
			return true
		case errno == syscall.EINTR:
			continue
		case errno == syscall.EAGAIN:
			return d.noMore()
		case errno == syscall.EINVAL:
			s.drop()
			s.after = math.MaxInt // these conns cannot
			return true
		case errno != 0:
			s.drop()
			d.readErr = os.NewSyscallError("splice", errno)
			return true
		case n == 0:
			s.drop()
			d.readErr = io.EOF
			return true
		}
		s.held = n
		if d.writeSocket(s.onWritableOnce); s.held > 0 {
			return true
		}
		s.spliced(n)
		if d.relay.resting.Load() {
			return true
		}
	}
	return true
}

// fill moves what there is from src into the pipe. At the mark of TCP's urgent data
// splice(2) says that there is nothing more, or that the stream has ended, whatever is
// behind it: stuck. Reads get past it.
func (s *splice) fill(fd uintptr) (n int, errno syscall.Errno, stuck bool) {
	for range 2 {
		n, errno = spliceFds(int(fd), s.pipe.w, pipeSize)
		if n > 0 || errno != 0 && errno != syscall.EAGAIN {
			return n, errno, false
		}
		var b [1]byte
		if n, errno = socket.Peek(fd, b[:]); n <= 0 {
			return n, errno, false
		}
	}
	return 0, 0, true // on bytes that have not just come
}

func (s *splice) spliced(n int) {
	if n >= spliceMin {
		s.small = 0
		return
	}
	if s.small++; s.small == spliceSmall {
		s.drop()
		s.off()
	}
}

// splicePush is push with a pipe for a buffer.
func (d *direction) splicePush(fd uintptr) (done bool) {
	s := &d.splice
	for s.held > 0 {
		n, errno := spliceFds(s.pipe.r, int(fd), s.held)
		switch errno {
		case 0:
			s.held -= n
			d.count(n)
		case syscall.EINTR:
		case syscall.EAGAIN:
			return false
		default:
			d.writeErr = os.NewSyscallError("splice", errno)
			return true
		}
	}
	return true
}

// take makes sure of a pipe; false means that none is to be had.
func (s *splice) take() bool {
	if s.pipe == nil {
		s.pipe = takePipe()
	}
	return s.pipe != nil
}

// drop gives the pipe back: to the others if it is empty.
func (s *splice) drop() {
	switch {
	case s.pipe == nil:
	case s.held > 0:
		s.pipe.close()
	default:
		s.pipe.free()
	}
	s.pipe, s.held = nil, 0
}

// pipe is an empty pipe, or one that a direction holds.
type pipe struct{ r, w int }

// The house has no package variables that change. These stand for something that is
// one for the whole process, and its user: the kernel counts the pages of pipes by
// user, and beyond a limit grants but one (pipe(7)).
var (
	freePipes = make(chan *pipe, 8) // the rest of those open are in use
	openPipes atomic.Int32
)

// takePipe returns an empty pipe, or nil: too many are in use, descriptors have
// run out, or the kernel grants but a page.
func takePipe() *pipe {
	select {
	case p := <-freePipes:
		return p
	default:
	}
	if openPipes.Add(1) > maxPipes {
		openPipes.Add(-1)
		return nil
	}
	var fds [2]int
	if unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK) != nil {
		openPipes.Add(-1)
		return nil
	}
	p := &pipe{r: fds[0], w: fds[1]}
	if socket.Reserved(max(p.r, p.w)) { // to copy takes none
		p.close()
		return nil
	}
	if n, err := unix.FcntlInt(uintptr(p.w), unix.F_SETPIPE_SZ, pipeSize); err != nil || n < pipeSize {
		p.close()
		return nil
	}
	return p
}

func (p *pipe) free() {
	select {
	case freePipes <- p:
	default:
		p.close()
	}
}

func (p *pipe) close() {
	unix.Close(p.r)
	unix.Close(p.w)
	openPipes.Add(-1)
}
