package http2

import (
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

func dial(t *testing.T, address string) *Link {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	link := NewLink(conn.(*net.TCPConn), new(atomic.Int64))
	t.Cleanup(func() { _ = link.Close() })
	return link
}

func greeted(l *Link) bool {
	select {
	case <-l.Greeted():
		return true
	default:
		return false
	}
}

// Only who comes back for more has taken the settings in.
func TestGreetingIsInForceWhenItHasBeenRead(t *testing.T) {
	greeting := frame(typeSettings, 0, 0, 0, 3, 0, 0, 0, 100)
	for size := 1; size <= len(greeting); size++ {
		l := dial(t, listen(t, func(c net.Conn) {
			_, _ = c.Write(append(greeting[:len(greeting):len(greeting)], frame(typeSettings, 1, 0)...))
			_, _ = io.Copy(io.Discard, c)
		}))
		buf := make([]byte, size)
		for read := 0; read < len(greeting); {
			if greeted(l) {
				t.Fatalf("in pieces of %d: greeted after %d bytes of %d", size, read, len(greeting))
			}
			n, err := l.Read(buf[:min(size, len(greeting)-read)])
			if read += n; err != nil {
				t.Fatal(err)
			}
		}
		if _, err := l.Read(buf[:1]); err != nil {
			t.Fatal(err)
		}
		if !greeted(l) || l.Refusal() != nil {
			t.Fatalf("in pieces of %d: greeted: %t, %v", size, greeted(l), l.Refusal())
		}
		_ = l.Close()
	}
}

func TestNoGreeting(t *testing.T) {
	for says, want := range map[string]error{"HTTP/1.1 400 Bad Request\r\n\r\n": ErrOther, "": io.EOF} {
		l := dial(t, listen(t, func(c net.Conn) { _, _ = io.WriteString(c, says) }))
		for range 2 {
			_, _ = l.Read(make([]byte, 100))
		}
		if !greeted(l) || !errors.Is(l.Refusal(), want) {
			t.Errorf("a backend that says %q: %t, %v, want %v", says, greeted(l), l.Refusal(), want)
		}
	}
	l := dial(t, listen(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }))
	_ = l.Close()
	if !greeted(l) || !errors.Is(l.Refusal(), net.ErrClosed) || !l.Closed() {
		t.Errorf("closed from our side: %t, %v", greeted(l), l.Refusal())
	}
}

func TestUnsentIsWhatTheBackendHasNotTaken(t *testing.T) {
	_, link := connect(t, backend(t, nil, func(*http2.Framer) bool { return true }))
	for deadline := time.Now().Add(10 * time.Second); link.Unsent() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d bytes unsent to a backend that reads", link.Unsent())
		}
	}
	deaf := dial(t, listen(t, func(c net.Conn) { <-t.Context().Done() }))
	_ = deaf.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
	for {
		if _, err := deaf.Write(make([]byte, 64<<10)); err != nil {
			break
		}
	}
	if deaf.Unsent() == 0 {
		t.Error("nothing unsent to a backend that does not read")
	}
}
