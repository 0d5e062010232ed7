package relay

import (
	"errors"
	"io"
	"os"
	"testing"
	"time"
)

// converse exchanges messages until the relay thinks the dialogue brisk.
func converse(t *testing.T, r *running) {
	t.Helper()
	for range 4 * brisk {
		write(t, r.client, "question")
		expect(t, r.backend, "question")
		write(t, r.backend, "answer")
		expect(t, r.client, "answer")
	}
}

func TestEndThatCameWithTheLastBytesIsPassedOn(t *testing.T) {
	ends := map[string]struct {
		kinds []func(testing.TB) (Conn, Conn)
		end   func(testing.TB, Conn)
		want  func(error) bool
	}{
		"a clean end": {
			[]func(testing.TB) (Conn, Conn){tcpPair, unixPair},
			func(_ testing.TB, c Conn) { c.CloseWrite() },
			func(err error) bool { return err == nil },
		}, // of io.ReadAll
		"a reset": {[]func(testing.TB) (Conn, Conn){tcpPair}, reset, isReset},
	}
	for name, c := range ends {
		t.Run(name, func(t *testing.T) {
			for range 10 {
				for _, pair := range c.kinds {
					var inner *relay
					r := startWith(t, pair, Config{Idle: time.Minute}, func(r *relay) { inner = r })
					converse(t, r)
					if !inner.up.brisk.Load() {
						t.Fatal("the relay does not think the dialogue brisk; the test would show nothing")
					}
					began := time.Now()
					write(t, r.client, "last")
					c.end(t, r.client)
					r.backend.SetReadDeadline(time.Now().Add(5 * time.Second))
					if got, err := io.ReadAll(plain{r.backend}); string(got) != "last" || !c.want(err) {
						t.Fatalf("read %q, %v; want the last bytes and %s, though they came together", got, err, name)
					}
					if took := time.Since(began); took > 2*time.Second {
						t.Errorf("the end took %v; want no more than a few looks of the clock", took)
					}
					r.backend.Close()
					r.client.Close()
					r.result()
				}
			}
		})
	}
}

func TestEndOfOneSideAsksForThatOfTheOther(t *testing.T) {
	var inner *relay
	r := startWith(t, tcpPair, Config{Idle: time.Minute}, func(r *relay) { inner = r })
	converse(t, r)
	if !inner.up.brisk.Load() {
		t.Fatal("the relay does not think the dialogue brisk; the test would show nothing")
	}
	r.backend.CloseWrite()
	expectEOF(t, r.client)
	waitUntil(t, "the client is asked", func() bool { return !inner.up.brisk.Load() })
	r.client.CloseWrite()
	if res := r.result(); res.End != Done {
		t.Errorf("ended %v, %v; want done", res.End, res.Err)
	}
}

func TestPausedDialogueGoesOn(t *testing.T) {
	var inner *relay
	r := startWith(t, tcpPair, Config{Idle: time.Minute}, func(r *relay) { inner = r })
	for range 3 {
		converse(t, r)
		waitUntil(t, "the pause is noticed", func() bool { return !inner.up.brisk.Load() && !inner.down.brisk.Load() })
		r.client.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		if _, err := r.client.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("a pause ended in %v; want nothing to happen", err)
		}
	}
	r.client.CloseWrite()
	r.backend.CloseWrite()
	if res := r.result(); res.End != Done {
		t.Errorf("ended %v, %v; want done", res.End, res.Err)
	}
}

func TestOneWayStreamIsNoDialogue(t *testing.T) {
	// Its end often comes with its last bytes, and must not wait for a clock.
	var inner *relay
	r := startWith(t, tcpPair, Config{Idle: time.Minute}, func(r *relay) { inner = r })
	for range 4 * brisk {
		write(t, r.backend, "line")
		expect(t, r.client, "line")
	}
	if inner.down.brisk.Load() {
		t.Error("a stream without answers was taken for a dialogue")
	}
}

func TestWithoutAClockNoDialogueIsBrisk(t *testing.T) {
	var inner *relay
	r := startWith(t, tcpPair, Config{}, func(r *relay) { inner = r })
	converse(t, r)
	if inner.up.brisk.Load() || inner.down.brisk.Load() {
		t.Error("brisk without a clock: nobody would ask for an end that came with the last bytes")
	}
}
