package proxy

import (
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"testing"
	"time"

	xhttp2 "golang.org/x/net/http2"
	"golang.org/x/sys/unix"

	"portside/pool"
)

// A backend may read nothing for as long as timeouts.idle: it works on the first part, or
// waits for a lock. The kernel, told to give up what is not acknowledged for 30 s, would
// reset its connection then, although it is alive.
func TestBackendThatReadsNothingForAWhileIsBorneWith(t *testing.T) {
	for name, k := range map[string]struct {
		greet func(c *net.TCPConn)
		send  func(t *testing.T, address string, body io.Reader) error
		http  bool
	}{
		"tcp": {
			greet: func(*net.TCPConn) {},
			send: func(t *testing.T, address string, body io.Reader) error {
				c, err := net.Dial("tcp", address)
				if err != nil {
					return err
				}
				defer c.Close()
				_, err = io.Copy(c, body)
				return err
			},
		},
		"http": {
			greet: func(*net.TCPConn) {},
			send: func(t *testing.T, address string, body io.Reader) error {
				return put(t, newClient(t), address, body)
			},
			http: true,
		},
		"h2c": {
			greet: func(c *net.TCPConn) {
				_, _ = io.ReadFull(c, make([]byte, len(xhttp2.ClientPreface)))
				f := xhttp2.NewFramer(c, c)
				_ = f.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 1 << 30})
				_ = f.WriteWindowUpdate(0, 1<<30)
			},
			send: func(t *testing.T, address string, body io.Reader) error {
				return put(t, newH2CClient(t), address, body)
			},
			http: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			goOn := make(chan struct{})
			b := startBackend(t, func(c *net.TCPConn) {
				k.greet(c)
				<-goOn
			})
			_, port, _ := net.SplitHostPort(b.address)
			elsewhere := net.JoinHostPort("Localhost", port) // which is not known to be here
			var address string
			if k.http {
				address = startHTTP(t, pool.Config{}, Config{}, elsewhere).address
			} else {
				address = startTCP(t, pool.Config{}, Config{}, elsewhere).address
			}
			done := make(chan error, 1)
			go func() { done <- k.send(t, address, io.LimitReader(zeros{}, 64<<20)) }()
			defer func() {
				close(goOn)
				<-done
			}()
			eventually(t, "nothing is sent with a limit on what is not acknowledged", func() bool {
				return limitTo(t, port) == int(userTimeout/time.Millisecond)
			})
			eventually(t, "the kernel still gives a backend up that reads nothing for a while", func() bool { return limitTo(t, port) == 0 })
		})
	}
}

func put(t *testing.T, c *http.Client, address string, body io.Reader) error {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://"+address+"/", body)
	if err != nil {
		return err
	}
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// limitTo is TCP_USER_TIMEOUT, in milliseconds, of a connection to port; -1: there is none.
func limitTo(t *testing.T, port string) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		fd, _ := strconv.Atoi(e.Name())
		to := 0
		switch sa, _ := unix.Getpeername(fd); sa := sa.(type) {
		case *unix.SockaddrInet4:
			to = sa.Port
		case *unix.SockaddrInet6:
			to = sa.Port
		}
		if strconv.Itoa(to) == port {
			if limit, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT); err == nil {
				return limit
			}
		}
	}
	return -1
}
