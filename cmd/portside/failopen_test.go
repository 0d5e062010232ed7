package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"portside/cmd/portside/admin"
	"portside/discovery"
	"portside/pool"
)

// With most answers failing, failing open comes and goes with each that does not: that
// is two lines, however often.
func TestFailingOpenIsSaidOnceAndItsEndOnceItLasts(t *testing.T) {
	var log bytes.Buffer
	s := newNews("web", slog.New(slog.NewTextHandler(&log, nil)), &admin.Events{})
	none := func() int { return 0 }
	for range 100 {
		s.failsOpen(pool.Event{From: pool.Active, To: pool.FailOpen, Reason: "all fail"})
		s.calm(time.Now().Add(time.Hour), none) // not while it lasts
		s.failsOpen(pool.Event{From: pool.FailOpen, To: pool.Active, Reason: "a backend is well"})
		s.calm(time.Now().Add(time.Second), none)
	}
	if n := strings.Count(log.String(), "\n"); n != 1 || !strings.Contains(log.String(), "failing open: all fail") {
		t.Errorf("%d lines, want that it fails open, once:\n%s", n, log.String())
	}
	s.calm(time.Now().Add(2*calmFor), none)
	s.calm(time.Now().Add(3*calmFor), none)
	if n := strings.Count(log.String(), "\n"); n != 2 || !strings.Contains(log.String(), "no longer failing open") {
		t.Errorf("%d lines, want that it is over, once:\n%s", n, log.String())
	}
}

// The first to leave of a pool of two is a suspect once the second leaves, too.
func TestASuspectThatHadLeftIsNotCalledNew(t *testing.T) {
	var log bytes.Buffer
	n := newNews("web", slog.New(slog.NewTextHandler(&log, nil)), &admin.Events{})
	p := pool.New(pool.Config{OnEvent: n.say})
	p.Update([]discovery.Endpoint{{Address: "a:1"}, {Address: "b:1"}})
	p.Update([]discovery.Endpoint{{Address: "b:1"}})
	log.Reset()
	p.Update(nil)
	if text := log.String(); strings.Count(text, "backend suspect") != 2 || strings.Contains(text, "was=new") {
		t.Errorf("want two suspects, and neither new:\n%s", text)
	}
}
