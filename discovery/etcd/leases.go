package etcd

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// leases are those a Client keeps alive: one for each TTL, however many keepers
// hang their keys on it.
//
// A lease may hold up only keys that are wanted, which two things endanger:
//
//   - A keeper ends without having deleted its key. Then the lease is lost for all: they
//     write under another, and the old one lapses with what was left on it.
//   - A keeper deletes its key and lets go, and etcd is restored from a backup that has
//     the key. A restore is seen as a connection that breaks. So after each break the
//     lease that somebody has let go of is stale: the others write under another, and the
//     last of them revokes it.
type leases struct {
	hedger   *hedger
	turn     chan struct{} // held while one is granted
	renewing sync.WaitGroup

	mu    sync.Mutex
	byTTL map[int64]*lease
}

// A lease that is being kept alive.
type lease struct {
	id      int64
	ttl     time.Duration
	seconds int64         // that were asked for
	lost    chan struct{} // closed: its holders are to write under another at once
	cancel  context.CancelFunc

	stale atomic.Bool // its holders are to write under another; until they have, it is kept alive

	// leases.mu guards these.
	holders  int
	departed bool // one has let go
}

func newLeases(h *hedger) *leases {
	return &leases{hedger: h, turn: make(chan struct{}, 1), byTTL: map[int64]*lease{}}
}

// hold returns the lease of so many seconds, and has it granted if there is none.
func (ls *leases) hold(ctx context.Context, etcd *clientv3.Client, seconds int64) (*lease, error) {
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
		ls.lose(l)
	})
	return l, nil
}

// join takes part in a lease that is there.
func (ls *leases) join(seconds int64) *lease {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	l := ls.byTTL[seconds]
	if l != nil {
		l.holders++
	}
	return l
}

// letGo ends one part in l, on which no key of the caller's hangs any more. It
// reports whether nobody's does, so that it can be revoked.
func (ls *leases) letGo(l *lease) (last bool) {
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

// lose has every holder of l write under another lease.
func (ls *leases) lose(l *lease) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.drop(l)
}

// broke says that the connection broke: what has left a lease may be there again. Until
// there is another for those that are on it, it is kept alive.
func (ls *leases) broke() {
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

// drop ends the keeping of l, once. The caller holds ls.mu.
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
