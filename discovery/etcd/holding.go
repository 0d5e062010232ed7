package etcd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// errChanged is a guarded write that found another key than it expected.
var errChanged = errors.New("the key changed meanwhile")

// write puts the value that is wished for under our lease, if the key is still
// what was found.
func (r *keeping) write(ctx context.Context, l link, want wanted) error {
	if err := r.grant(ctx, l, want.reg.seconds()); err != nil {
		return err
	}
	value := r.wish(want)
	r.note(func(*KeeperStatus) { r.wrote = true })
	t, late, err := hedged(ctx, &r.client.hedger, l.etcd, func(ctx context.Context) (*clientv3.TxnResponse, error) {
		return l.etcd.Txn(ctx).
			If(clientv3.Compare(clientv3.ModRevision(r.key), "=", r.found.modified)).
			Then(clientv3.OpPut(r.key, value, clientv3.WithLease(clientv3.LeaseID(r.lease.id)))).
			Commit()
	})
	// What is ours is erased when we leave: a write that expects it then comes to nothing.
	r.late = r.late || late && !r.ours[r.found.lease]
	switch {
	case errors.Is(err, rpctypes.ErrLeaseNotFound):
		r.loseLease()
		return errChanged
	case err != nil:
		r.lookAgain() // it may have been done: look
		return err
	case !t.Succeeded:
		r.lookAgain()
		return errChanged
	}
	if r.newcomer && r.found.modified != 0 && r.found.lease != 0 {
		r.log.Info("etcd: took over a key that stood under another lease", "lease", fmt.Sprintf("%x", r.found.lease))
	}
	r.found = found{base: t.Header.Revision, modified: t.Header.Revision, lease: r.lease.id, value: value}
	r.paceNext()
	return nil
}

// paceNext makes the next repair wait, the longer the faster repairs were
// needed one after another. The first is made at once.
func (r *keeping) paceNext() {
	if time.Since(r.notBefore) > 2*r.patience() {
		r.repairs.reset()
	}
	r.notBefore = time.Now().Add(r.repairs.next())
}

// erase deletes the key, if it is still what was found: ours.
func (r *keeping) erase(ctx context.Context, l link) error {
	t, _, err := hedged(ctx, &r.client.hedger, l.etcd, func(ctx context.Context) (*clientv3.TxnResponse, error) {
		return l.etcd.Txn(ctx).
			If(clientv3.Compare(clientv3.ModRevision(r.key), "=", r.found.modified),
				clientv3.Compare(clientv3.LeaseValue(r.key), "=", r.found.lease)).
			Then(clientv3.OpDelete(r.key)).
			Commit()
	})
	switch {
	case err != nil:
		r.lookAgain()
		return err
	case !t.Succeeded:
		r.lookAgain()
		return errChanged
	}
	r.found = found{base: t.Header.Revision}
	return nil
}

// grant makes sure of a lease of so many seconds.
func (r *keeping) grant(ctx context.Context, l link, seconds int64) error {
	if r.lease != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout) // others' turn included
	defer cancel()
	held, err := r.client.leases.hold(ctx, l.etcd, seconds)
	if err != nil {
		return err
	}
	r.ours[held.id] = true
	r.lease = held
	return nil
}

// giveBack lets go of leases on which nothing of ours hangs, and tries to revoke those
// on which nothing of others' does either. Where a late write may yet hang our key on one,
// the others have to leave it: they would keep the key alive.
//
// Whoever removed the key may end the keeper now; the leases are given back all the same.
func (r *keeping) giveBack(ctx context.Context, l link, leases []*lease) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	late := r.late
	r.late = false
	for _, held := range leases {
		if late {
			r.client.leases.lose(held)
		}
		if !r.client.leases.letGo(held) {
			continue
		}
		_, _, err := hedged(ctx, &r.client.hedger, l.etcd, func(ctx context.Context) (*clientv3.LeaseRevokeResponse, error) {
			return l.etcd.Revoke(ctx, clientv3.LeaseID(held.id))
		})
		if err != nil {
			r.log.Debug("etcd: a lease is left to lapse", "err", err)
		}
	}
}
