package http2

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
)

func nothing() {}

func text(t *testing.T, r io.Reader) string {
	t.Helper()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestBodyIsSentAgain(t *testing.T) {
	var all atomic.Int64
	b := NewBody(io.NopCloser(strings.NewReader("some words")), nil, nothing, func() { all.Add(1) })
	defer b.End()
	first, _ := b.Open()
	if _, err := io.ReadFull(first, make([]byte, 4)); err != nil {
		t.Fatal(err)
	}
	if _, ok := b.Whole(); ok || !b.Replayable() {
		t.Fatal("an attempt that has had a part has had the whole, or nobody else can")
	}
	second, _ := b.Open()
	if _, err := first.Read(make([]byte, 4)); !errors.Is(err, os.ErrClosed) {
		t.Errorf("the attempt before reads on (%v)", err)
	}
	_ = first.Close() // late
	if got := text(t, second); got != "some words" {
		t.Errorf("the second attempt is given %q", got)
	}
	third, _ := b.Open()
	if got := text(t, third); got != "some words" {
		t.Errorf("the third attempt is given %q", got)
	}
	if _, ok := b.Whole(); !ok || all.Load() != 1 {
		t.Errorf("told %d times that an attempt had all, want once", all.Load())
	}
}

// What is larger than what is kept goes through, once.
func TestLargeBodyIsSentOnce(t *testing.T) {
	sent := make([]byte, 10*kept+123)
	for i := range sent {
		sent[i] = byte(rand.Uint32())
	}
	b := NewBody(io.NopCloser(iotest.HalfReader(bytes.NewReader(sent))), nil, nothing, nothing)
	defer b.End()
	u, _ := b.Open()
	if got := text(t, u); sha256.Sum256([]byte(got)) != sha256.Sum256(sent) {
		t.Fatalf("%d bytes came of %d, or other ones", len(got), len(sent))
	}
	if b.Replayable() {
		t.Error("more than is kept can be sent again")
	}
	if got := cap(b.buf); got > 2*kept {
		t.Errorf("%d bytes are held, want at most %d", got, 2*kept)
	}
}

// A call may go on for days: when its response has begun, no more is held of it than
// what is under way.
func TestSettledBodyIsNotKept(t *testing.T) {
	from, to := io.Pipe()
	b := NewBody(from, nil, nothing, nothing)
	defer b.End()
	u, _ := b.Open()
	b.Settle()
	for i := range 10_000 {
		piece := fmt.Appendf(nil, "%5d", i)
		go func() { _, _ = to.Write(piece) }()
		got := make([]byte, 5)
		if _, err := io.ReadFull(u, got); err != nil || !bytes.Equal(got, piece) {
			t.Fatalf("%q, %v, want %q", got, err, piece)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if cap(b.buf) > firstRoom {
		t.Errorf("%d bytes are held for messages of 5", cap(b.buf))
	}
}

func TestTrailersGoWithEachAttempt(t *testing.T) {
	tail := http.Header{"X-Sum": nil, "X-Other": nil}
	from := io.MultiReader(strings.NewReader("body"), readerFunc(func([]byte) (int, error) {
		tail["X-Sum"] = []string{"sum"}
		return 0, io.EOF
	}))
	b := NewBody(io.NopCloser(from), tail, nothing, nothing)
	defer b.End()
	for range 2 {
		u, trailer := b.Open()
		if v, announced := trailer["X-Sum"]; !announced || v != nil {
			t.Fatalf("announced are %v, before the body", trailer)
		}
		_ = text(t, u)
		if trailer.Get("X-Sum") != "sum" {
			t.Errorf("behind the body the trailers are %v", trailer)
		}
	}
}

// A body that its client breaks is broken for all attempts; one that is ended is not.
func TestBrokenBody(t *testing.T) {
	cut := errors.New("cut")
	b := NewBody(io.NopCloser(io.MultiReader(strings.NewReader("some"), iotest.ErrReader(cut))), nil, nothing, nothing)
	u, _ := b.Open()
	if _, err := io.ReadAll(u); !errors.Is(err, cut) {
		t.Errorf("the attempt reads %v, want %v", err, cut)
	}
	if err := b.Broken(); !errors.Is(err, ErrBody) || !errors.Is(err, cut) {
		t.Errorf("%v, want %v because of %v", err, ErrBody, cut)
	}
	b.End()

	from, _ := io.Pipe()
	b = NewBody(from, nil, nothing, nothing)
	u, _ = b.Open()
	var reading sync.WaitGroup
	reading.Go(func() { _, _ = u.Read(make([]byte, 1)) })
	b.End() // has the reader leave
	reading.Wait()
	if err := b.Broken(); err != nil {
		t.Errorf("a body that was ended is broken: %v", err)
	}
}

// A nil body is that of a request without one.
func TestNoBody(t *testing.T) {
	var b *Body
	_, whole := b.Whole()
	if _, awaited := b.Awaited(); !whole || !b.Replayable() || awaited || b.Broken() != nil {
		t.Error("no body is not whole, or cannot be sent again, or is waited for, or broken")
	}
	b.Settle()
	b.Stop()
	b.End()
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
