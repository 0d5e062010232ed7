package etcd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// keeping is one Run of a Keeper: the loop that owns everything in it.
type keeping struct {
	*Keeper
	found    found
	watch    *watch         // on the key; nil: look again
	lease    *lease         // nil: none that is known to live
	outgrown []*lease       // of another TTL; the key may be under them until it is written again
	spent    []*lease       // our key is under none of them any more; to be given back
	late     bool           // etcd may still carry out a write that we no longer wait for
	ours     map[int64]bool // leases that we have or had, by ID
	newcomer bool           // nothing was written yet: the first write replaces whatever is there
	stood    bool           // the key was as wanted when last looked at
	lost     bool           // it was not any more, and has not been written again
	had      string         // its value while it stood

	pause     backoff   // between tries that fail
	repairs   backoff   // between repairs that succeed and do not last
	notBefore time.Time // a lost key is not written again before: two writers would chase each other
	lookAt    time.Time // when to read the key though nothing seems wrong
}

// found is the key as etcd has it.
type found struct {
	base     int64 // revision at which it was read, or of the event
	modified int64 // its mod revision; 0: there is no key
	lease    int64
	value    string
}

func (r *keeping) run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		link, changed := r.client.link()
		want, turn := r.wanted()
		wait := r.reconcile(ctx, link, want)
		if wait == 0 {
			r.pause.reset()
			r.done(turn) // before the leases: the key is gone, which is what Remove waits for
		}
		if len(r.spent) > 0 {
			r.giveBack(ctx, link, r.spent)
			r.spent = nil
		}
		if wait == 0 {
			if want.removed {
				return nil
			}
			wait = time.Hour // something will wake us
		}
		if r.watch != nil {
			wait = min(wait, time.Until(r.lookAt))
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-r.wake:
		case <-changed:
		case <-timer.C:
			if time.Now().After(r.lookAt) {
				r.lookAgain()
			}
		case <-r.events():
		case <-r.leaseLost():
			r.lease = nil // as do all who share it; the next one is shared again
		}
	}
}

// done says that all is done that can be done of what was wanted at turn. Only it writes
// settled.
func (r *keeping) done(turn uint64) {
	if r.settled < turn {
		r.note(func(*KeeperStatus) { r.settled = turn })
	}
}

// lookAgain makes the next reconcile read the key.
func (r *keeping) lookAgain() {
	if r.watch != nil {
		r.watch.close()
		r.watch = nil
	}
}

// stop leaves the key, if there is one, to its lease.
func (r *keeping) stop() {
	r.lookAgain()
	for _, l := range append(r.leases(), r.spent...) {
		r.client.leases.abandon(l)
	}
}

func (r *keeping) events() <-chan struct{} {
	if r.watch == nil {
		return nil
	}
	return r.watch.ready
}

func (r *keeping) leaseLost() <-chan struct{} {
	if r.lease == nil {
		return nil
	}
	return r.lease.lost
}

// loseLease gives the lease up. It may live on in etcd, with the key under it: the key is
// then written again under another lease, without a gap.
func (r *keeping) loseLease() {
	if r.lease != nil {
		r.client.leases.abandon(r.lease)
		r.lease = nil
	}
}

// leases are those that the key may be under.
func (r *keeping) leases() []*lease {
	if r.lease == nil {
		return r.outgrown
	}
	return append(r.outgrown, r.lease)
}

// upheld reports whether the key was as wanted when last seen, and its lease is still kept
// alive.
func (r *keeping) upheld() bool {
	return r.stood && slices.ContainsFunc(r.leases(), func(l *lease) bool { return l.id == r.found.lease && l.lives() })
}

// outgrow puts the lease aside if another TTL is wanted now, or the lease is stale.
func (r *keeping) outgrow(want wanted) {
	if r.lease != nil && (r.lease.seconds != want.reg.seconds() || r.lease.stale.Load()) {
		r.outgrown, r.lease = append(r.outgrown, r.lease), nil
	}
}

// reconcile makes the key what is wanted, one step at most. It returns zero once it is that,
// or another's; else how long to wait for news before trying again.
func (r *keeping) reconcile(ctx context.Context, l link, want wanted) time.Duration {
	if l.stream == nil {
		return r.unreachable(l, want)
	}
	if err := r.observe(ctx, l, want.reg.ttl()); err != nil {
		return r.failed(ctx, want, err)
	}
	r.outgrow(want)
	action := judge(r.found, r.desired(want), r.leaseID(), r.ours, r.newcomer)
	r.countLoss(action, want)
	var err error
	switch action {
	case leaveAlone:
	case yield:
		r.spent = append(r.spent, r.leases()...)
		r.lease, r.outgrown = nil, nil
		r.become(Taken, fmt.Sprintf("another holder has the key, under lease %x", r.found.lease))
		return 0 // there is nothing of ours to mark or to change; an event will come
	case write:
		if wait := time.Until(r.notBefore); r.lost && wait > 0 {
			return wait
		}
		err = r.write(ctx, l, want)
	case erase:
		err = r.erase(ctx, l)
	}
	if err != nil {
		return r.failed(ctx, want, err)
	}
	r.settledAs(want)
	return 0
}

