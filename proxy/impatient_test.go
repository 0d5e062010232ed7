package proxy

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"portside/pool"
)

// A backend that hangs is found out, though its clients wait for less time than a
// connection is given.
func TestGRPCImpatientClientsFindOutWhoHangs(t *testing.T) {
	t.Parallel()
	bad := startBackend(t, func(c *net.TCPConn) { _, _ = io.Copy(io.Discard, c) }).address
	s := startHTTP(t, pool.Config{}, Config{Timeouts: Timeouts{Connect: 400 * time.Millisecond}}, startRPC(t, "a").address, bad)
	cc := dialRPC(t, s.address)
	eventually(t, "the backend that hangs is not set aside", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, _ = call(ctx, cc, "Name", "")
		return stateOf(s.pool, bad).State == pool.Ejected
	})
}

func TestHTTPImpatientClientsFindOutWhoHangs(t *testing.T) {
	t.Parallel()
	bad := unanswering(t)
	s := startHTTP(t, pool.Config{}, Config{Timeouts: Timeouts{Connect: 5 * time.Second}}, serveHTTP(t, func(http.ResponseWriter, *http.Request) {}), bad)
	eventually(t, "the backend that hangs is not set aside", func() bool {
		c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 150 * time.Millisecond}
		if resp, err := c.Get(s.url); err == nil {
			_ = resp.Body.Close()
		}
		return stateOf(s.pool, bad).State == pool.Ejected
	})
}
