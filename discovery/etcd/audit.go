package etcd

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"
)

// errDrift is a difference that the watch should have told of and did not.
var errDrift = errors.New("an audit found a difference")

// An audit compares the set with what etcd has, though nothing seems wrong: a safety net
// for faults that nobody thought of, such as events lost by a server
// (etcd-io/etcd#17612, #19249). It lists keys and their revisions at some revision R,
// waits until the watch has told everything up to R, and compares, leaving out keys that
// changed after R.
type audit struct {
	stop    context.CancelFunc // ends its list
	listed  *listing           // nil: under way
	touched map[string]int64   // mod revisions of events since the audit began
}

func newAudit(stop context.CancelFunc) *audit {
	return &audit{stop: stop, touched: map[string]int64{}}
}

// scheduleAudit plans the next audit, give or take a tenth of the interval.
func (f *follower) scheduleAudit(now time.Time) {
	every := f.client.cfg.audit()
	if every == 0 {
		f.auditAt = time.Time{}
		return
	}
	f.auditAt = now.Add(every/10*9 + rand.N(every/5+1))
}

func (f *follower) auditDue(now time.Time) bool {
	return f.audit == nil && !f.auditAt.IsZero() && now.After(f.auditAt)
}

func (f *follower) onAudit(l listing) {
	if f.audit == nil || f.watch == nil { // a doubt has ended it meanwhile
		return
	}
	if f.another(l.cluster) {
		f.doubt(errCluster)
		return
	}
	f.audit.listed, f.loggedAudit = &l, ""
	f.note(func(s *seen) { s.refusal = nil })
	f.compare()
}

// compare ends an audit once the watch has reached its revision.
func (f *follower) compare() {
	if f.audit == nil || f.audit.listed == nil || f.seen.revision < f.audit.listed.revision {
		return
	}
	l, touched := f.audit.listed, f.audit.touched
	f.audit = nil
	f.scheduleAudit(time.Now())
	if f.differs(l, touched) {
		f.doubt(errDrift)
	}
}

func (f *follower) differs(l *listing, touched map[string]int64) bool {
	changed := func(key string) bool { return touched[key] > l.revision }
	listed := make(map[string]struct{}, len(l.kvs))
	for _, kv := range f.below(l.kvs) {
		key := string(kv.Key)
		listed[key] = struct{}{}
		r := f.table.records[key]
		if !changed(key) && (r == nil || r.version != versionOf(kv)) {
			return true
		}
	}
	for key := range f.table.records {
		if _, ok := listed[key]; !ok && !changed(key) {
			return true
		}
	}
	return false
}

// onDrift counts what only an audit corrected.
func (f *follower) onDrift(d difference) {
	n := d.added + d.removed + d.changed
	f.note(func(s *seen) { s.drift += uint64(n) })
	f.log.Warn("etcd: an audit corrected what the watch had missed", "difference", d)
}

// auditFailed notes and logs that an audit failed: as a warning once for each reason.
func (f *follower) auditFailed(err error) {
	if refused(err) {
		f.note(func(s *seen) { s.refusal = err })
	}
	level, reason := slog.LevelDebug, plain(err, f.prefix, f.client.cfg.Username, f.seen.proven)
	if f.loggedAudit != cause(err) {
		f.loggedAudit, level = cause(err), slog.LevelWarn
	}
	f.log.Log(context.Background(), level, "etcd: an audit failed; the watch alone is relied on", "reason", reason)
}
