package etcd

import (
	"bufio"
	"encoding/json"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
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
	config   map[string]any // under the names of etcd's own file
	cmd      *exec.Cmd
	stdin    io.Closer
}

// startProcess starts an etcd that is quick to elect itself, and differs from
// that in what the settings say.
func startProcess(t testing.TB, settings ...map[string]any) *process {
	t.Helper()
	p := newProcess(t, settings...)
	p.start()
	return p
}

func newProcess(t testing.TB, settings ...map[string]any) *process {
	anywhere := "http://" + ownHost() + ":0"
	p := &process{TB: t, dir: t.TempDir(), config: map[string]any{
		"name":             "portside",
		"listen-peer-urls": anywhere, "initial-advertise-peer-urls": anywhere, "initial-cluster": "portside=" + anywhere,
		"listen-client-urls": anywhere,
		"heartbeat-interval": 10, "election-timeout": 100, "unsafe-no-fsync": true, "bcrypt-cost": 4, "log-level": "error",
	}}
	for _, s := range settings {
		maps.Copy(p.config, s)
	}
	p.config["data-dir"] = p.dir
	t.Cleanup(p.kill)
	return p
}

// configFile is the file that p starts with.
func (p *process) configFile() string {
	if p.url != "" {
		p.config["listen-client-urls"] = p.url // where it was before
	}
	p.config["advertise-client-urls"] = p.config["listen-client-urls"]
	text, err := json.Marshal(p.config) // which is YAML
	if err != nil {
		p.Fatal(err)
	}
	file := filepath.Join(p.TempDir(), "etcd.yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		p.Fatal(err)
	}
	return file
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
	p.cmd.Env = append(os.Environ(), serveEnv+"="+p.configFile())
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
