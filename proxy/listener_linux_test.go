package proxy

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"portside/pool"
)

// A client that is connected while there is no descriptor for it is served when the
// service ends, like all who are connected by then: it would be reset else.
func TestWhoWaitsForADescriptorIsServedInTheEnd(t *testing.T) {
	const few, limit, forClients = "PORTSIDE_TEST_FEW_DESCRIPTORS", 64, 48
	if os.Getenv(few) == "" {
		cmd := exec.Command("/bin/sh", "-c", fmt.Sprintf(`ulimit -n %d && exec "$0" -test.run='^%s$'`, limit, t.Name()), os.Args[0])
		cmd.Env = append(os.Environ(), few+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("with %d descriptors: %v\n%s", limit, err, out)
		}
		return
	}
	s := startHTTP(t, pool.Config{}, Config{}, serveHTTP(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "here") }))
	for {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if f.Fd() >= forClients-1 {
			break
		}
	}
	c, err := net.Dial("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	eventually(t, "the client does not wait", func() bool { return s.Stats().AcceptErrors.Load() > 5 })
	s.stop()
	if b, err := io.ReadAll(c); err != nil || !strings.HasSuffix(string(b), "here") {
		t.Errorf("who waited has %q, %v, want to be served", b, err)
	}
}
