package parking

import (
	"context"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// poller is an epoll instance of our own (epoll(7)) beside the runtime's, which
// does not say what has happened, and forgets what nobody waits for. The runtime's
// watches ours: no thread waits in it.
//
// It tells of edges (EPOLLET), and first of what was there before: to sleep again
// takes no system call. The kernel takes out whatever is closed.
type poller struct {
	fd     int
	file   *os.File
	raw    syscall.RawConn
	events [256]unix.EpollEvent
	load   load
}

// Start opens the lot, which [Lot.Run] then has to watch.
func (l *Lot) Start() error {
	if err := l.poller.start(); err != nil {
		return err
	}
	l.mu.Lock()
	l.open, l.began, l.due = true, time.Now(), never
	l.mu.Unlock()
	return nil
}

// Run watches a lot that was started, until ctx ends. When it returns the lot is
// closed, and who was still parked has been woken.
func (l *Lot) Run(ctx context.Context) {
	defer context.AfterFunc(ctx, l.shut)()
	var some []woken
	for open := true; open; {
		_ = l.poller.raw.Read(func(uintptr) bool { // until the alarm, or there is more than was asked for
			var whole bool
			some, whole = l.readable(some)
			return !whole
		})
		l.mu.Lock()
		open = l.open
		some = l.overdue(some, !open)
		l.mu.Unlock()
		some = l.wake(some, true)
	}
	_ = l.poller.file.Close()
}

// shut closes the lot: nobody is let in, and Run leaves.
func (l *Lot) shut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open = false
	l.poller.alarm(time.Unix(1, 0))
}

// readable wakes those for whom there is something, and reports whether that was
// all: then what comes is told of anew. Some is an empty list to use.
func (l *Lot) readable(some []woken) (_ []woken, whole bool) {
	// Which does not wait: told to the scheduler as computation.
	n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(l.poller.fd), uintptr(unsafe.Pointer(&l.poller.events[0])), uintptr(len(l.poller.events)), 0, 0, 0)
	if errno != 0 {
		return some, errno != unix.EINTR
	}
	l.mu.Lock()
	for _, e := range l.poller.events[:n] {
		spot, which := of(e)
		some = l.happened(spot, which, event(e), some)
	}
	l.mu.Unlock()
	whole = int(n) < len(l.poller.events)
	return l.wake(some, whole), whole
}

func (p *poller) start() error {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd)
		return os.NewSyscallError("fcntl", err)
	}
	p.fd, p.file = fd, os.NewFile(uintptr(fd), "parking")
	if p.raw, err = p.file.SyscallConn(); err == nil {
		err = p.file.SetReadDeadline(time.Time{}) // is it watched by the runtime?
	}
	if err != nil {
		_ = p.file.Close()
	}
	return err
}

// watch begins to watch c, of the two connections at spot that one.
func (p *poller) watch(c syscall.RawConn, spot Spot, which int) (ok bool) {
	return p.control(unix.EPOLL_CTL_ADD, c, unix.EpollEvent{
		Events: unix.EPOLLIN | unix.EPOLLPRI | unix.EPOLLRDHUP | unix.EPOLLET, Fd: int32(spot.number), Pad: int32(spot.turn<<1 | uint32(which)),
	})
}

// of says whom an event is for. A turn has 31 bits there.
func of(e unix.EpollEvent) (spot Spot, which int) {
	return Spot{number: uint32(e.Fd), turn: uint32(e.Pad) >> 1}, int(e.Pad & 1)
}

// event is what an event says.
func event(e unix.EpollEvent) Event {
	what := Readable
	if e.Events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		what |= Ended
	}
	if e.Events&unix.EPOLLPRI != 0 {
		what |= Urgent
	}
	if e.Events&unix.EPOLLERR != 0 {
		what |= Lost
	}
	return what
}

// forget no longer watches c. A closed one it never does.
func (p *poller) forget(c syscall.RawConn) {
	p.control(unix.EPOLL_CTL_DEL, c, unix.EpollEvent{})
}

// control is epoll_ctl(2); false if it fails, or one of the two is closed.
func (p *poller) control(what int, c syscall.RawConn, e unix.EpollEvent) (ok bool) {
	k := calls.Get().(*call)
	defer calls.Put(k)
	k.what, k.conn, k.event, k.ok = what, c, e, false
	_ = p.raw.Control(k.onOwn)
	k.conn = nil
	return k.ok
}

// call is a call of epoll_ctl, with the callbacks for the two descriptors, so that
// none is made for it.
type call struct {
	what      int
	conn      syscall.RawConn
	event     unix.EpollEvent
	own       uintptr
	ok        bool
	onOwn, on func(fd uintptr)
}

var calls = sync.Pool{New: func() any {
	k := &call{}
	k.on = func(fd uintptr) {
		_, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_CTL, k.own, uintptr(k.what), fd, uintptr(unsafe.Pointer(&k.event)), 0, 0)
		k.ok = errno == 0
	}
	k.onOwn = func(fd uintptr) {
		k.own = fd
		_ = k.conn.Control(k.on)
	}
	return k
}}

// alarm ends the wait at t.
func (p *poller) alarm(t time.Time) { _ = p.file.SetReadDeadline(t) }
