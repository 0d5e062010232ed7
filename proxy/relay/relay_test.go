package relay

import (
	"crypto/sha256"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
)

func each(t *testing.T, f func(t *testing.T, pair func(testing.TB) (Conn, Conn))) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) { f(t, k.pair) })
	}
}

// eachTCP is each for what sockets alone can do.
func eachTCP(t *testing.T, f func(t *testing.T, pair func(testing.TB) (Conn, Conn))) {
	t.Run("tcp", func(t *testing.T) { f(t, tcpPair) })
	t.Run("tcp in steps", func(t *testing.T) { f(t, stepPair) })
}

// volume is how much the heavy tests move.
func volume() int64 {
	if testing.Short() || raceEnabled {
		return 20 << 20
	}
	return 200 << 20
}

func TestBothDirectionsArriveWholeAtOnce(t *testing.T) {
	each(t, func(t *testing.T, pair func(testing.TB) (Conn, Conn)) {
		var counters Counters
		r := start(t, pair, Config{Counters: &counters})
		exchange(t, r, volume())
		res := r.result()
		if res.End != Done || res.Err != nil {
			t.Errorf("ended %v, %v; want done, because both sides ended", res.End, res.Err)
		}
		if res.ToBackend != volume() || res.ToClient != volume() {
			t.Errorf("counted %d and %d bytes; want %d each", res.ToBackend, res.ToClient, volume())
		}
		if counters.ToBackend.Load() != volume() || counters.ToClient.Load() != volume() {
			t.Errorf("shared counters say %d and %d; want %d each", counters.ToBackend.Load(), counters.ToClient.Load(), volume())
		}
	})
}

// exchange sends n random bytes both ways at once and compares what arrives.
func exchange(t *testing.T, r *running, n int64) {
	t.Helper()
	var wg sync.WaitGroup
	stream := func(seed uint64, from, to Conn) {
		sent, got := sha256.New(), sha256.New()
		wg.Go(func() {
			if _, err := io.CopyN(io.MultiWriter(sent, plain{from}), rand.NewChaCha8([32]byte{byte(seed)}), n); err != nil {
				t.Errorf("send: %v", err)
			}
			from.CloseWrite()
		})
		wg.Go(func() {
			if m, err := io.Copy(got, plain{to}); err != nil || m != n {
				t.Errorf("received %d bytes, %v; want %d", m, err, n)
			}
		})
		t.Cleanup(func() {
			if string(sent.Sum(nil)) != string(got.Sum(nil)) {
				t.Error("what arrived is not what was sent")
			}
		})
	}
	stream(1, r.client, r.backend)
	stream(2, r.backend, r.client)
	wg.Wait()
}

// plain hides a conn's shortcuts from io.Copy.
type plain struct{ c net.Conn }

func (p plain) Read(b []byte) (int, error)  { return p.c.Read(b) }
func (p plain) Write(b []byte) (int, error) { return p.c.Write(b) }

func TestHalfCloseLeavesTheOtherDirectionOpen(t *testing.T) {
	const n = 5 << 20
	each(t, func(t *testing.T, pair func(testing.TB) (Conn, Conn)) {
		for _, first := range []string{"client", "backend"} {
			t.Run(first+" first", func(t *testing.T) {
				r := start(t, pair, Config{})
				from, to := r.client, r.backend
				if first == "backend" {
					from, to = r.backend, r.client
				}
				from.CloseWrite()
				expectEOF(t, to)
				go func() {
					io.CopyN(plain{to}, rand.NewChaCha8([32]byte{}), n)
					to.CloseWrite()
				}()
				if m, err := io.Copy(io.Discard, plain{from}); m != n || err != nil {
					t.Fatalf("%d bytes, %v after the half-close; want %d", m, err, n)
				}
				if res := r.result(); res.End != Done {
					t.Errorf("ended %v, %v; want done", res.End, res.Err)
				}
			})
		}
	})
}
