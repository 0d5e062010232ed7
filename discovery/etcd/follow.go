package etcd

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"portside/discovery"
)

// A follower is one Run of a Source: a loop that owns everything in it.
//
//	      ┌──────── doubt ─────────┐
//	      ▼                        │
//	list at R ──► publish ──► watch from R ──► apply, publish …
//
// It watches from R, not R+1, and passes over what it has: etcd answers a
// request for progress only when its revision has reached where every watch on
// the stream begins (mvcc.progressIfSync), so in an etcd to which nobody writes
// a watch from R+1 could not be told from a dead one.
type follower struct {
	*Source
	update func([]discovery.Endpoint)
	table  *table

	watch   *watch    // nil: in doubt
	watched time.Time // when the watch began
	base    int64     // revision of the list from which the watch goes on
	why     string    // the doubt that the next list answers; empty: it is the first list
	stream  *stream
	listing bool // a list is under way
	pace    pace
	listed  chan listing
	calls   sync.WaitGroup

	retryAt   time.Time // not before this the next list
	tries     *tries    // between lists that fail
	fruitless backoff   // between doubts in quick succession whose lists find no difference
	noQuorum  bool      // the last list found no quorum

	auditAt time.Time // when the next one is due; zero: none is
	audit   *audit    // nil: none is under way

	logged
}

func newFollower(s *Source, update func([]discovery.Endpoint)) *follower {
	t := newTable(s.decode, s.log)
	t.reuse = s.Reuse
	return &follower{
		Source:    s,
		update:    update,
		table:     t,
		listed:    make(chan listing, 1),
		tries:     newTries(100*time.Millisecond, 5*time.Second),
		fruitless: backoff{first: 50 * time.Millisecond, most: s.client.cfg.liveness() / 2},
		logged:    logged{loggedState: discovery.Syncing, loggedAt: time.Now()},
	}
}

func (f *follower) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer f.calls.Wait()
	defer cancel()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		link, changed := f.client.link()
		if link.stream != f.stream {
			f.onStream(link.stream)
		}
		now := time.Now()
		f.act(ctx, link, now)
		f.report(link, now)
		timer.Reset(time.Until(f.deadline(link)))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		case <-timer.C:
		case l := <-f.listed:
			f.onListed(l)
		case <-f.watchReady():
			f.onWatch()
		}
	}
}

func (f *follower) close() {
	if f.watch != nil {
		f.watch.close()
	}
}

// onStream notes that the stream is another one now, or gone. A new one is a reason not to
// wait any longer for the next list.
func (f *follower) onStream(s *stream) {
	f.stream = s
	if s == nil {
		return
	}
	f.fruitless.reset() // the client spaces its streams already
	f.retryAt = time.Now()
	if f.why != "" { // etcd is back: not all sources are to list in one moment
		f.retryAt = f.retryAt.Add(rand.N(50 * time.Millisecond))
	}
}

// act does what is due at now.
func (f *follower) act(ctx context.Context, link link, now time.Time) {
	if f.watch != nil && now.After(f.silentAt()) {
		f.doubt(errSilent)
	}
	switch {
	case f.listing:
	case f.watch != nil && link.stream != nil && f.auditDue(now):
		f.list(ctx, link, keysOnly)
	case f.watch == nil && f.mayList(link) && !now.Before(f.retryAt):
		f.list(ctx, link, f.kind(link))
	}
}

// mayList reports whether a list can succeed. While etcd is away only the client tries to
// reach it, not each of its sources.
func (f *follower) mayList(l link) bool {
	return l.stream != nil || l.etcd != nil && f.meansNoQuorum(l.err)
}

// kind is what to list now: at a start without quorum one member's own view, since an old
// set is better than none; else what a quorum has. The two take turns until there is a
// quorum.
func (f *follower) kind(l link) listKind {
	if l.stream == nil || f.noQuorum {
		return unproven
	}
	return whole
}

// meansNoQuorum reports whether err, at a start, means that a member answers and has no
// quorum.
func (f *follower) meansNoQuorum(err error) bool {
	return !f.seen.known && err != nil && (leaderless(err) || timedOut(err))
}

func (f *follower) list(ctx context.Context, l link, kind listKind) {
	f.listing = true
	ctx, stop := context.WithCancel(ctx)
	if kind == keysOnly {
		f.audit = newAudit(stop)
	}
	pace := f.pace
	f.calls.Go(func() {
		defer stop()
		got := listing{kind: kind, err: context.Canceled}
		select {
		case f.client.lists <- struct{}{}:
			got = list(ctx, l.etcd.ActiveConnection(), f.prefix, kind, pace)
			<-f.client.lists
		case <-ctx.Done():
		}
		got.stream = l.stream
		f.listed <- got
	})
}

