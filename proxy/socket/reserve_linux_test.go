package socket

import (
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

func TestSharesOfDescriptors(t *testing.T) {
	for limit, want := range map[int]shares{64: {48, 56}, 1024: {960, 992}, 1 << 20: {1<<20 - 64, 1<<20 - 32}} {
		if got := sharesOf(limit); got != want {
			t.Errorf("of %d descriptors clients and backends may have those below %v, want %v", limit, got, want)
		}
	}
}

// A client for whom there is no descriptor but one of the reserve is not turned away: it
// waits, as it would in the kernel's queue, and is let in when there is another.
func TestClientsWaitForDescriptorsBelowTheReserve(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := NewListener(ln, probed)
	defer l.Release()
	defer l.Close()
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	taken, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	l.own.most = int(taken.Fd()) + 1 // which are all taken now, if nobody else is at work here
	for range 3 {
		if c, err := l.Accept(); !errors.Is(err, syscall.EMFILE) {
			t.Fatalf("Accept = %v, %v; want EMFILE: the rest is not for clients", c, err)
		}
	}
	if _, err := client.Write([]byte("there")); err != nil {
		t.Fatalf("the client is turned away: %v", err)
	}
	_ = taken.Close()
	c, err := l.Accept()
	if err != nil {
		t.Fatalf("Accept when there is a descriptor = %v", err)
	}
	defer c.Close()
	buf := make([]byte, 8)
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if n, err := c.Read(buf); string(buf[:n]) != "there" {
		t.Errorf("who waited says %q, %v", buf[:n], err)
	}
}

// When a listener closes, who waits for a descriptor is let in with the others: later
// there will be nobody to do so, and it would be reset.
func TestWhoWaitsForADescriptorIsLetInAtTheEnd(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := NewListener(ln, probed)
	defer l.Release()
	l.own.most = 0
	for range 2 {
		client, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
	}
	if c, err := l.Accept(); !errors.Is(err, syscall.EMFILE) {
		t.Fatalf("Accept = %v, %v; want EMFILE", c, err)
	}
	_ = l.Close()
	for range 2 {
		c, err := l.Accept()
		if err != nil {
			t.Fatalf("Accept of who had connected = %v", err)
		}
		_ = c.Close()
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept in the end = %v, want that it is closed", err)
	}
}
