package socket

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A connection of ours does what net's does, from each kind of address.
func TestDialerConnects(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "::1", "localhost"} {
		t.Run(host, func(t *testing.T) {
			ln, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
			if err != nil {
				t.Skip("no such address on this machine: ", err)
			}
			defer ln.Close()
			d := Dialer{Timeout: time.Second, UserTimeout: time.Second, KeepAlive: net.KeepAliveConfig{Enable: true, Idle: time.Second, Interval: time.Second, Count: 3}}
			c, err := d.Dial(t.Context(), net.JoinHostPort(host, portOf(ln)))
			if err != nil {
				t.Fatal(err)
			}
			peer, err := ln.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer peer.Close()
			if c.LocalAddr().String() != peer.RemoteAddr().String() || c.RemoteAddr().String() != peer.LocalAddr().String() {
				t.Errorf("from %v to %v, the peer says from %v to %v", c.LocalAddr(), c.RemoteAddr(), peer.RemoteAddr(), peer.LocalAddr())
			}
			conversation(t, c, peer.(*net.TCPConn))
		})
	}
}

func portOf(ln net.Listener) string {
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	return port
}

func conversation(t *testing.T, c Stream, peer *net.TCPConn) {
	t.Helper()
	buf := make([]byte, 8)
	if _, err := c.Write([]byte("there")); err != nil {
		t.Fatal(err)
	}
	if n, _ := peer.Read(buf); string(buf[:n]) != "there" {
		t.Fatalf("the peer got %q", buf[:n])
	}
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
	var ne net.Error
	if _, err := c.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &ne) || !ne.Timeout() {
		t.Errorf("a read past its deadline says %v, want what net says", err)
	}
	_ = c.SetReadDeadline(time.Time{})
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := peer.Read(buf); err != io.EOF {
		t.Fatalf("after an end the peer reads %v", err)
	}
	if _, err := peer.Write([]byte("back")); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(buf); string(buf[:n]) != "back" {
		t.Fatalf("read %q, %v", buf[:n], err)
	}
	_ = peer.SetLinger(0)
	_ = peer.Close()
	if _, err := c.Read(buf); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("after a reset: %v", err)
	}
	_ = c.Close()
	if _, err := c.Read(buf); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a read of a closed connection says %v, want net.ErrClosed", err)
	}
	raw, _ := c.SyscallConn()
	if err := raw.Read(func(uintptr) bool { return true }); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a raw read of a closed connection says %v, want net.ErrClosed", err)
	}
	if err := c.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a second close says %v, want net.ErrClosed", err)
	}
}

func TestDialerIsRefused(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := ln.Addr().String()
	_ = ln.Close()
	d := Dialer{Timeout: time.Second}
	_, err = d.Dial(t.Context(), address)
	if !errors.Is(err, syscall.ECONNREFUSED) || !strings.Contains(err.Error(), "dial tcp "+address+": connect: connection refused") {
		t.Errorf("dialling where nobody listens says %q, want what net says", err)
	}
}

// A backend whose queue is full does not answer at all.
func TestDialerGivesUp(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("other kernels answer for a full queue")
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	sa, _ := unix.Getsockname(fd)
	address := (&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: sa.(*unix.SockaddrInet4).Port}).String()
	d := Dialer{Timeout: 100 * time.Millisecond}
	for range 8 { // until it is full
		c, err := d.Dial(t.Context(), address)
		if err == nil {
			defer c.Close()
			continue
		}
		var ne net.Error
		if !errors.As(err, &ne) || !ne.Timeout() {
			t.Fatalf("no answer for 100 ms: %v, want a timeout", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(20*time.Millisecond, cancel)
		start := time.Now()
		if _, err := (&Dialer{Timeout: 10 * time.Second}).Dial(ctx, address); !errors.Is(err, context.Canceled) || time.Since(start) > 5*time.Second {
			t.Errorf("cancelled after 20 ms: %v after %v", err, time.Since(start))
		}
		return
	}
	t.Fatal("the queue of a listener that never accepts took 8 connections")
}
