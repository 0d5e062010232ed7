package socket

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var probed = net.KeepAliveConfig{Enable: true, Idle: 17 * time.Second, Interval: 3 * time.Second, Count: 4}

// accepted is a connection that a Listener accepted, and its peer.
func accepted(t *testing.T, host string) (Stream, *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Skip("no such address on this machine: ", err)
	}
	l := NewListener(ln, probed)
	defer l.Close()
	peer, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = peer.Close(), c.Close() })
	return c, peer.(*net.TCPConn)
}

// An accepted connection does what net's does.
func TestListenerAccepts(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "::1"} {
		t.Run(host, func(t *testing.T) {
			c, peer := accepted(t, host)
			if c.LocalAddr().String() != peer.RemoteAddr().String() || c.RemoteAddr().String() != peer.LocalAddr().String() {
				t.Errorf("from %v to %v, the peer says from %v to %v", c.RemoteAddr(), c.LocalAddr(), peer.LocalAddr(), peer.RemoteAddr())
			}
			raw, _ := c.SyscallConn()
			noDelay := 0
			_ = raw.Control(func(fd uintptr) { noDelay, _ = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NODELAY) })
			if noDelay == 0 {
				t.Error("small writes wait for what was written before (TCP_NODELAY is not set)")
			}
			for name, o := range map[string]struct{ level, option, want int }{
				"SO_KEEPALIVE":  {unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
				"TCP_KEEPINTVL": {unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 3},
				"TCP_KEEPCNT":   {unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 4},
			} {
				got := -1
				_ = raw.Control(func(fd uintptr) { got, _ = unix.GetsockoptInt(int(fd), o.level, o.option) })
				if runtime.GOOS == "linux" && got != o.want {
					t.Errorf("%s is %d, want %d: a client that lost its power would be kept for ever", name, got, o.want)
				}
			}
			conversation(t, c, peer)
		})
	}
}

func TestListenerCloses(t *testing.T) {
	address := "127.0.0.1:0"
	if runtime.GOOS == "linux" {
		address = "127.83.17.1:0" // where no other test may take the port meanwhile
	}
	ln, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	l := NewListener(ln, probed)
	time.AfterFunc(20*time.Millisecond, func() { _ = l.Close() })
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept of a closed listener = %v, want net.ErrClosed", err)
	}
	if conn, err := net.Dial("tcp", ln.Addr().String()); err == nil {
		_ = conn.Close()
		t.Error("a closed listener still listens")
	}
}

// Who has connected when a listener is closed is let in still: to end their connections
// unseen would be a reset to each.
func TestListenerLetsInWhoHasConnected(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("elsewhere net closes, and lets nobody in")
	}
	for name, when := range map[string]func(closes, accepts func()){
		"closed before anybody accepts": func(closes, accepts func()) { closes(); accepts() },
		"closed while somebody waits": func(closes, accepts func()) {
			var waits sync.WaitGroup
			waits.Go(accepts)
			closes()
			waits.Wait()
		},
	} {
		t.Run(name, func(t *testing.T) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			l := NewListener(ln, probed)
			defer l.Release()
			waiting := map[string]bool{}
			for range 5 {
				peer, err := net.Dial("tcp", ln.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				defer peer.Close()
				waiting[peer.LocalAddr().String()] = true
			}
			when(func() { _ = l.Close() }, func() {
				for range 5 {
					c, err := l.Accept()
					if err != nil {
						t.Errorf("Accept = %v, while %d have connected and were not accepted", err, len(waiting))
						return
					}
					defer c.Close()
					delete(waiting, c.RemoteAddr().String())
				}
				if len(waiting) > 0 {
					t.Errorf("%d of those who have connected were not among the five accepted", len(waiting))
				}
				if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
					t.Errorf("Accept when nobody is left = %v, want net.ErrClosed", err)
				}
			})
		})
	}
}

