package proxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"portside/discovery"
	"portside/pool"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// atOnce is how long what happens at once, or a few hundred milliseconds later, may take on
// a machine that has much else to do. Whatever else would end the same wait takes longer.
const atOnce = 3 * time.Second

// backend is a server on a loopback port whose connections are handled by serve.
type backend struct {
	address string
	ln      net.Listener
	wg      sync.WaitGroup
	mu      sync.Mutex
	conns   map[net.Conn]bool
}

func startBackend(t testing.TB, serve func(*net.TCPConn)) *backend {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &backend{address: ln.Addr().String(), ln: ln, conns: map[net.Conn]bool{}}
	b.wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			b.mu.Lock()
			b.conns[c] = true
			b.mu.Unlock()
			b.wg.Go(func() {
				serve(c.(*net.TCPConn))
				_ = c.Close()
				b.mu.Lock()
				delete(b.conns, c)
				b.mu.Unlock()
			})
		}
	})
	t.Cleanup(b.stop)
	return b
}

// stop is a backend's kill: its port and its connections go.
func (b *backend) stop() {
	_ = b.ln.Close()
	b.mu.Lock()
	for c := range b.conns {
		_ = c.Close()
	}
	b.mu.Unlock()
	b.wg.Wait()
}

// echoAs answers each line with its name and the line.
func echoAs(name string) func(*net.TCPConn) {
	return func(c *net.TCPConn) {
		for in := bufio.NewReader(c); ; {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			if _, err := io.WriteString(c, name+" "+line); err != nil {
				return
			}
		}
	}
}

// greetAs speaks first.
func greetAs(name string) func(*net.TCPConn) {
	return func(c *net.TCPConn) { _, _ = io.WriteString(c, name+"\n") }
}

// resets accepts and resets.
func resets(c *net.TCPConn) { _ = c.SetLinger(0) }

// closes accepts and closes.
func closes(*net.TCPConn) {}

// refusing is an address where nobody listens for as long as the test lasts: its port is
// taken, by a socket that does not.
func refusing(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	sa, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", sa.(*syscall.SockaddrInet4).Port)
}

// ownHost is a loopback host that is this process's alone, where the system has so many:
// nobody else takes a port of it that is free for a moment.
var ownHost = sync.OnceValue(func() string {
	if runtime.GOOS != "linux" {
		return "127.0.0.1"
	}
	return fmt.Sprintf("127.86.%d.%d", rand.IntN(256), 1+rand.IntN(254))
})

func endpointsOf(addresses ...string) (es []discovery.Endpoint) {
	for _, a := range addresses {
		es = append(es, discovery.Endpoint{Address: a})
	}
	return es
}

// service is a running proxy.
type service struct {
	*TCP
	pool    *pool.Pool
	address string
	stop    func() (cut int64)
}

func startTCP(t testing.TB, pc pool.Config, cfg Config, addresses ...string) *service {
	t.Helper()
	s := &service{}
	s.pool = newTestPool(pc, func(b *pool.Backend) { s.BackendLeft(b) })
	s.TCP = NewTCP(s.pool, cfg)
	s.address, s.stop = serveFront(t, s.pool, s.TCP, addresses)
	return s
}

// newTestPool is a pool that tells left of who has left it.
func newTestPool(cfg pool.Config, left func(*pool.Backend)) *pool.Pool {
	cfg.OnEvent = func(e pool.Event) {
		if e.Backend != nil && e.To == pool.Gone {
			left(e.Backend)
		}
	}
	return pool.New(cfg)
}

// serveFront serves p's backends, at addresses, on a port of the loopback until stop.
func serveFront(t testing.TB, p *pool.Pool, front interface {
	Serve(ctx context.Context, ln net.Listener) (cut int64, err error)
}, addresses []string,
) (address string, stop func() (cut int64)) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ln, err := Listen(ctx, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var cut int64
	wg.Go(func() { _ = p.Run(ctx) })
	wg.Go(func() {
		n, err := front.Serve(ctx, ln)
		if err != nil {
			t.Errorf("Serve = %v", err)
		}
		cut = n
	})
	if addresses != nil {
		p.Update(endpointsOf(addresses...))
	}
	stop = sync.OnceValue(func() int64 {
		cancel()
		wg.Wait()
		return cut
	})
	t.Cleanup(func() { stop() })
	return ln.Addr().String(), stop
}

func (s *service) dial(t *testing.T) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	t.Cleanup(func() { _ = c.Close() })
	return c.(*net.TCPConn)
}

// ask sends a line and returns the answer's first word: who answered.
func ask(c net.Conn) (string, error) {
	if _, err := io.WriteString(c, "hello\n"); err != nil {
		return "", err
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		return "", err
	}
	for i, x := range line {
		if x == ' ' || x == '\n' {
			return line[:i], nil
		}
	}
	return line, nil
}

// eventually polls until ok, at most 10 s.
func eventually(t *testing.T, why string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(why)
		}
	}
}

// backendOf is the backend at address, which has to be one that is chosen.
func backendOf(t *testing.T, p *pool.Pool, address string) *pool.Backend {
	t.Helper()
	for range 100 {
		lease, err := p.Acquire(0, nil)
		if err != nil {
			t.Fatal(err)
		}
		lease.Release()
		if b := lease.Backend(); b.Address() == address {
			return b
		}
	}
	t.Fatalf("%s is never chosen", address)
	return nil
}

func stateOf(p *pool.Pool, address string) pool.BackendStatus {
	for _, b := range p.Status().Backends {
		if b.Address == address {
			return b
		}
	}
	return pool.BackendStatus{State: pool.Gone}
}
