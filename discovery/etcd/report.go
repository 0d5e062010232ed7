package etcd

import (
	"log/slog"
	"time"

	"portside/discovery"
)

// logged is what a follower has written to the log, so that it says things once.
type logged struct {
	loggedState   discovery.State
	loggedAt      time.Time  // when it has logged that state
	changes       difference // of the set since then
	lastProven    time.Time  // before the set became stale; zero: never
	loggedRefusal string     // why etcd refused a list
	loggedAudit   string     // why an audit failed
	warnedNoList  bool       // that there is no first list
	warnNoKeysAt  time.Time  // when to warn that there are no keys; zero: not
}

// emptyFor is how long a prefix may be without keys at first before that is worth a warning:
// servers that start together with us register in a moment.
const emptyFor = 2 * time.Second

// warnNoKeys warns once that there are no keys: the name may be mistyped.
func (f *follower) warnNoKeys(now time.Time) {
	if f.warnNoKeysAt.IsZero() || now.Before(f.warnNoKeysAt) {
		return
	}
	f.warnNoKeysAt = time.Time{}
	if len(f.table.records) == 0 {
		f.client.bare.say(f.log, slog.LevelWarn, "etcd: there are no keys under this prefix", "revision", f.seen.revision)
	}
}

// report logs a change of state, once; of a source among many perhaps at debug level.
func (f *follower) report(l link, now time.Time) {
	f.warnNoKeys(now)
	state := f.seen.state(now, f.client.cfg.liveness())
	if state == f.loggedState {
		return
	}
	switch {
	case state == discovery.Stale:
		f.lastProven = f.seen.proven
		f.client.chorus.say(f.log, slog.LevelWarn, "etcd: stale, the last known endpoints stand", "reason", f.reason(l), "endpoints", len(f.table.sorted))
	case f.loggedState == discovery.Stale:
		f.client.chorus.say(f.log, slog.LevelInfo, "etcd: synced again", "stale_for", now.Sub(f.loggedAt).Round(time.Millisecond), "unproven_for", f.unproven(now), "revision", f.seen.revision, "difference", f.changes, "endpoints", len(f.table.sorted))
	default:
		f.warnNoKeysAt = now.Add(emptyFor)
		f.client.chorus.say(f.log, slog.LevelInfo, "etcd: synced", "revision", f.seen.revision, "endpoints", len(f.table.sorted))
	}
	f.loggedState, f.loggedAt, f.changes = state, now, difference{}
}

// unproven is how long, until now, there has been no proof of a set that became stale. That
// is longer than it was stale. Zero: there has never been any.
func (f *follower) unproven(now time.Time) time.Duration {
	if f.lastProven.IsZero() {
		return 0
	}
	return now.Sub(f.lastProven).Round(time.Millisecond)
}

// warnNoList warns, once, that there is still no first list, or that etcd refuses a list. A
// refusal is said at once, since somebody has to do something about it.
func (f *follower) warnNoList(err error, now time.Time) {
	if f.seen.known && refused(err) && f.loggedRefusal != cause(err) {
		f.loggedRefusal = cause(err)
		f.log.Warn("etcd: no list, the last known endpoints stand", "reason", plain(err, f.prefix, f.client.cfg.Username, f.seen.proven))
	}
	if f.seen.known || f.warnedNoList || !refused(err) && now.Sub(f.loggedAt) < f.client.cfg.liveness() {
		return
	}
	f.warnedNoList = true
	f.log.Warn("etcd: no list yet", "reason", plain(err, f.prefix, f.client.cfg.Username, f.loggedAt))
}
