package etcd

import (
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

// report logs a change of state, once.
func (f *follower) report(l link, now time.Time) {
	state := f.seen.state(now, f.client.cfg.liveness())
	if state == f.told {
		return
	}
	after := now.Sub(f.toldAt).Round(time.Millisecond)
	switch {
	case state == discovery.Stale:
		f.log.Warn("etcd: stale, the last known endpoints stand", "reason", f.reason(l), "endpoints", len(f.table.sorted))
	case f.told == discovery.Stale:
		f.log.Info("etcd: synced again", "after", after, "revision", f.seen.revision, "difference", f.changes, "endpoints", len(f.table.sorted))
	default:
		f.log.Info("etcd: synced", "revision", f.seen.revision, "endpoints", len(f.table.sorted))
	}
	f.told, f.toldAt, f.changes = state, now, difference{}
}
