package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// child is the command that a process lives as long as.
type child struct {
	cmd      *exec.Cmd
	log      *slog.Logger
	terminal *terminal     // lent to it; nil: it has none of ours
	done     chan struct{} // closed when it has ended
	err      error         // of starting or waiting; read after done
}

// startChild starts command with our standard streams, in a process group of its own: a
// signal to our group then reaches only us, and we pass it on when it is time. If we have
// a terminal's foreground, the command gets it, since only from there can it read. Ctrl-C
// then reaches only the command, and we end as it does.
func startChild(command []string, std stdio, log *slog.Logger) *child {
	c := &child{cmd: exec.Command(command[0], command[1:]...), log: log, done: make(chan struct{})}
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = std.in, std.out, std.err
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if c.terminal = foregroundOf(std.in); c.terminal != nil {
		c.cmd.SysProcAttr.Foreground, c.cmd.SysProcAttr.Ctty = true, c.terminal.fd
	}
	err := c.cmd.Start()
	c.terminal.leave()
	if err != nil {
		c.terminal.takeBack() // the child has it even when it cannot be executed
		c.err = err
		close(c.done)
		return c
	}
	log.Info("command started", "command", command[0], "pid", c.cmd.Process.Pid)
	if c.terminal != nil {
		go c.terminal.control(c.cmd.Process.Pid, c.done)
	}
	go func() {
		defer close(c.done)
		c.err = c.cmd.Wait()
		c.terminal.end()
	}()
	return c
}

// started reports whether the command came to run at all.
func (c *child) started() bool { return c.cmd.Process != nil }

// end sends s, or SIGTERM if s is nil, to the command's group and waits until the command has
// ended. After timeout it kills the group.
func (c *child) end(s os.Signal, timeout time.Duration) {
	select {
	case <-c.done:
		return
	default:
	}
	n, ok := s.(syscall.Signal)
	if !ok {
		n = syscall.SIGTERM
	}
	c.log.Info("ending the command", "signal", n, "timeout", timeout)
	c.signal(n)
	c.signal(syscall.SIGCONT) // a stopped process would not get the signal
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-c.done:
	case <-timer.C:
		c.log.Warn("the command did not end in time and is killed", "timeout", timeout)
		c.signal(syscall.SIGKILL)
		<-c.done
	}
}

// report says that the command, once it ran, has ended by itself.
func (c *child) report() {
	if !c.started() {
		return // verdict says so
	}
	level, code := slog.LevelInfo, 0
	if e, failed := errors.AsType[exit](c.verdict()); failed {
		level, code = slog.LevelWarn, e.code
	}
	c.log.Log(context.Background(), level, "command exited; stopping", "code", code)
}

// kill ends the command's group on the spot, without waiting for it.
func (c *child) kill() {
	select {
	case <-c.done: // its number may be another's by now
		return
	default:
	}
	c.signal(syscall.SIGKILL)
	c.terminal.end()
}

// signal sends n to the command's group.
func (c *child) signal(n syscall.Signal) {
	if c.started() {
		_ = syscall.Kill(-c.cmd.Process.Pid, n)
	}
}

// verdict is the command's own exit code: 128+n if signal n ended it, 127 or 126
// as a shell says if it could not be started.
func (c *child) verdict() error {
	var failed *exec.ExitError
	switch {
	case c.err == nil:
		return nil
	case errors.As(c.err, &failed):
		if st, ok := failed.Sys().(syscall.WaitStatus); ok && st.Signaled() {
			return exit{128 + int(st.Signal()), nil}
		}
		return exit{failed.ExitCode(), nil}
	case errors.Is(c.err, exec.ErrNotFound), errors.Is(c.err, os.ErrNotExist):
		return exit{127, fmt.Errorf("start the command: %w", c.err)}
	default:
		return exit{126, fmt.Errorf("start the command: %w", c.err)}
	}
}
