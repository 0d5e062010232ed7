package etcd

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// A fleet is servers on loopback, each of which answers with its own address.
// They run until the test ends: what leaves etcd is still up, as is usual.
type fleet struct {
	testing.TB
	servers map[string]*http.Server
}

func newFleet(t testing.TB) *fleet { return &fleet{t, map[string]*http.Server{}} }

// serve starts one more server.
func (f *fleet) serve() (address string) {
	f.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.Fatal(err)
	}
	address = ln.Addr().String()
	s := &http.Server{Handler: answerAs(address)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Serve(ln)
	}()
	f.Cleanup(func() {
		s.Close()
		<-done
	})
	f.servers[address] = s
	return address
}

// stop ends a server as a good one ends: what it has begun it finishes.
func (f *fleet) stop(address string) {
	f.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := f.servers[address].Shutdown(ctx); err != nil {
		f.Errorf("stop %s: %v", address, err)
	}
}

const slowAnswer = 150 * time.Millisecond

// answerAs reads the whole request and answers with address; to /slowly in
// two parts, the second of them late.
func answerAs(address string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return
		}
		half := len(address) / 2
		io.WriteString(w, address[:half])
		if r.URL.Path == "/slowly" {
			w.(http.Flusher).Flush()
			time.Sleep(slowAnswer)
		}
		io.WriteString(w, address[half:])
	}
}
