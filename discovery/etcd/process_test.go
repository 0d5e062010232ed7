package etcd

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A process is an etcd of its own, which can be frozen, killed, and brought
// back on the same directory and port.
type process struct {
	testing.TB
	dir, url string
	token    string
	cmd      *exec.Cmd
	stdin    io.Closer
}

func startProcess(t testing.TB) *process {
	t.Helper()
	p := &process{TB: t, dir: t.TempDir()}
	p.start()
	t.Cleanup(p.kill)
	return p
}

func (p *process) start() {
	p.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !p.tryStart() {
		if time.Now().After(deadline) {
			p.Fatal("etcd does not start")
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func (p *process) tryStart() bool {
	p.cmd = exec.Command(os.Args[0])
	p.cmd.Env = append(os.Environ(), serveEnv+"="+p.dir, serveEnv+"_URL="+p.url, serveEnv+"_TOKEN="+p.token)
	p.cmd.Stderr = os.Stderr
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		p.Fatal(err)
	}
	p.stdin = stdin
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		p.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		p.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		p.cmd.Wait()
		p.cmd = nil
		return false
	}
	p.url = strings.TrimSpace(line)
	return true
}

// kill is kill -9.
func (p *process) kill() {
	if p.cmd == nil {
		return
	}
	p.cmd.Process.Kill()
	p.cmd.Wait()
	p.cmd = nil
}

// stop lets etcd end in peace.
func (p *process) stop() {
	p.cmd.Process.Signal(syscall.SIGTERM)
	p.cmd.Wait()
	p.cmd = nil
}

func (p *process) freeze() { p.cmd.Process.Signal(syscall.SIGSTOP) }
func (p *process) thaw()   { p.cmd.Process.Signal(syscall.SIGCONT) }

// empty is what an emptied data directory makes of a stopped etcd.
func (p *process) empty() {
	if err := os.RemoveAll(p.dir); err != nil {
		p.Fatal(err)
	}
}

// backup copies a stopped etcd's data, and returns what brings it back.
func (p *process) backup() (restore func()) {
	copied := p.TempDir()
	if err := os.CopyFS(copied, os.DirFS(p.dir)); err != nil {
		p.Fatal(err)
	}
	return func() {
		p.empty()
		if err := os.CopyFS(p.dir, os.DirFS(copied)); err != nil {
			p.Fatal(err)
		}
	}
}
