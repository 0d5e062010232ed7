package proxy

import (
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"portside/pool"
)

// One wrong record, a server's own 127.0.0.1:PORT that is read where portside has
// that port, must not send each client round until no descriptor is left.
func TestAServiceIsNoBackendOfItself(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("descriptors are counted in /proc")
	}
	descriptors := func() int {
		all, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	for _, host := range []string{"127.0.0.1", "localhost", "0.0.0.0"} {
		s := startTCP(t, pool.Config{}, Config{})
		_, port, _ := net.SplitHostPort(s.address)
		s.pool.Update(endpointsOf(net.JoinHostPort(host, port)))
		before := descriptors()
		accepted := s.Stats().Connections.Load()
		c := s.dial(t)
		_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
		if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil || os.IsTimeout(err) {
			t.Errorf("%s: %d bytes, %v; want the end", host, n, err)
		}
		if after := descriptors(); after > before+20 {
			t.Errorf("%s: one client took %d descriptors", host, after-before)
		}
		time.Sleep(50 * time.Millisecond)
		if n := s.Stats().Connections.Load() - accepted; n != 1 {
			t.Errorf("%s: one client was accepted %d times", host, n)
		}
		h := startHTTP(t, pool.Config{}, Config{})
		h.pool.Update(endpointsOf(strings.Replace(h.address, "127.0.0.1", host, 1)))
		status, body, err := fetch(newClient(t), h.url)
		if status != 502 || err != nil || !strings.Contains(body, "own port") {
			t.Errorf("%s: %d %q %v; want 502, and why", host, status, body, err)
		}
	}
	// The same port of another address is another server.
	other := startBackend(t, echoAs("a"))
	s := startTCP(t, pool.Config{}, Config{}, other.address)
	if who, err := ask(s.dial(t)); who != "a" || err != nil {
		t.Errorf("%q %v", who, err)
	}
}

func TestOwnPort(t *testing.T) {
	for _, c := range []struct {
		own, to string
		self    bool
	}{
		{"127.0.0.1:80", "127.0.0.1:80", true},
		{"127.0.0.1:80", "127.0.0.1:81", false},
		{"127.0.0.1:80", "127.0.0.2:80", false},
		{"127.0.0.1:80", "0.0.0.0:80", true},
		{"127.0.0.1:80", "[::ffff:127.0.0.1]:80", true},
		{"127.0.0.1:80", "10.0.0.5:80", false},
		{"10.0.0.5:80", "10.0.0.5:80", true},
		{"10.0.0.5:80", "0.0.0.0:80", false},
		{"10.0.0.5:80", "127.0.0.1:80", false},
		{"[::]:80", "127.0.1.1:80", true},
		{"0.0.0.0:80", "127.0.1.1:80", true},
		{"0.0.0.0:80", "[::1]:80", true},
		{"0.0.0.0:80", "10.1.2.3:80", true},
		{"0.0.0.0:80", "10.1.2.4:80", false},
	} {
		own := &ownPort{AddrPort: netip.MustParseAddrPort(c.own), all: []netip.Addr{netip.MustParseAddr("10.1.2.3")}}
		if err := own.refuse(netip.MustParseAddrPort(c.to)); (err == errSelf) != c.self {
			t.Errorf("from %s to %s: %v, want self: %t", c.own, c.to, err, c.self)
		}
	}
}
