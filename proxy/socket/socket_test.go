package socket

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"
)

func pair(t testing.TB) (a, b *Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	x, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	y, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	a, err = wrap(x.(*net.TCPConn))
	if err != nil {
		t.Fatal(err)
	}
	if b, err = wrap(y.(*net.TCPConn)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close(); _ = b.Close() })
	return a, b
}

func TestReadWaitsAndSeesTheEnd(t *testing.T) {
	a, b := pair(t)
	time.AfterFunc(20*time.Millisecond, func() { _, _ = b.Write([]byte("hello")); _ = b.CloseWrite() })
	buf := make([]byte, 16)
	n, err := a.Read(buf)
	if string(buf[:n]) != "hello" || err != nil {
		t.Fatalf("Read = %q, %v", buf[:n], err)
	}
	if n, err = a.Read(buf); n != 0 || err != io.EOF {
		t.Fatalf("Read at the end = %d, %v, want io.EOF", n, err)
	}
	if n, err := a.Write([]byte("back")); n != 4 || err != nil {
		t.Fatalf("Write the other way = %d, %v", n, err)
	}
}

func TestWriteWaitsForASlowReader(t *testing.T) {
	a, b := pair(t)
	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<19) // 8 MiB
	var wg sync.WaitGroup
	wg.Go(func() {
		if n, err := a.Write(sent); n != len(sent) || err != nil {
			t.Errorf("Write = %d, %v, want all of it", n, err)
		}
		_ = a.CloseWrite()
	})
	got := make([]byte, 0, len(sent))
	for buf := make([]byte, 1<<20); ; {
		n, err := b.Read(buf)
		got = append(got, buf[:n]...)
		if err != nil {
			break
		}
	}
	wg.Wait()
	if !bytes.Equal(got, sent) {
		t.Fatalf("%d bytes arrived of %d", len(got), len(sent))
	}
}

func TestDeadlinesAndCloseWake(t *testing.T) {
	a, _ := pair(t)
	_ = a.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
	if _, err := a.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("Read past its deadline = %v", err)
	}
	_ = a.SetReadDeadline(time.Time{})
	time.AfterFunc(10*time.Millisecond, func() { _ = a.Close() })
	if _, err := a.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Fatalf("Read of a closed connection = %v", err)
	}
	if _, err := a.Alive(); !errors.Is(err, net.ErrClosed) {
		t.Fatalf("Alive of a closed connection = %v", err)
	}
}

func TestAlive(t *testing.T) {
	a, b := pair(t)
	if bytes, err := a.Alive(); bytes || err != nil {
		t.Fatalf("Alive of an idle connection = %v, %v", bytes, err)
	}
	_, _ = b.Write([]byte("x"))
	wait(t, func() bool { bytes, err := a.Alive(); return bytes && err == nil })
	buf := make([]byte, 8)
	if n, _ := a.Read(buf); n != 1 {
		t.Fatal("Alive took the byte it saw")
	}
	_ = b.CloseWrite()
	wait(t, func() bool { _, err := a.Alive(); return err == io.EOF })
	_ = b.SetLinger(0)
	_ = b.Close()
	wait(t, func() bool { _, err := a.Alive(); return errors.Is(err, syscall.ECONNRESET) || err == io.EOF })
}

func wait(t *testing.T, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not within 5 s")
		}
	}
}

func TestReadAndWriteDoNotAllocate(t *testing.T) {
	a, b := pair(t)
	buf, msg := make([]byte, 8), []byte("ping")
	if n := testing.AllocsPerRun(100, func() {
		_, _ = a.Write(msg)
		_, _ = b.Read(buf)
	}); n != 0 {
		t.Fatalf("%v allocations a message, want none", n)
	}
}

// The first question finds what came before it, which nobody will tell of any more.
func TestAnswerThatCameBeforeTheFirstQuestionIsRead(t *testing.T) {
	a, b := pair(t)
	buf := make([]byte, 16)
	ask := func(want string) {
		t.Helper()
		_ = a.SetReadDeadline(time.Now().Add(5 * time.Second))
		if sent, n, err := a.Ask([]byte("who?"), buf); sent != 4 || string(buf[:n]) != want || err != nil {
			t.Fatalf("sent %d, read %q, %v, want 4 sent and %q read", sent, buf[:n], err, want)
		}
	}
	_, _ = b.Write([]byte("me"))
	wait(t, func() bool { bytes, _ := a.Alive(); return bytes })
	ask("me")
	time.AfterFunc(20*time.Millisecond, func() { _, _ = b.Write([]byte("you")) })
	ask("you")
}

func TestGone(t *testing.T) {
	for _, how := range []string{"end", "reset"} {
		a, b := pair(t)
		if a.Gone() {
			t.Fatal("a peer that is idle is taken for gone")
		}
		_, _ = b.Write([]byte("unread"))
		wait(t, func() bool { bytes, _ := a.Alive(); return bytes })
		if a.Gone() {
			t.Fatal("a peer that has sent something is taken for gone")
		}
		if how == "end" {
			_ = b.CloseWrite()
		} else {
			_ = b.SetLinger(0)
			_ = b.Close()
		}
		if runtime.GOOS == "linux" { // elsewhere the bytes hide the end
			wait(t, a.Gone)
		}
	}
}

func TestUnreadLeavesAnErrorToTheReader(t *testing.T) {
	a, b := pair(t)
	unread := func() (some bool) {
		_ = a.Raw().Control(func(fd uintptr) { some = Unread(fd) })
		return some
	}
	if unread() {
		t.Fatal("there is something before anything was sent")
	}
	_, _ = b.Write([]byte("x"))
	wait(t, unread)
	if _, err := a.Read(make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	_ = b.SetLinger(0)
	_ = b.Close()
	if runtime.GOOS != "linux" {
		return
	}
	wait(t, a.Gone)
	if unread() {
		t.Error("a reset counts as something to read")
	}
	if _, err := a.Read(make([]byte, 8)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("read %v afterwards, want the reset", err)
	}
}

// wrap is a Conn around s.
func wrap(s Stream) (*Conn, error) {
	c := &Conn{}
	return c, c.Init(s)
}
