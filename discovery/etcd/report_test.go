package etcd

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"portside/discovery"
)

// A name that is mistyped finds a prefix that is empty, and looks well.
func TestAnEmptyPrefixIsSaid(t *testing.T) {
	url := startEtcd(t).Endpoint()
	var log logBuffer
	v := follow(t, run(t, quickly(url), func(c *Client) { c.log = slog.New(slog.NewTextHandler(&log, nil)) }), "mistyped")
	v.state(discovery.Synced)
	v.within(5*time.Second, func() string {
		if text := log.String(); strings.Count(text, "level=WARN") != 1 || !strings.Contains(text, "no keys under this prefix") {
			return "want one warning that there are no keys, logged " + text
		}
		return ""
	})
}

// How long a list was stale is less than how long there was no proof of it.
func TestAnOutageIsToldAtItsLength(t *testing.T) {
	now := time.Now()
	f := follower{logged: logged{lastProven: now.Add(-13 * time.Second)}}
	if d := f.unproven(now); d != 13*time.Second {
		t.Errorf("unproven for %s, want 13s", d)
	}
	f.lastProven = time.Time{}
	if d := f.unproven(now); d != 0 {
		t.Errorf("unproven for %s, want nothing said of what was never proven", d)
	}
}
