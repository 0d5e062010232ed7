package main

import (
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
	cmd  *exec.Cmd
	log  *slog.Logger
	done chan struct{} // closed when it has ended
	err  error         // of starting or waiting; read after done
	cut  bool          // killed for not ending in time
}

// startChild starts command with our standard streams, in a process group of its
// own: a terminal's Ctrl-C reaches us alone, who pass it on in order.
func startChild(command []string, std stdio, log *slog.Logger) *child {
	c := &child{cmd: exec.Command(command[0], command[1:]...), log: log, done: make(chan struct{})}
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = std.in, std.out, std.err
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := c.cmd.Start(); err != nil {
		c.err = err
		close(c.done)
		return c
	}
	log.Info("command started", "command", command[0], "pid", c.cmd.Process.Pid)
	go func() {
		defer close(c.done)
		c.err = c.cmd.Wait()
	}()
	return c
}

// end sends s to the command's group and waits for its end, and kills the group
// when it has not come after timeout. Without a signal the command has ended by
// itself, or is to be ended by SIGTERM.
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
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-c.done:
	case <-timer.C:
		c.log.Warn("the command did not end in time and is killed", "timeout", timeout)
		c.cut = true
		c.signal(syscall.SIGKILL)
		<-c.done
	}
}

// signal sends n to the command's group.
func (c *child) signal(n syscall.Signal) {
	if c.cmd.Process != nil {
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
