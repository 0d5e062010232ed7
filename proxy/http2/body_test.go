package http2

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// attempt is a backend that takes one request's body, and what it took.
type attempt struct {
	c        *Client
	cs       *ClientStream
	l        *listener
	took     chan string
	trailers chan string
}

// attempts are made on backends that give that much room.
func attemptWith(t *testing.T, b *Body, window uint32) *attempt {
	t.Helper()
	c, f, _ := greeted(t, http2.Setting{ID: http2.SettingInitialWindowSize, Val: window})
	a := &attempt{c: c, l: newListener(), took: make(chan string, 1), trailers: make(chan string, 1)}
	go func() {
		var took bytes.Buffer
		for {
			got, err := f.ReadFrame()
			if err != nil {
				return
			}
			switch got := got.(type) {
			case *http2.DataFrame:
				took.Write(got.Data())
				if n := uint32(len(got.Data())); n > 0 {
					_ = f.WriteWindowUpdate(0, n)
					_ = f.WriteWindowUpdate(1, n)
				}
				if got.StreamEnded() {
					a.took <- took.String()
				}
			case *http2.HeadersFrame:
				if got.StreamEnded() {
					a.took <- took.String()
				}
			}
		}
	}()
	if err := c.Reserve(); err != nil {
		t.Fatal(err)
	}
	var err error
	if a.cs, err = c.Open(Out{Block: ask(), Body: b}, a.l, nil); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *attempt) all(t *testing.T) string {
	t.Helper()
	select {
	case text := <-a.took:
		return text
	case <-time.After(10 * time.Second):
		t.Fatal("the body does not come")
		return ""
	}
}

// uploading is a client's request whose body comes from the test.
func uploading(t *testing.T, fields ...Field) (*owner, *http2.Framer) {
	t.Helper()
	_, f, _, owners := server(t, usual, nil)
	headers(f, 1, ask(fields...), false)
	return <-owners, f
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(what)
		}
	}
}

func TestBodyIsSentAgain(t *testing.T) {
	o, f := uploading(t)
	b := &o.st.Body
	_ = f.WriteData(1, false, []byte("some "))
	first := attemptWith(t, b, 65535)
	eventually(t, "the client is not waited for", func() bool { _, awaited := b.Awaited(); return awaited })
	if _, whole := b.Whole(); whole || !b.Replayable() {
		t.Fatal("an attempt that has had a part has had the whole, or nobody else can")
	}
	first.cs.Close(nil)
	second := attemptWith(t, b, 3) // little room
	_ = f.WriteData(1, true, []byte("words"))
	if got := second.all(t); got != "some words" {
		t.Errorf("the second attempt is given %q", got)
	}
	third := attemptWith(t, b, 65535)
	if got := third.all(t); got != "some words" {
		t.Errorf("the third attempt is given %q", got)
	}
	if _, whole := b.Whole(); !whole {
		t.Error("nobody has had all")
	}
}

// What is larger than what is kept goes through, once, and no more is held of it than
// that.
func TestLargeBodyIsSentOnce(t *testing.T) {
	for _, settled := range []bool{false, true} {
		o, f := uploading(t)
		b := &o.st.Body
		sent := make([]byte, 40*kept+123)
		for i := range sent {
			sent[i] = byte(rand.Uint32())
		}
		a := attemptWith(t, b, 20_000)
		if settled {
			b.Settle()
		}
		go upload(f, sent)
		held := 0
		eventually(t, "the body does not come", func() bool {
			b.mu.Lock()
			defer b.mu.Unlock()
			held = max(held, cap(b.buf))
			return b.whole
		})
		if got := a.all(t); sha256.Sum256([]byte(got)) != sha256.Sum256(sent) {
			t.Fatalf("%d bytes came of %d, or other ones", len(got), len(sent))
		}
		if b.Replayable() {
			t.Error("more than is kept can be sent again")
		}
		if held > 3*kept {
			t.Errorf("%d bytes were held, want little more than %d", held, kept)
		}
	}
}

