package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"portside/cmd/portside/admin"
	"portside/discovery/etcd"
	"portside/discovery/etcd/embedded"
)

// The test binary is portside, an etcd, or what else a process of its own has to do, when told so: what is tested is a
// process with its signals and exit codes.
func TestMain(m *testing.M) {
	switch os.Getenv("PORTSIDE_TEST_AS") {
	case "portside":
		main()
	case "etcd":
		etcdMain()
	case "blind":
		blindMain()
	}
	os.Exit(m.Run())
}

// etcdMain serves an etcd until it is killed.
func etcdMain() {
	etcd.SilenceGRPC()
	s, err := embedded.Start(embedded.Options{Dir: os.Args[1], ClientURL: os.Args[2]})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(s.Endpoint())
	_, _ = io.Copy(io.Discard, os.Stdin) // until the test is no more
	os.Exit(0)
}

// proc is a process that was started by a test.
type proc struct {
	t    *testing.T
	cmd  *exec.Cmd
	out  *output
	done chan struct{}
}

// output is what a process has printed so far.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

func start(t *testing.T, as string, env []string, args ...string) *proc {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &proc{t: t, cmd: exec.Command(self, args...), out: &output{}, done: make(chan struct{})}
	// What is killed clears nothing away.
	p.cmd.Env = append(append(os.Environ(), "PORTSIDE_TEST_AS="+as, "TMPDIR="+t.TempDir()), env...)
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	if as == "etcd" {
		in, err := p.cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = in.Close() })
	}
	p.cmd.WaitDelay = time.Second
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = p.cmd.Wait(); close(p.done) }()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.done
		if t.Failed() {
			t.Logf("%s %v printed:\n%s", as, args, p.out)
		}
	})
	return p
}

// wait waits for the process's end and returns its exit code.
func (p *proc) wait(within time.Duration) int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(within):
		p.t.Fatalf("%v has not ended within %s", p.cmd.Args, within)
	}
	return p.cmd.ProcessState.ExitCode()
}

func (p *proc) signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) }

// portside is a running portside with its admin port.
type portside struct {
	*proc
	admin string
}

// runPortside starts portside run, waits until it is up, and returns it.
func runPortside(t *testing.T, endpoint string, args ...string) *portside {
	t.Helper()
	p := &portside{admin: freeAddress(t)}
	args = append([]string{"run", "--admin", p.admin, "--log-level", "debug"}, args...)
	if endpoint != "" {
		args = append(args[:1:1], append([]string{"--etcd", endpoint}, args[1:]...)...)
	}
	p.proc = start(t, "portside", nil, args...)
	eventually(t, "portside does not answer on its admin port", func() bool {
		resp, err := http.Get("http://" + p.admin + "/healthz")
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return true
	})
	return p
}

func (p *portside) service(name string) (s admin.Service) {
	p.t.Helper()
	p.get("/api/v1/services/"+name, &s)
	return s
}

func (p *portside) registrations() (all []admin.Registration) {
	p.t.Helper()
	p.get("/api/v1/registrations", &all)
	return all
}

// get decodes what the API has at path into out.
func (p *portside) get(path string, out any) {
	p.t.Helper()
	resp, err := http.Get("http://" + p.admin + path)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		p.t.Fatal(err)
	}
}

// ownHost is a loopback host that is this process's alone, where the system has so many:
// whatever else runs on the machine, another run of these tests included, takes no port
// of it that is free for a moment.
var ownHost = sync.OnceValue(func() string {
	if runtime.GOOS != "linux" {
		return "127.0.0.1"
	}
	return fmt.Sprintf("127.85.%d.%d", rand.IntN(256), 1+rand.IntN(254))
})

// freeAddress is a loopback address nobody listens on, another one each time. Its
// port is none of those the kernel gives to outgoing connections: one of those
// could take it while the test has it free.
func freeAddress(t *testing.T) string {
	t.Helper()
	return freeAddressOn(t, ownHost())
}

func freeAddressOn(t *testing.T, host string) string {
	t.Helper()
	for {
		ln, err := net.Listen("tcp", fmt.Sprintf("%s:%d", host, 10_000+rand.IntN(20_000)))
		if err != nil {
			continue
		}
		address := ln.Addr().String()
		_ = ln.Close()
		if _, given := givenAddresses.LoadOrStore(address, true); !given {
			return address
		}
	}
}

var givenAddresses sync.Map

// refusing is an address where nobody listens for as long as the test lasts.
func refusing(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	syscall.CloseOnExec(fd)
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	sa, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", sa.(*syscall.SockaddrInet4).Port)
}

func eventually(t *testing.T, why string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(why)
		}
	}
}

// startEtcd runs an etcd in this process, with a client.
func startEtcd(t *testing.T) (endpoint string, c *clientv3.Client) {
	t.Helper()
	s, err := embedded.Start(embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s.Endpoint(), etcdClient(t, s.Endpoint())
}

func etcdClient(t *testing.T, endpoint string) *clientv3.Client {
	t.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, Logger: zap.NewNop(), DialTimeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func put(t *testing.T, c *clientv3.Client, key, value string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := c.Put(ctx, key, value); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, c *clientv3.Client, key string, opts ...clientv3.OpOption) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := c.Delete(ctx, key, opts...); err != nil {
		t.Fatal(err)
	}
}

// echo is a backend that greets each client with its address, then echoes.
func echo(t *testing.T) (address string, stop func()) {
	t.Helper()
	ln, err := net.Listen("tcp", ownHost()+":0")
	if err != nil {
		t.Fatal(err)
	}
	address = ln.Addr().String()
	var wg sync.WaitGroup
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[c] = true
			mu.Unlock()
			wg.Go(func() {
				_, _ = io.WriteString(c, address+"\n")
				_, _ = io.Copy(c, c)
				_ = c.Close()
			})
		}
	})
	stop = sync.OnceFunc(func() {
		_ = ln.Close()
		mu.Lock()
		for c := range open {
			_ = c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	t.Cleanup(stop)
	return address, stop
}

// who connects and returns the backend that answers.
func who(address string) (string, error) {
	c, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	line, err := bufio.NewReader(c).ReadString('\n')
	return strings.TrimSpace(line), err
}
