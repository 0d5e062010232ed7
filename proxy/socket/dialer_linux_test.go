package socket

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// Where nobody listens, on a port that the kernel also gives to callers, a caller
// can meet itself.
func TestDialerKnowsItself(t *testing.T) {
	local := [4]byte{127, 0, 0, 1}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: local}); err != nil {
		t.Fatal(err)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(unix.Connect(fd, sa), unix.SetNonblock(fd, true)); err != nil {
		t.Fatal(err)
	}
	to := netip.AddrPortFrom(netip.AddrFrom4(local), uint16(sa.(*unix.SockaddrInet4).Port))
	c := newFile(fd, to)
	defer c.Close()
	if !c.self(to) {
		t.Error("a connection to itself is taken for one to a backend")
	}
	if other := netip.AddrPortFrom(to.Addr(), to.Port()^1); c.self(other) {
		t.Error("a connection to another port is taken for one to itself")
	}
}

// A connection that had to be waited for need not stay with the runtime's poller.
func TestUnpolledConnectionGoesOn(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	var d Dialer
	s, err := d.Dial(t.Context(), ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	peer, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	before := descriptors(t)
	polled := s.(*file)
	c := polled.unpolled()
	defer c.Close()
	if !polled.polled.Load() || c.polled.Load() || c == polled {
		t.Fatal("it is still polled, or never was")
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors, want %d as before", after, before)
	}
	if _, err := polled.Write([]byte("x")); err == nil {
		t.Error("the former can still be written to")
	}
	buf := make([]byte, 4)
	for range 2 { // without waiting, and with it
		if _, err := peer.Write([]byte("ping")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, buf); err != nil || string(buf) != "ping" {
			t.Fatalf("read %q, %v", buf, err)
		}
		if _, err := c.Write(buf); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(peer, buf); err != nil {
			t.Fatal(err)
		}
	}
	c.Close()
	if _, err := peer.Read(buf); err != io.EOF {
		t.Errorf("the peer read %v, want the end", err)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}
