package socket

import (
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Who has closed its window and acknowledges each probe is alive. The kernel ends its
// connection all the same when TCP_USER_TIMEOUT is over, unless that is lifted.
func TestLiftedUserTimeoutBearsWithAClosedWindow(t *testing.T) {
	c, raw, peer := limited(t, time.Second)
	const size = 32 << 20 // more than both kernels hold
	wrote := make(chan error, 1)
	go func() {
		_, err := c.Write(make([]byte, size))
		wrote <- err
	}()
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		_ = raw.Control(LiftUserTimeout)
	}
	if n, err := io.CopyN(io.Discard, peer, size); err != nil {
		t.Errorf("the peer, which read nothing for 3 s, gets %d bytes and then %v; want all", n, err)
	}
	if err := <-wrote; err != nil {
		t.Error(err)
	}
}

// The limit stays where a peer reads, and where nothing is known of it.
func TestUserTimeoutIsNotLiftedWithoutNeed(t *testing.T) {
	c, raw, peer := limited(t, 3*time.Second)
	for range 100 {
		if _, err := c.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		_ = raw.Control(LiftUserTimeout)
		if _, err := peer.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
	if got := userTimeoutOf(t, raw); got != 3*time.Second {
		t.Errorf("the limit is %v, want 3s: a peer that loses its power must not hang for minutes", got)
	}
}

func userTimeoutOf(t *testing.T, raw syscall.RawConn) time.Duration {
	t.Helper()
	var ms int
	var err error
	if cerr := raw.Control(func(fd uintptr) { ms, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT) }); cerr != nil || err != nil {
		t.Fatal(cerr, err)
	}
	return time.Duration(ms) * time.Millisecond
}

// limited is a connection with that user timeout, and its peer.
func limited(t *testing.T, limit time.Duration) (c Stream, raw syscall.RawConn, peer net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	d := Dialer{UserTimeout: limit}
	if c, err = d.Dial(t.Context(), ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if peer, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = peer.Close() })
	if raw, err = c.SyscallConn(); err != nil {
		t.Fatal(err)
	}
	return c, raw, peer
}
