package main

import (
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// terminal is the one we were started from. While the command runs it is in the foreground:
// only the process group there may read, and Ctrl-C and Ctrl-Z are sent to it. Nil is no
// terminal.
type terminal struct {
	fd int

	mu   sync.Mutex
	lent bool
}

// foregroundOf is the terminal behind in, if its foreground is ours to lend.
func foregroundOf(in any) *terminal {
	f, ok := in.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	t := &terminal{fd: int(f.Fd())}
	if !t.ours() {
		return nil
	}
	t.lent = true
	return t
}

// leave prepares us for the background. From there, changing the terminal's foreground or
// writing to it is answered with SIGTTOU, which would stop us. Processes that are started
// later would inherit that it is ignored, so leave comes after the command's start.
func (t *terminal) leave() {
	if t != nil {
		signal.Ignore(syscall.SIGTTOU)
	}
}

// ours reports whether our group is in the foreground.
func (t *terminal) ours() bool {
	group, err := unix.IoctlGetInt(t.fd, unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

// lend gives group the foreground if we have it.
func (t *terminal) lend(group int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ours() {
		t.lent = unix.IoctlSetPointerInt(t.fd, unix.TIOCSPGRP, group) == nil
	}
}

// takeBack makes the foreground ours again if it was lent, and reports whether it was.
func (t *terminal) takeBack() (lent bool) {
	if t == nil {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if lent = t.lent; lent {
		_ = unix.IoctlSetPointerInt(t.fd, unix.TIOCSPGRP, unix.Getpgrp())
		t.lent = false
	}
	return lent
}

// end takes the foreground back for good, and lets our group go on: a pager behind us, which
// is part of it, was stopped if it wanted the terminal meanwhile.
func (t *terminal) end() {
	if t.takeBack() {
		_ = syscall.Kill(0, syscall.SIGCONT)
	}
}

// control stops us when the command is stopped, as by Ctrl-Z: our parent, a shell, is to see
// that its job has stopped, and to have its terminal back. When the shell lets us go on, the
// command goes on, too. Control returns when done is closed.
func (t *terminal) control(command int, done <-chan struct{}) {
	children, resumed := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(children, syscall.SIGCHLD)
	defer signal.Stop(children)
	signal.Notify(resumed, syscall.SIGCONT)
	defer signal.Stop(resumed)
	for {
		if isStopped(command) {
			t.takeBack()
			stopSelf(resumed)
			t.lend(command)
			_ = syscall.Kill(-command, syscall.SIGCONT)
		}
		select {
		case <-done:
			return
		case <-children:
		}
	}
}

// stopSelf stops our group and returns when it may go on. Where there is no shell to let it go
// on, the kernel does not stop it, and stopSelf returns in a moment.
func stopSelf(resumed <-chan os.Signal) {
	select {
	case <-resumed: // from an earlier stop
	default:
	}
	_ = syscall.Kill(0, syscall.SIGTSTP)
	timer := time.NewTimer(100 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-resumed:
	case <-timer.C:
	}
}
