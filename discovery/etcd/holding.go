package etcd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// errChanged is the error of a transaction that found the key changed.
var errChanged = errors.New("the key changed meanwhile")

// write puts the wanted value under our lease, if the key is still what was found.
func (r *keeping) write(ctx context.Context, l link, want wanted) error {
	if err := r.grant(ctx, l, want.reg.seconds()); err != nil {
		return err
	}
	value := r.desired(want)
	r.note(func(*KeeperStatus) { r.wrote = true })
	t, late, err := hedged(ctx, &r.client.hedger, l.etcd, func(ctx context.Context) (*clientv3.TxnResponse, error) {
		return l.etcd.Txn(ctx).
			If(clientv3.Compare(clientv3.ModRevision(r.key), "=", r.found.modified)).
			Then(clientv3.OpPut(r.key, value, clientv3.WithLease(clientv3.LeaseID(r.lease.id)))).
			Commit()
	})
	// Etcd may still carry out a write that we gave up waiting for. Where it expects a key
	// of ours that does no harm: we delete that key when we leave, and the write then fails.
	r.late = r.late || late && !r.ours[r.found.lease]
	switch {
	case errors.Is(err, rpctypes.ErrLeaseNotFound):
		r.loseLease()
		return errChanged
	case err != nil:
		r.lookAgain() // etcd may have done it all the same
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

// paceNext makes the next repair of a lost key wait, the longer the more repairs there have
// been in quick succession. The first is made at once.
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

// grant makes sure that there is a lease, of so many seconds.
func (r *keeping) grant(ctx context.Context, l link, seconds int64) error {
	if r.lease != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout) // others' turn included
	defer cancel()
	held, err := r.client.leases.acquire(ctx, l.etcd, seconds)
	if err != nil {
		return err
	}
	r.ours[held.id] = true
	r.lease = held
	return nil
}

// giveBack gives up leases that our key is not under any more, and tries to revoke those that
// no other's key is under either. If etcd may still carry out a write of our key under one of
// them, the others have to move to another lease: they would keep our key alive.
//
// The keeper's ctx may end now that the key is removed; the leases are given back all the
// same.
func (r *keeping) giveBack(ctx context.Context, l link, leases []*lease) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	late := r.late
	r.late = false
	for _, held := range leases {
		if late {
			r.client.leases.abandon(held)
		}
		if !r.client.leases.release(held) {
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
