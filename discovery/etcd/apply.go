package etcd

import (
	"slices"

	"go.etcd.io/etcd/api/v3/mvccpb"
)

// below is kvs without the key that is the prefix itself.
func (f *follower) below(kvs []*mvccpb.KeyValue) []*mvccpb.KeyValue {
	return slices.DeleteFunc(kvs, func(kv *mvccpb.KeyValue) bool { return len(kv.Key) <= len(f.prefix) })
}

// apply applies one event to the table, unless the list already had it.
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

// publish notes what is known now, as change says, and hands the set over if it has changed
// or is the first.
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
