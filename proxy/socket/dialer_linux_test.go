package socket

import (
	"errors"
	"net/netip"
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
