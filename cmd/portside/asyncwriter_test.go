package main

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// stuck is a reader that takes nothing for a while.
type stuck struct {
	go_ chan struct{}
	mu  sync.Mutex
	got bytes.Buffer
}

func (s *stuck) Write(p []byte) (int, error) {
	<-s.go_
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.got.Write(p)
}

func TestOutletDoesNotWaitForItsReader(t *testing.T) {
	to := &stuck{go_: make(chan struct{})}
	var lost atomic.Int64 // told once, or twice where the writer was late to begin
	o := newAsyncWriter(to, func(bytes int64, _ error) { lost.Add(bytes) })
	line := strings.Repeat("x", 99) + "\n"
	const lines = 3 * asyncRoom / 100
	start := time.Now()
	for range lines {
		if n, err := o.Write([]byte(line)); n != len(line) || err != nil {
			t.Fatal(n, err)
		}
	}
	o.flush() // in vain
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("the writer took %v", took)
	}
	close(to.go_)
	eventually(t, "something still waits after a flush", func() bool {
		o.flush()
		o.mu.Lock()
		defer o.mu.Unlock()
		return o.writing == nil && len(o.waiting) == 0
	})
	to.mu.Lock()
	defer to.mu.Unlock()
	got := to.got.String()
	if whole := strings.Count(got, line); whole*len(line) != len(got) || whole < asyncRoom/100-1 || int64(len(got))+lost.Load() != lines*100 {
		t.Errorf("%d lines in %d bytes, and %d bytes lost; want whole lines, and %d bytes in all", whole, len(got), lost.Load(), lines*100)
	}
}

func TestOutletKeepsTheOrder(t *testing.T) {
	to := &stuck{go_: make(chan struct{})}
	close(to.go_)
	o := newAsyncWriter(to, func(int64, error) { t.Error("something was lost") })
	var want strings.Builder
	for i := range 2000 {
		line := fmt.Sprintln("line", i)
		want.WriteString(line)
		_, _ = o.Write([]byte(line))
	}
	o.flush()
	to.mu.Lock()
	defer to.mu.Unlock()
	if to.got.String() != want.String() {
		t.Error("lines are missing, or in another order")
	}
}

// full is a disk that takes the first bytes of a write only, some times.
type full struct{ times int }

func (f *full) Write(p []byte) (int, error) {
	if f.times--; f.times < 0 {
		return len(p), nil
	}
	return 1, syscall.ENOSPC
}

func TestOutletSaysThatItCannotWrite(t *testing.T) {
	var told []string
	o := newAsyncWriter(&full{times: 3}, func(bytes int64, err error) { told = append(told, fmt.Sprint(bytes, err)) })
	for range 4 {
		_, _ = o.Write([]byte("a line\n"))
		o.flush()
	}
	if want := "[0 no space left on device 18 <nil>]"; fmt.Sprint(told) != want {
		t.Errorf("told %v, want %s", told, want)
	}
}