// ends are ways to end a wait from outside.
var ends = map[string]struct {
	end  func(Stream)
	want error
}{
	"close":    {func(c Stream) { _ = c.Close() }, net.ErrClosed},
	"deadline": {func(c Stream) { _ = c.SetDeadline(time.Unix(1, 0)) }, os.ErrDeadlineExceeded},
}

// Who waits is woken, be it that the end came before the wait, as it began on a
// connection that had never been waited for, or after.
func TestWaitsEnd(t *testing.T) {
	for name, e := range ends {
		for when, run := range map[string]func(c Stream, raw syscall.RawConn) error{
			"before": func(c Stream, raw syscall.RawConn) error {
				e.end(c)
				return raw.Read(func(uintptr) bool { return false })
			},
			"within the callback": func(c Stream, raw syscall.RawConn) error {
				return raw.Read(func(uintptr) bool { e.end(c); return false })
			},
			"while waiting": func(c Stream, raw syscall.RawConn) error {
				time.AfterFunc(20*time.Millisecond, func() { e.end(c) })
				return raw.Read(func(uintptr) bool { return false })
			},
			"in a write within a read": func(c Stream, raw syscall.RawConn) (err error) {
				_ = raw.Read(func(uintptr) bool {
					time.AfterFunc(20*time.Millisecond, func() { e.end(c) })
					err = raw.Write(func(uintptr) bool { return false })
					return true
				})
				return err
			},
		} {
			t.Run(name+" "+when, func(t *testing.T) {
				c, _ := accepted(t, "127.0.0.1")
				raw, _ := c.SyscallConn()
				done := make(chan error)
				go func() { done <- run(c, raw) }()
				select {
				case err := <-done:
					if !errors.Is(err, e.want) {
						t.Errorf("the wait ended with %v, want %v", err, e.want)
					}
				case <-time.After(5 * time.Second):
					t.Fatal("the wait goes on")
				}
			})
		}
	}
}

// A descriptor is closed when nobody uses it any more: another connection may have
// its number a moment later.
func TestCloseWaitsForCallback(t *testing.T) {
	c, peer := accepted(t, "127.0.0.1")
	raw, _ := c.SyscallConn()
	err := raw.Read(func(fd uintptr) bool {
		if err := c.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
		if n, errno := Send(fd, []byte("bye")); n != 3 {
			t.Errorf("a send in the callback in which another closed: %d, %v", n, errno)
		}
		return true
	})
	if err != nil {
		t.Errorf("the read that was done = %v", err)
	}
	got, err := io.ReadAll(peer)
	if string(got) != "bye" || err != nil {
		t.Errorf("the peer got %q, %v, want bye and the end", got, err)
	}
	if err := c.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a second close = %v, want net.ErrClosed", err)
	}
}

// Try leaves a connection that nobody has waited for as it is, and one of others
// alone.
func TestTryDoesNotWait(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("there are no connections of our own on other systems")
	}
	s, peer := accepted(t, "127.0.0.1")
	c, err := wrap(s)
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	if done, tried := c.Try(func(uintptr) bool { calls++; return false }); done || !tried || calls != 1 {
		t.Errorf("Try: done %v, tried %v, %d calls, want one call that was not done", done, tried, calls)
	}
	if _, err := peer.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1)
	if _, err := c.Read(buf); err != nil { // which may wait
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
	if _, err := c.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("Read = %v, want the deadline", err)
	}
	if _, tried := c.Try(func(uintptr) bool { t.Error("called"); return true }); tried {
		t.Error("Try of a connection that has been waited for")
	}
}

// Running out of descriptors is told by its number.
func TestAcceptErrorsHaveNumbers(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := NewListener(ln, probed)
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	none := limit
	none.Cur = 3
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	_, err = l.Accept()
	if back := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); back != nil {
		t.Fatal(back)
	}
	if !errors.Is(err, syscall.EMFILE) {
		t.Fatalf("Accept without a descriptor left = %v, want EMFILE", err)
	}
	if c, err := l.Accept(); err != nil {
		t.Errorf("Accept when there are some again = %v", err)
	} else {
		_ = c.Close()
	}
}
