package proxy

import (
	"net"
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
		c := s.dial(t)
		_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
		if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil || os.IsTimeout(err) {
			t.Errorf("%s: %d bytes, %v; want the end", host, n, err)
		}
		if after := descriptors(); after > before+20 {
			t.Errorf("%s: one client took %d descriptors", host, after-before)
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
