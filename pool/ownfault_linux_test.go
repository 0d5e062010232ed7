package pool

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// The kernel has one error for ports that have run out, which is a fault of ours that
// passes, and for a backend of IPv6 on a machine without: nobody comes to that one, and
// its health checks have to set it aside.
func TestOwnFaultIsNotWhatCannotBeReachedFromHere(t *testing.T) {
	type answers struct {
		spent, without error // dialled without a port left, and without IPv6
		skip           error
		own            [2]bool
	}
	done := make(chan answers)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with its network
		a := answers{skip: aloneInANetwork()}
		defer func() { done <- a }()
		if a.skip != nil {
			return
		}
		ln, err := net.Listen("tcp", "127.0.0.1:50000")
		if err != nil {
			a.skip = err
			return
		}
		defer ln.Close()
		for range 3 { // there are two ports
			conn, err := net.Dial("tcp", ln.Addr().String())
			if a.spent = err; err == nil {
				defer conn.Close()
			}
		}
		_, a.without = net.Dial("tcp", "[2001:db8::1]:80")
		a.own = [2]bool{OwnFault(a.spent), OwnFault(a.without)}
	}()
	a := <-done
	if a.skip != nil {
		t.Skip("no network of our own to be had: ", a.skip)
	}
	for _, err := range []error{a.spent, a.without} {
		if !errors.Is(err, syscall.EADDRNOTAVAIL) {
			t.Fatalf("the kernel says %v, want EADDRNOTAVAIL of both", err)
		}
	}
	if want := [2]bool{true, false}; a.own != want {
		t.Errorf("want of a port, and of IPv6, is our fault: %t, want %t", a.own, want)
	}
}

// aloneInANetwork gives the calling thread a network with two ports and without IPv6.
func aloneInANetwork() error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	up, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	up.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, up); err != nil {
		return fmt.Errorf("lo: %w", err)
	}
	return errors.Join(
		os.WriteFile("/proc/sys/net/ipv6/conf/all/disable_ipv6", []byte("1"), 0),
		os.WriteFile("/proc/sys/net/ipv4/ip_local_port_range", []byte("40000 40001"), 0),
	)
}
