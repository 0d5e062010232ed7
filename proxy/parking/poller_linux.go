package parking

import (
	"context"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// poller is an epoll instance of our own (epoll(7)) beside the runtime's, which
// tells of edges to those who wait already. Ours tells of what is there, so that
// nothing that came before is missed. The runtime's poller watches ours: no thread
// waits in it.
//
// What has been told of is told once (EPOLLONESHOT). A connection that is being
// closed may be there without anybody being able to take it out of the instance.
type poller struct {
	fd     int
	file   *os.File
	raw    syscall.RawConn
	events [64]unix.EpollEvent
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
	var woken []Sleeper
	for open := true; open; {
		_ = l.poller.raw.Read(func(uintptr) bool { woken = l.readable(woken); return false }) // until the alarm
		l.mu.Lock()
		open = l.open
		woken = l.overdue(woken, !open)
		l.mu.Unlock()
		woken = wake(woken)
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

// readable wakes those for whom there is something. Some is an empty list to use.
func (l *Lot) readable(some []Sleeper) []Sleeper {
	for {
		// Which does not wait: told to the scheduler as computation.
		n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(l.poller.fd), uintptr(unsafe.Pointer(&l.poller.events[0])), uintptr(len(l.poller.events)), 0, 0, 0)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 || n == 0 {
			return some
		}
		l.mu.Lock()
		for _, e := range l.poller.events[:n] {
			if spot := spotOf(e); l.at(spot) != nil {
				some = append(some, l.leave(spot.number))
			}
		}
		l.mu.Unlock()
		some = wake(some)
	}
}

// wake wakes all of woken, and returns the list empty.
func wake(woken []Sleeper) []Sleeper {
	for _, s := range woken {
		s.Wake()
	}
	clear(woken)
	return woken[:0]
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

// watch begins to watch c, for who is at spot.
func (p *poller) watch(c syscall.RawConn, spot Spot) (ok bool) {
	err := c.Control(func(fd uintptr) {
		e := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLONESHOT, Fd: int32(spot.number), Pad: int32(spot.turn)}
		err := unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, int(fd), &e)
		ok = err == nil
	})
	return err == nil && ok
}

func spotOf(e unix.EpollEvent) Spot { return Spot{number: uint32(e.Fd), turn: uint32(e.Pad)} }

// forget no longer watches c. A closed one it never does.
func (p *poller) forget(c syscall.RawConn) {
	_ = c.Control(func(fd uintptr) { _ = unix.EpollCtl(p.fd, unix.EPOLL_CTL_DEL, int(fd), nil) })
}

// alarm ends the wait at t.
func (p *poller) alarm(t time.Time) { _ = p.file.SetReadDeadline(t) }