func (f *follower) onListed(l listing) {
	f.listing = false
	f.pace.learn(l)
	now := time.Now()
	switch {
	case l.err != nil:
		f.onListFailed(l, now)
	case l.kind == keysOnly:
		f.onAudit(l)
	case l.kind == unproven:
		f.onUnproven(l, now)
	default:
		f.onWhole(l, now)
	}
}

func (f *follower) onListFailed(l listing, now time.Time) {
	if l.kind == keysOnly {
		if f.audit == nil { // doubted meanwhile
			return
		}
		f.audit = nil
		f.auditAt = now.Add(jitter(f.client.cfg.audit() / 4))
		f.auditFailed(l.err)
		return
	}
	f.note(func(s *seen) { s.err = l.err })
	f.noQuorum = l.kind == whole && f.meansNoQuorum(l.err)
	wait := f.tries.next(l.err)
	if errors.Is(rpctypes.Error(l.err), rpctypes.ErrCompacted) {
		wait = 0 // it happened between two pages of the list
	}
	f.retryAt = now.Add(wait)
	f.log.Debug("etcd: list failed", "err", l.err, "again_in", wait)
	f.warnNoList(l.err, now)
}

// onUnproven hands over one member's own view, which may be old, for want of a better one.
// An empty one proves nothing and is not handed over.
func (f *follower) onUnproven(l listing, now time.Time) {
	f.noQuorum = false
	f.retryAt = now.Add(f.tries.next(nil))
	f.note(func(s *seen) { s.err = rpctypes.ErrNoLeader })
	kvs := f.below(l.kvs)
	if f.seen.known || len(kvs) == 0 {
		return
	}
	f.table.replace(kvs)
	f.publish(func(s *seen) { s.revision, s.cluster = l.revision, l.cluster })
}

// onWhole makes a list the set, whatever its revision: even if it is lower than before, or
// another cluster's, it is what etcd has now.
func (f *follower) onWhole(l listing, now time.Time) {
	f.tries.reset()
	f.table.replace(f.below(l.kvs))
	f.base = l.revision
	d := f.publish(func(s *seen) {
		s.revision, s.cluster, s.proven, s.err, s.refusal = l.revision, l.cluster, l.asked, nil, nil
		if f.why != "" {
			s.resyncs[f.why]++
		}
	})
	if !d.empty() {
		f.fruitless.reset()
	}
	if f.why != "" {
		f.log.Debug("etcd: listed again", "why", f.why, "revision", l.revision, "difference", d)
	}
	if f.why == "audit" {
		f.onDrift(d)
	}
	f.why, f.audit, f.loggedRefusal = "", nil, ""
	f.scheduleAudit(now)
	if l.stream != nil {
		f.watched = now
		f.watch = l.stream.watch(f.prefix, f.end, l.revision)
	}
}

func (f *follower) watchReady() <-chan struct{} {
	if f.watch == nil {
		return nil
	}
	return f.watch.ready
}

// onWatch applies all that has arrived on the watch and then hands the set over, once: a
// burst is one update, and does not wait for events that are still to come.
func (f *follower) onWatch() {
	batch, ended := f.watch.take()
	at := f.seen.proven
	revision := f.seen.revision
	for _, r := range batch {
		if err := f.suspicious(r.Header, revision, r.Created); err != nil {
			ended = err
			break
		}
		for _, e := range r.Events {
			f.apply(e)
			revision = max(revision, e.Kv.ModRevision)
		}
		if isProgress(r.WatchResponse) {
			revision = r.Header.Revision
		}
		if !r.Created && r.at.After(at) {
			at = r.at
		}
	}
	f.publish(func(s *seen) { s.revision, s.proven = revision, at })
	f.compare()
	if ended != nil {
		f.doubt(ended)
	}
}

func (f *follower) staleAt() time.Time {
	return f.seen.proven.Add(f.client.cfg.liveness() + time.Millisecond)
}

// deadline is when to act next if nothing happens before.
func (f *follower) deadline(l link) time.Time {
	next := time.Now().Add(time.Hour)
	if f.watch != nil {
		next = soonest(next, f.silentAt())
		if l.stream != nil && !f.listing && f.audit == nil && !f.auditAt.IsZero() {
			next = soonest(next, f.auditAt)
		}
	}
	if f.watch == nil && !f.listing && f.mayList(l) {
		next = soonest(next, f.retryAt)
	}
	if f.loggedState == discovery.Synced {
		next = soonest(next, f.staleAt())
	}
	if !f.warnNoKeysAt.IsZero() {
		next = soonest(next, f.warnNoKeysAt)
	}
	return next
}
