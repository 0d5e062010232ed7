package socket

import (
	"errors"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ownAccept accepts by accept4(2) on a second descriptor of the listening socket:
// net's own can be waited for by net alone.
type ownAccept struct {
	f    *os.File
	raw  syscall.RawConn
	call func(fd uintptr) (done bool)

	most    int // the first descriptor that no client may have
	closing atomic.Bool

	conn  *file
	held  *file // has one that is too high, and waits for another
	errno syscall.Errno
	from  unix.RawSockaddrInet6
	len   uint32
}

// start may fail: then net accepts.
func (a *ownAccept) start(ln net.Listener, keepAlive net.KeepAliveConfig) {
	tcp, ok := ln.(*net.TCPListener)
	if !ok {
		return
	}
	f, err := tcp.File()
	if err != nil {
		return
	}
	raw, err := f.SyscallConn()
	// What each connection is to have is set once: accept(2) leaves it to the
	// system, and Linux copies it from the socket that listens.
	inherit := func(fd uintptr) {
		noDelay(fd)
		setKeepAlive(int(fd), keepAlive)
	}
	if err != nil || f.SetReadDeadline(time.Time{}) != nil || raw.Control(inherit) != nil {
		_ = f.Close()
		return
	}
	a.f, a.raw, a.call, a.most = f, raw, a.next, share().client
}

func (a *ownAccept) ready() bool { return a.f != nil }

func (a *ownAccept) accept() (Stream, error) {
	a.conn, a.errno = nil, 0
	if a.held != nil {
		return a.lower()
	}
	err := a.raw.Read(a.call)
	if errors.Is(err, os.ErrDeadlineExceeded) { // close: who has connected is still let in
		some := false
		err = a.raw.Control(func(fd uintptr) { some = a.next(fd) })
		if err == nil && !some {
			_ = a.f.Close()
			err = net.ErrClosed
		}
	}
	switch {
	case err != nil:
		return nil, net.ErrClosed
	case a.errno != 0:
		return nil, os.NewSyscallError("accept4", a.errno)
	}
	return a.conn, nil
}

// next takes the next client, if there is one.
func (a *ownAccept) next(fd uintptr) (done bool) {
	for {
		a.len = uint32(unsafe.Sizeof(a.from))
		conn, _, errno := syscall.RawSyscall6(unix.SYS_ACCEPT4, fd, uintptr(unsafe.Pointer(&a.from)), uintptr(unsafe.Pointer(&a.len)), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
		switch errno {
		case 0:
			a.conn = newFile(int(conn), addrPort(&a.from))
			if int(conn) >= a.most && !a.closing.Load() {
				a.held, a.conn, a.errno = a.conn, nil, syscall.EMFILE
			}
			return true
		case syscall.EINTR:
		case syscall.EAGAIN:
			return false
		default:
			a.errno = errno
			return true
		}
	}
}

// lower lets the client in who was held, if there is a descriptor for it now, or if there
// will be no later. Those behind it wait where all do when there is none, with the kernel.
func (a *ownAccept) lower() (Stream, error) {
	a.held = a.held.unpolled()
	if a.held.fd >= a.most && !a.closing.Load() {
		return nil, os.NewSyscallError("accept4", syscall.EMFILE)
	}
	c := a.held
	a.held = nil
	return c, nil
}

// close wakes accept.
func (a *ownAccept) close() {
	a.closing.Store(true)
	if a.f != nil {
		_ = a.f.SetReadDeadline(time.Unix(1, 0))
	}
}

func (a *ownAccept) release() {
	if a.held != nil {
		_ = a.held.Close()
	}
	if a.f != nil {
		_ = a.f.Close()
	}
}
