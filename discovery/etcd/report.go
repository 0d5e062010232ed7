package etcd

import (
	"log/slog"
	"time"

	"portside/discovery"
)

// bareFor is for how long a prefix may have no keys at first: what starts together with
// us registers in a moment.
const bareFor = 2 * time.Second

// missKeys says once that there are none, which a mistyped name looks like.
func (f *follower) missKeys(now time.Time) {
	if f.bareAt.IsZero() || now.Before(f.bareAt) {
		return
	}
	f.bareAt = time.Time{}
	if len(f.table.records) == 0 {
		f.client.chorus.say(f.log, slog.LevelWarn, "etcd: there are no keys under this prefix", "revision", f.seen.revision)
	}
}

// report logs a change of state, once; of a source among many perhaps at debug level.
func (f *follower) report(l link, now time.Time) {
	f.missKeys(now)
	state := f.seen.state(now, f.client.cfg.liveness())
	if state == f.told {
		return
	}
	switch {
	case state == discovery.Stale:
		f.lapsed = f.seen.proven
		f.client.chorus.say(f.log, slog.LevelWarn, "etcd: stale, the last known endpoints stand", "reason", f.reason(l), "endpoints", len(f.table.sorted))
	case f.told == discovery.Stale:
		f.client.chorus.say(f.log, slog.LevelInfo, "etcd: synced again", "stale_for", now.Sub(f.toldAt).Round(time.Millisecond), "unproven_for", f.unproven(now), "revision", f.seen.revision, "difference", f.changes, "endpoints", len(f.table.sorted))
	default:
		f.bareAt = now.Add(bareFor)
		f.client.chorus.say(f.log, slog.LevelInfo, "etcd: synced", "revision", f.seen.revision, "endpoints", len(f.table.sorted))
	}
	f.told, f.toldAt, f.changes = state, now, difference{}
}

// unproven is for how long, until now, there was no proof of what became stale: longer
// than it was stale. Zero: there had never been any.
func (f *follower) unproven(now time.Time) time.Duration {
	if f.lapsed.IsZero() {
		return 0
	}
	return now.Sub(f.lapsed).Round(time.Millisecond)
}

// moan says once that there is no first list, or that etcd refuses a later one: that
// at once, since somebody has to do something about it.
func (f *follower) moan(err error, now time.Time) {
	if f.seen.known && refused(err) && f.refused != cause(err) {
		f.refused = cause(err)
		f.log.Warn("etcd: no list, the last known endpoints stand", "reason", plain(err, f.prefix, f.client.cfg.Username, f.seen.proven))
	}
	if f.seen.known || f.moaned || !refused(err) && now.Sub(f.toldAt) < f.client.cfg.liveness() {
		return
	}
	f.moaned = true
	f.log.Warn("etcd: no list yet", "reason", plain(err, f.prefix, f.client.cfg.Username, f.toldAt))
}