// desired is the value that the key is to have; empty: there is to be no key.
func (r *keeping) desired(w wanted) string {
	switch {
	case w.absent || w.removed:
		return ""
	case w.draining && r.found.modified == 0:
		return "" // it is gone already; it is not written again only to be marked
	case w.draining && w.reg.Draining != "":
		return w.reg.Draining
	}
	return w.reg.Value
}

func (r *keeping) leaseID() int64 {
	if r.lease == nil {
		return 0
	}
	return r.lease.id
}

// unreachable waits for the connection. A registration whose lease is still
// being kept stands meanwhile, as far as anybody knows.
func (r *keeping) unreachable(l link, want wanted) time.Duration {
	if r.desired(want) == "" && len(r.ours) == 0 { // we never had a lease, so we have written nothing
		r.settledAs(want)
		return 0
	}
	switch {
	case l.err == nil: // not even tried yet
		r.become(Waiting, "not connected yet")
	case !r.upheld():
		r.become(Retrying, plain(l.err, r.whatIsAsked(), r.client.cfg.Username, l.since))
	}
	return time.Hour // the connection's change will wake us
}

// whatIsAsked is what we ask of etcd, for its refusals: both, since a key is read before it
// is written, so that nobody else's is overwritten.
func (r *keeping) whatIsAsked() string { return r.key + ", which takes reading and writing" }

func (r *keeping) failed(ctx context.Context, want wanted, err error) time.Duration {
	if ctx.Err() != nil {
		return time.Hour
	}
	if errors.Is(err, errChanged) {
		return max(r.pause.next()/2, time.Millisecond)
	}
	if !r.upheld() || r.desired(want) == "" {
		since := time.Now()
		if s := r.Status(); s.State == Retrying {
			since = s.Since
		}
		r.become(Retrying, plain(err, r.whatIsAsked(), r.client.cfg.Username, since))
	}
	r.log.Debug("etcd: registration", "err", err)
	return max(r.pause.next(), time.Millisecond)
}

// settledAs notes the state of a registration that is as wanted.
func (r *keeping) settledAs(want wanted) {
	if r.desired(want) != "" {
		if r.lost {
			r.log.Info("etcd: registered again", "losses", r.Status().Losses)
		}
		r.stood, r.newcomer, r.lost, r.had = true, false, false, r.found.value
		r.spent, r.outgrown = append(r.spent, r.outgrown...), nil
		r.note(func(s *KeeperStatus) { s.TTL, s.LeaseID = r.lease.ttl, r.lease.id })
		r.become(Registered, "")
		return
	}
	r.stood = false
	r.spent = append(r.spent, r.leases()...)
	r.lease, r.outgrown = nil, nil
	r.note(func(s *KeeperStatus) { r.wrote, s.TTL, s.LeaseID = false, 0, 0 })
	switch {
	case want.removed && r.found.modified != 0:
		r.become(Left, "the key is another holder's, and stays")
	case want.removed:
		r.become(Left, "removed")
	case want.draining:
		r.become(Waiting, "it is leaving, and its key is gone")
	default:
		r.become(Waiting, want.why)
	}
}

// countLoss counts, once, that a key that was as wanted is no longer.
func (r *keeping) countLoss(a action, want wanted) {
	if !r.stood || a == leaveAlone || a == erase {
		return
	}
	lost := r.found.modified == 0 || !r.ours[r.found.lease] || r.found.value != r.had
	if !lost {
		return
	}
	r.stood = false
	if want.handedOn && a == yield {
		return
	}
	r.lost = true
	r.note(func(s *KeeperStatus) { s.Losses++ })
	r.log.Warn("etcd: a registration that stood was lost", "now", r.found.says())
}

func (f found) says() string {
	switch {
	case f.modified == 0:
		return "the key is gone"
	case f.lease == 0:
		return "the key was overwritten"
	}
	return "another holder has the key"
}

// observe brings found up to date: from the watch, or, where there is none or it has ended,
// by reading the key and watching it from there on.
func (r *keeping) observe(ctx context.Context, l link, ttl time.Duration) error {
	if r.watch != nil {
		if r.takeEvents() {
			return nil
		}
		r.lookAgain()
	}
	g, _, err := hedged(ctx, &r.client.hedger, l.etcd, func(ctx context.Context) (*clientv3.GetResponse, error) { return l.etcd.Get(ctx, r.key) })
	if err != nil {
		return err
	}
	r.found = found{base: g.Header.Revision}
	for _, kv := range g.Kvs {
		r.found.modified, r.found.lease, r.found.value = kv.ModRevision, kv.Lease, string(kv.Value)
	}
	r.watch = l.stream.watch(r.key, "", g.Header.Revision)
	r.lookAt = time.Now().Add(jitter(2 * min(max(ttl, 5*time.Second), time.Minute)))
	return nil
}

// takeEvents brings found up to date from the watch, and reports whether the watch lives.
func (r *keeping) takeEvents() bool {
	batch, err := r.watch.take()
	for _, s := range batch {
		for _, e := range s.Events {
			if e.Kv.ModRevision <= r.found.base {
				continue
			}
			r.found = found{base: e.Kv.ModRevision}
			if e.Type == clientv3.EventTypePut {
				r.found.modified, r.found.lease, r.found.value = e.Kv.ModRevision, e.Kv.Lease, string(e.Kv.Value)
			}
		}
	}
	return err == nil
}
