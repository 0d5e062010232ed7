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

// terminal is the one we were started from, whose foreground the command has
// while it runs. There only one process group may read, and Ctrl-C and Ctrl-Z are
// sent to that one. A nil terminal is none.
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

// leave prepares us for the background: to change a terminal's foreground, or to
// write to it, from there is answered with SIGTTOU, which would stop us. What is
// started later ignores it too, so the command is started first.
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

// takeBack makes the foreground ours again, if it was lent, as it reports.
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

// end takes the foreground back for good. A pager behind us, which is of our group,
// was stopped if it wanted the terminal meanwhile.
func (t *terminal) end() {
	if t.takeBack() {
		_ = syscall.Kill(0, syscall.SIGCONT)
	}
}

// control stops us when the command is stopped, as by Ctrl-Z, so that our parent,
// a shell, sees its job stopped and has its terminal; once it lets us go on, so
// does the command. It returns when done is closed.
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

// stopSelf stops our group and returns once it may go on: at once where no shell
// is there to see to that, since the kernel stops no such group.
func stopSelf(resumed <-chan os.Signal) {
	select {
	case <-resumed: // of a former time
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
