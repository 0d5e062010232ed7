package relay

import (
	"errors"
	"io"
	"net"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// kinds are the conns a relay is tried with. pair returns two ends of one.
var kinds = []struct {
	name   string
	socket bool // resets exist, and the kernel holds bytes
	pair   func(testing.TB) (Conn, Conn)
}{
	{"tcp", true, tcpPair},
	{"tcp in steps", true, stepPair},
	{"unix", true, unixPair},
	{"duplex", false, func(testing.TB) (Conn, Conn) { return newDuplex() }},
}

func tcpPair(t testing.TB) (Conn, Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return connect(t, l)
}

func unixPair(t testing.TB) (Conn, Conn) {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	return connect(t, l)
}

func connect(t testing.TB, l net.Listener) (Conn, Conn) {
	t.Helper()
	defer l.Close()
	return connectTo(t, l)
}

func connectTo(t testing.TB, l net.Listener) (Conn, Conn) {
	t.Helper()
	a, err := net.Dial(l.Addr().Network(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return a.(Conn), b.(Conn)
}

// duplex is a conn that is no socket: two net.Pipes, one a direction, so that
// each can end alone.
type duplex struct {
	net.Conn // reads
	w        net.Conn
}

func newDuplex() (Conn, Conn) {
	r1, w1 := net.Pipe()
	r2, w2 := net.Pipe()
	return &duplex{r1, w2}, &duplex{r2, w1}
}

func (p *duplex) Write(b []byte) (int, error) { return p.w.Write(b) }
func (p *duplex) CloseWrite() error           { return p.w.Close() }
func (p *duplex) Close() error                { return errors.Join(p.Conn.Close(), p.w.Close()) }
func (p *duplex) SetWriteDeadline(t time.Time) error {
	return p.w.SetWriteDeadline(t)
}

func (p *duplex) SetDeadline(t time.Time) error {
	return errors.Join(p.Conn.SetReadDeadline(t), p.w.SetWriteDeadline(t))
}

// running is a relay at work between the test's own ends of two conns.
type running struct {
	client, backend Conn
	// The relay's ends, to cancel it with.
	innerClient, innerBackend Conn

	t    testing.TB
	done chan Result
}

func start(t testing.TB, pair func(testing.TB) (Conn, Conn), cfg Config) *running {
	t.Helper()
	return startWith(t, pair, cfg, func(*relay) {})
}

// startWith lets change alter the relay before it runs.
func startWith(t testing.TB, pair func(testing.TB) (Conn, Conn), cfg Config, change func(*relay)) *running {
	t.Helper()
	r := &running{t: t, done: make(chan Result, 1)}
	r.client, r.innerClient = pair(t)
	r.backend, r.innerBackend = pair(t)
	t.Cleanup(func() { r.client.Close(); r.backend.Close() })
	if c, ok := r.innerClient.(*stepped); ok {
		go func() { r.done <- inSteps(t, c, r.innerBackend.(*stepped), cfg) }()
		return r
	}
	inner := newRelay(r.innerClient, r.innerBackend, &cfg)
	change(inner)
	go func() { r.done <- inner.run() }()
	return r
}

// result waits for the relay to end.
func (r *running) result() Result {
	r.t.Helper()
	select {
	case res := <-r.done:
		return res
	case <-time.After(20 * time.Second):
		r.t.Fatal("the relay did not end")
	}
	return Result{}
}

// reset makes the peer of c see a reset.
func reset(t testing.TB, c Conn) {
	t.Helper()
	if err := c.(*net.TCPConn).SetLinger(0); err != nil {
		t.Fatal(err)
	}
	c.Close()
}

func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

func write(t testing.TB, c io.Writer, s string) {
	t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		t.Fatalf("write: %v", err)
	}
}

func expect(t testing.TB, c net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	defer c.SetReadDeadline(time.Time{})
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Fatalf("read %q, %v; want %q", got, err, want)
	}
}

func expectEnd(t testing.TB, c net.Conn, want func(error) bool, name string) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	n, err := c.Read(make([]byte, 1))
	if n != 0 || !want(err) {
		t.Fatalf("read %d bytes, %v; want %s", n, err, name)
	}
}

func expectEOF(t testing.TB, c net.Conn) {
	t.Helper()
	expectEnd(t, c, func(err error) bool { return err == io.EOF }, "a clean end")
}

func expectReset(t testing.TB, c net.Conn) {
	t.Helper()
	expectEnd(t, c, isReset, "a reset")
}
