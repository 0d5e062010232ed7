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
	watch    *watch   // on the key; nil: look again
	lease    *lease   // nil: none that is known to live
	outgrown []*lease // of another TTL; the key may hang on them until it is written again
	spent    []*lease // nothing of ours hangs on them any more
	late     bool     // a write that we gave up waiting for may yet be carried out
	ours     map[int64]bool
	newcomer bool   // nothing was written yet: the last writer stands, and it is us
	stood    bool   // the key was as it shall be
	lost     bool   // and then was not
	had      string // what it held while it stood

	pause     backoff   // between tries that fail
	repairs   backoff   // between repairs that succeed and do not last
	notBefore time.Time // a lost key is not written again, lest two writers chase each other
	lookAt    time.Time // when to look though nothing seems wrong
}

// found is the key as etcd has it.
type found struct {
	base     int64 // revision of the look or event
	modified int64 // 0: there is no key
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
			r.done(turn) // before the leases: who leaves has left
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
			r.lease = nil // others that held it get the same word, and a new one
		}
	}
}

// done says that no more can be done of what was asked for up to turn. Only we write
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
		r.client.leases.lose(l)
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

// loseLease gives a lease up. It may live on in etcd, with the key: the key is
// then written again under another lease, without a gap.
func (r *keeping) loseLease() {
	if r.lease != nil {
		r.client.leases.lose(r.lease)
		r.lease = nil
	}
}

// leases are all that we have a part in.
func (r *keeping) leases() []*lease {
	if r.lease == nil {
		return r.outgrown
	}
	return append(r.outgrown, r.lease)
}

// upheld reports whether the key stood when it was last seen, on a lease that is kept
// alive.
func (r *keeping) upheld() bool {
	return r.stood && slices.ContainsFunc(r.leases(), func(l *lease) bool { return l.id == r.found.lease && l.lives() })
}

// outgrow puts the lease aside if its TTL is not what is wanted any more, or it is to be
// left.
func (r *keeping) outgrow(want wanted) {
	if r.lease != nil && (r.lease.seconds != want.reg.seconds() || r.lease.stale.Load()) {
		r.outgrown, r.lease = append(r.outgrown, r.lease), nil
	}
}

// reconcile does what is needed to make the key what it shall be. It returns
// zero once it is, or is another's, and else how long to wait for news before trying again.
func (r *keeping) reconcile(ctx context.Context, l link, want wanted) time.Duration {
	if l.stream == nil {
		return r.unreachable(l, want)
	}
	if err := r.observe(ctx, l, want.reg.ttl()); err != nil {
		return r.failed(ctx, want, err)
	}
	r.outgrow(want)
	action := judge(r.found, r.wish(want), r.leaseID(), r.ours, r.newcomer)
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

// wish is the value that the key shall have; empty: there shall be no key.
func (r *keeping) wish(w wanted) string {
	switch {
	case w.absent || w.removed:
		return ""
	case w.draining && r.found.modified == 0:
		return "" // it is gone already: nobody is to meet it anew
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
	if r.wish(want) == "" && len(r.ours) == 0 { // without a lease nothing was ever written
		r.settledAs(want)
		return 0
	}
	switch {
	case l.err == nil: // not even tried yet
		r.become(Waiting, "not connected yet")
	case !r.upheld():
		r.become(Retrying, plain(l.err, r.asked(), r.client.cfg.Username, l.since))
	}
	return time.Hour // the connection's change will wake us
}

// asked is what etcd is asked for: a key is looked at before it is written, so that
// nobody else's is overwritten.
func (r *keeping) asked() string { return r.key + ", which takes reading and writing" }

func (r *keeping) failed(ctx context.Context, want wanted, err error) time.Duration {
	if ctx.Err() != nil {
		return time.Hour
	}
	if errors.Is(err, errChanged) {
		return max(r.pause.next()/2, time.Millisecond)
	}
	if !r.upheld() || r.wish(want) == "" {
		since := time.Now()
		if s := r.Status(); s.State == Retrying {
			since = s.Since
		}
		r.become(Retrying, plain(err, r.asked(), r.client.cfg.Username, since))
	}
	r.log.Debug("etcd: registration", "err", err)
	return max(r.pause.next(), time.Millisecond)
}

// settledAs says where a reconciled registration stands.
func (r *keeping) settledAs(want wanted) {
	if r.wish(want) != "" {
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

// countLoss counts once that what stood is not there any more.
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

// observe brings found up to date: from the watch, or by a look after which a
// watch begins. A watch that ended, whatever for, means to look again.
func (r *keeping) observe(ctx context.Context, l link, ttl time.Duration) error {
	if r.watch != nil {
		if r.hear() {
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

// hear takes events, and reports whether the watch lives.
func (r *keeping) hear() bool {
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
