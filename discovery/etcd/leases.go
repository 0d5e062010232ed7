package etcd

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// leases are those that a Client keeps alive: one for each TTL, however many keepers have
// their keys under it.
//
// A lease must keep no key alive that is not wanted any more. There are two ways to that:
//
//   - A keeper ends without having deleted its key. Then the lease is abandoned by all: they
//     write under another, and the old one expires with the key that was left.
//   - A keeper deletes its key and releases the lease, and then etcd is restored from a
//     backup that has the key. A restore breaks the connection. So after each break a lease
//     that some keeper has released is stale: the others write under another, and the last
//     of them revokes it.
type leases struct {
	hedger   *hedger
	turn     chan struct{} // held while a lease is granted
	renewing sync.WaitGroup

	mu    sync.Mutex
	byTTL map[int64]*lease
}

// A lease that is being kept alive.
type lease struct {
	id      int64
	ttl     time.Duration
	seconds int64         // that were asked for
	lost    chan struct{} // closed when it is no longer kept alive: its holders need another at once
	cancel  context.CancelFunc

	stale atomic.Bool // its holders are to change to another; until they have, it is kept alive

	// leases.mu guards these.
	holders  int
	departed bool // some holder has released it
}

func newLeases(h *hedger) *leases {
	return &leases{hedger: h, turn: make(chan struct{}, 1), byTTL: map[int64]*lease{}}
}

// acquire takes part in the lease of so many seconds, and has it granted if there is none.
// The caller releases or abandons it.
func (ls *leases) acquire(ctx context.Context, etcd *clientv3.Client, seconds int64) (*lease, error) {
	select {
	case ls.turn <- struct{}{}:
		defer func() { <-ls.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if l := ls.join(seconds); l != nil {
		return l, nil
	}
	asked := time.Now()
	g, _, err := hedged(ctx, ls.hedger, etcd, func(ctx context.Context) (*clientv3.LeaseGrantResponse, error) { return etcd.Grant(ctx, seconds) })
	if err != nil {
		return nil, err
	}
	granted := between(asked, time.Now())
	alive, cancel := context.WithCancel(context.WithoutCancel(ctx))
	l := &lease{
		id: int64(g.ID), ttl: time.Duration(g.TTL) * time.Second, seconds: seconds,
		lost: make(chan struct{}), cancel: cancel, holders: 1,
	}
	ls.mu.Lock()
	ls.byTTL[seconds] = l
	ls.mu.Unlock()
	ls.renewing.Go(func() {
		renew(alive, etcd.ActiveConnection(), l.id, l.ttl, granted)
		ls.abandon(l)
	})
	return l, nil
}

// join takes part in the lease of so many seconds; nil if there is none.
func (ls *leases) join(seconds int64) *lease {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	l := ls.byTTL[seconds]
	if l != nil {
		l.holders++
	}
	return l
}

// release ends the caller's part in l, which none of its keys are under any more. It reports
// whether the caller was the last, so that l can be revoked.
func (ls *leases) release(l *lease) (last bool) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	l.holders--
	l.departed = true
	if l.holders > 0 {
		return false
	}
	ls.drop(l)
	return true
}

// abandon no longer keeps l alive: every holder has to write under another lease.
func (ls *leases) abandon(l *lease) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.drop(l)
}

// connectionBroke makes leases stale that a keeper has released: the key that it had deleted
// may be there again, after a restore. They are kept alive until their holders have changed
// to another.
func (ls *leases) connectionBroke() {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	for seconds, l := range ls.byTTL {
		if l.departed {
			l.stale.Store(true)
			delete(ls.byTTL, seconds)
		}
	}
}

// lives reports whether l is kept alive.
func (l *lease) lives() bool {
	select {
	case <-l.lost:
		return false
	default:
		return true
	}
}

// drop no longer keeps l alive. The caller holds ls.mu.
func (ls *leases) drop(l *lease) {
	if !l.lives() {
		return
	}
	close(l.lost)
	l.cancel()
	if ls.byTTL[l.seconds] == l {
		delete(ls.byTTL, l.seconds)
	}
}
