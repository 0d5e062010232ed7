package etcd

import (
	"log/slog"
	"slices"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"portside/discovery"
)

// below is kvs without the key that is the prefix itself.
func (f *follower) below(kvs []*mvccpb.KeyValue) []*mvccpb.KeyValue {
	return slices.DeleteFunc(kvs, func(kv *mvccpb.KeyValue) bool { return len(kv.Key) <= len(f.prefix) })
}

// apply takes one event into the table. What the list already had is passed over.
func (f *follower) apply(e *mvccpb.Event) {
	if e.Kv.ModRevision <= f.base || len(e.Kv.Key) <= len(f.prefix) {
		return
	}
	if f.audit != nil {
		f.audit.touched[string(e.Kv.Key)] = e.Kv.ModRevision
	}
	if e.Type == mvccpb.Event_DELETE {
		f.table.remove(string(e.Kv.Key), e.Kv.ModRevision)
		return
	}
	f.table.put(e.Kv)
}

// publish notes what is known now and hands the set over if it is another than
// before, or the first.
func (f *follower) publish(change func(*seen)) difference {
	d := f.table.flush()
	first := !f.seen.known
	skipped := f.seen.skipped
	if f.table.skips {
		skipped, f.table.skips = f.table.someSkipped(maxSkipped), false
	}
	f.note(func(s *seen) {
		change(s)
		s.known, s.bad, s.skipped = true, f.table.bad, skipped
	})
	f.changes = f.changes.plus(d)
	if first || !d.empty() {
		f.update(f.table.sorted)
	}
	return d
}

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
