package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// process is a child and all that it has started: the child leads a process group.
type process struct {
	cmd   *exec.Cmd
	stdin io.Closer
	said  bytes.Buffer // standard error; read after done
	done  chan struct{}
}

func startProcess(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, done: make(chan struct{})}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	p.stdin = stdin
	cmd.Stderr = &p.said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return p, nil
}

// watch waits for the process in the background, and closes done. It is called once, when
// nobody reads from the process's pipes any more.
func (p *process) watch() {
	go func() {
		_ = p.cmd.Wait()
		close(p.done)
	}()
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// stop ends the group: politely for a second, then at once.
func (p *process) stop() {
	_ = syscall.Kill(-p.pid(), syscall.SIGTERM)
	_ = p.stdin.Close()
	select {
	case <-p.done:
	case <-time.After(time.Second):
	}
	_ = syscall.Kill(-p.pid(), syscall.SIGKILL)
	<-p.done
}

// startRole starts this program in a role and reports where it listens.
func startRole(role string, args ...string) (*process, []string, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.Command(exe, args...)
	cmd.Env = append(os.Environ(), roleEnv+"="+role)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	p, err := startProcess(cmd)
	if err != nil {
		return nil, nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	p.watch()
	if err != nil {
		p.stop()
		return nil, nil, fmt.Errorf("start backend %s: %w: %s", role, err, p.said.String())
	}
	return p, strings.Fields(line), nil
}

// await asks ready again and again, after a pause each, until it says nil, the process has
// ended or 20 s are over.
func (p *process) await(ctx context.Context, pause time.Duration, ready func() error) error {
	deadline := time.Now().Add(20 * time.Second)
	for {
		err := ready()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.done:
			return fmt.Errorf("%s ended: %s", p.cmd.Path, bytes.TrimSpace(p.said.Bytes()))
		case <-time.After(pause):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s is not ready: %w", p.cmd.Path, err)
		}
	}
}
