package etcd

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"portside/discovery"
)

func TestAThousandSourcesAreNotAThousandLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		c := New(Config{}, slog.New(slog.NewTextHandler(&log, nil)))
		sources := make([]*follower, 1000)
		for i := range sources {
			f := newFollower(c.Source(fmt.Sprintf("s%d", i), decodePlain), func([]discovery.Endpoint) {})
			f.loggedState, f.seen.known, f.seen.proven = discovery.Synced, true, time.Now()
			sources[i] = f
		}
		report := func() (lines []string) {
			log.Reset()
			for _, f := range sources {
				f.report(link{}, time.Now())
			}
			return strings.Split(strings.TrimSpace(log.String()), "\n")
		}
		time.Sleep(time.Minute)
		lines := report()
		if len(lines) > 100 {
			t.Errorf("1000 sources that are stale together logged %d lines, want some dozens", len(lines))
		}
		if last := lines[len(lines)-1]; !strings.Contains(last, "more=") {
			t.Errorf("the last line of many does not say that there is more: %s", last)
		}
		for _, f := range sources {
			f.seen.proven = time.Now()
		}
		time.Sleep(time.Second)
		if first := report()[0]; !strings.Contains(first, fmt.Sprintf("lines_not_shown=%d", 1000-len(lines))) {
			t.Errorf("how many lines were held back is not said: %s", first)
		}
	})
}

// A prefix without keys is most often a slip in one service's configuration. That all
// others say at the same time that they are in sync must not hide it.
func TestThatAPrefixHasNoKeysIsSaidAmongThousands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		c := New(Config{}, slog.New(slog.NewTextHandler(&log, nil)))
		var sources []*follower
		for i := range 3000 {
			f := newFollower(c.Source(fmt.Sprintf("s%d", i), decodePlain), func([]discovery.Endpoint) {})
			f.seen.known, f.seen.proven = true, time.Now()
			if i%1000 != 0 {
				f.table.replace([]*mvccpb.KeyValue{putValue(fmt.Sprintf("s%d/a", i), "10.0.0.1:80", 1)})
			}
			sources = append(sources, f)
			f.report(link{}, time.Now())
			for _, f := range sources { // as their own timers have it
				if !f.warnNoKeysAt.IsZero() && !f.warnNoKeysAt.After(time.Now()) {
					f.report(link{}, time.Now())
				}
			}
			time.Sleep(5 * time.Millisecond)
		}
		time.Sleep(emptyFor)
		for _, f := range sources {
			f.report(link{}, time.Now())
		}
		if n := strings.Count(log.String(), "there are no keys"); n != 3 {
			t.Errorf("%d of 3 services without keys were named in the log, want all", n)
		}
	})
}