// upload sends a body as the windows allow.
func upload(f *http2.Framer, body []byte) {
	stream, all := 64<<10, 65535
	for len(body) > 0 {
		n := min(len(body), stream, all, 16<<10)
		if n > 0 {
			_ = f.WriteData(1, n == len(body), body[:n])
			body, stream, all = body[n:], stream-n, all-n
			continue
		}
		got, err := f.ReadFrame()
		if err != nil {
			return
		}
		if w, ok := got.(*http2.WindowUpdateFrame); ok && w.StreamID == 0 {
			all += int(w.Increment)
		} else if ok {
			stream += int(w.Increment)
		}
	}
}

// A call may go on for days: when its response has begun, no more is held of it than
// what is under way.
func TestSettledBodyIsNotKept(t *testing.T) {
	o, f := uploading(t)
	b := &o.st.Body
	_ = attemptWith(t, b, 65535)
	b.Settle()
	for i := range 1000 {
		_ = f.WriteData(1, false, []byte("piece"))
		eventually(t, "a piece does not go on", func() bool {
			b.mu.Lock()
			defer b.mu.Unlock()
			return b.got == int64(5*(i+1)) && len(b.buf) == 0
		})
	}
	if cap(b.buf) > 1<<10 {
		t.Errorf("%d bytes are held for messages of 5", cap(b.buf))
	}
}

// A body that its client breaks is broken for all attempts.
func TestBrokenBody(t *testing.T) {
	for name, c := range map[string]struct {
		length, body string
		end          bool
	}{"short": {"9", "some", true}, "long": {"2", "some", false}, "none": {"5", "", true}} {
		o, f := uploading(t, Field{Name: "content-length", Value: c.length})
		_ = f.WriteData(1, c.end, []byte(c.body))
		eventually(t, name+": nobody is told", func() bool { return errors.Is(o.st.Body.Broken(), ErrBody) })
	}
	_, f, _, owners := server(t, usual, nil)
	headers(f, 1, ask(Field{Name: "content-length", Value: "5"}), true)
	if err := (<-owners).st.Body.Broken(); !errors.Is(err, ErrBody) {
		t.Errorf("a head that ends, with a length: %v, want %v", err, ErrBody)
	}
}

// A request without a body is whole, and can be sent again.
func TestNoBody(t *testing.T) {
	b := &NewStream(Request{Ended: true, Length: -1}).Body
	_, whole := b.Whole()
	if _, awaited := b.Awaited(); !whole || !b.Replayable() || awaited || b.Broken() != nil || !b.None() {
		t.Error("no body is not whole, or cannot be sent again, or is waited for, or broken")
	}
	b.Settle()
	b.End()
}

// A backend that takes nothing has its client wait, and no one else.
func TestStuckBodyIsBounded(t *testing.T) {
	o, f := uploading(t)
	b := &o.st.Body
	c, _, _ := greeted(t, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	_ = c.Reserve()
	if _, err := c.Open(Out{Block: ask(), Body: b}, newListener(), nil); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		_ = f.WriteData(1, false, make([]byte, 16<<10)) // all that its window allows
	}
	headers(f, 3, ask(), true)
	eventually(t, "another request waits for the stuck one", func() bool { return o.st.c.Streams() == 2 })
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.buf) != 64<<10 || b.returned != 0 {
		t.Errorf("%d bytes are held and %d given back, want the client's window and none", len(b.buf), b.returned)
	}
}

// Trailers go with each attempt, if the backend takes as many.
func TestTrailersGoWithEachAttempt(t *testing.T) {
	o, f := uploading(t)
	_ = f.WriteData(1, false, []byte("body"))
	headers(f, 1, Block(nil, []Field{{Name: "x-sum", Value: strings.Repeat("s", 500)}}), true)
	for range 2 {
		if got := attemptWith(t, &o.st.Body, 65535).all(t); got != "body" {
			t.Errorf("the attempt is given %q", got)
		}
	}
	c, _, _ := greeted(t, http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: 400})
	_ = c.Reserve()
	l := newListener()
	cs, err := c.Open(Out{Block: ask(), Body: &o.st.Body}, l, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := outcome(t, cs, l); !errors.Is(err, ErrTooLarge) {
		t.Errorf("trailers that are too large: %v, want %v", err, ErrTooLarge)
	}
}
