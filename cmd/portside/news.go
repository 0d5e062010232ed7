package main

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"portside/cmd/portside/admin"
	"portside/pool"
)

// news tells what happens to a service's backends, in the log and to listeners of the API.
type news struct {
	name    string
	log     *slog.Logger
	events  *admin.Events
	filling atomic.Bool   // the pool is getting its first endpoints, which are no news
	chatter *rate.Limiter // limits lines about backends
	unsaid  atomic.Int64  // lines that were held back
	doubted time.Time     // when the last backend became a suspect; only OnEvent, which is called one at a time, uses it
	opened  atomic.Int64  // failing while the pool fails open; then when that ended, in Unix nanoseconds; zero once its end was said
}

func newNews(name string, log *slog.Logger, events *admin.Events) *news {
	return &news{name: name, log: log, events: events, chatter: rate.NewLimiter(20, 50)}
}

// tell tells a change of a backend's state, or of the pool's. Kept counts the pool's backends,
// and the suspects among them.
func (n *news) tell(e pool.Event, kept func() (all, suspects int)) {
	if e.Backend == nil {
		n.failsOpen(e)
		return
	}
	if e.From == pool.Active && e.To == pool.Suspect {
		n.doubt(e, kept)
	}
	n.say(e)
	n.events.Tell(admin.Event{
		Time: e.Time.UTC(), Service: n.name, Backend: e.Backend.Address(), Kind: "backend",
		From: string(e.From), To: string(e.To), Reason: e.Reason,
	})
}

// doubt warns, before the first of many lines about suspects, that the registry has dropped
// backends in a mass.
func (n *news) doubt(e pool.Event, kept func() (all, suspects int)) {
	was := n.doubted
	if n.doubted = e.Time; e.Time.Sub(was) < lull {
		return
	}
	all, suspects := kept()
	n.log.Warn("the registry has dropped most of the backends at once; those that still answer stay in rotation", "listed", all-suspects, "of", all)
}

// lull is the time after which the next suspect is part of another mass.
const lull = 5 * time.Second

// failsOpen tells that the pool has begun to fail open, and notes when that ends. While most
// answers fail, it begins and ends with each that does not: so it is told once when it
// begins, and its end only when it has been over for a while; see calm.
func (n *news) failsOpen(e pool.Event) {
	if e.To != pool.FailOpen {
		n.opened.Store(time.Now().UnixNano())
		return
	}
	if n.opened.Swap(failing) != 0 {
		return // it was not over for long
	}
	n.log.Warn("failing open: " + e.Reason + "; they get the traffic all the same")
	n.tellOpen(e.Time, pool.Active, pool.FailOpen, e.Reason)
}

const (
	// failing is the value of news.opened while the pool fails open.
	failing = -1
	// calmFor is how long failing open has to be over for that to be said.
	calmFor = 5 * time.Second
)

// calm tells that failing open is over, once it has been for a while. Backends counts those
// that there are by now.
func (n *news) calm(now time.Time, backends func() int) {
	since := n.opened.Load()
	if since <= 0 || now.UnixNano()-since < int64(calmFor) || !n.opened.CompareAndSwap(since, 0) {
		return
	}
	reason := "a backend is well"
	if backends() == 0 {
		reason = "no backend is left"
	}
	n.log.Info("no longer failing open: " + reason)
	n.tellOpen(now, pool.FailOpen, pool.Active, reason)
}

func (n *news) tellOpen(at time.Time, from, to pool.State, reason string) {
	n.events.Tell(admin.Event{Time: at.UTC(), Service: n.name, Kind: "pool", From: string(from), To: string(to), Reason: reason})
}

// say logs a change of a backend's state. A thousand backends that come or go at once do not
// make a thousand lines.
func (n *news) say(e pool.Event) {
	level := slog.LevelInfo
	switch {
	case n.filling.Load():
		level = slog.LevelDebug
	case !n.chatter.Allow():
		n.unsaid.Add(1)
		level = slog.LevelDebug
	case e.To == pool.Ejected || e.To == pool.Suspect:
		level = slog.LevelWarn
	}
	was := string(e.From)
	if e.From == pool.Gone && e.To != pool.Suspect {
		was = "new" // even if it had been there before: its record is clean
	}
	attrs := []slog.Attr{slog.String("backend", e.Backend.Address()), slog.String("was", was)}
	if e.Reason != "" {
		attrs = append(attrs, slog.String("reason", e.Reason))
	}
	if level > slog.LevelDebug {
		if held := n.unsaid.Swap(0); held > 0 {
			attrs = append(attrs, slog.Int64("changes_not_shown", held))
		}
	}
	n.log.LogAttrs(context.Background(), level, "backend "+string(e.To), attrs...)
}
