package etcd

import (
	"context"
	"sync"
)

// keyLocks has the keepers of one key run one after another. At the same time they would
// put the key under the same lease, and could not tell whose it is: the one that leaves
// would delete the other's.
type keyLocks struct {
	mu    sync.Mutex
	taken map[string]chan struct{} // by key; closed, and removed, on release
}

// take waits until no other keeper has key, and takes it until release is called.
func (cs *keyLocks) take(ctx context.Context, key string) (release func(), err error) {
	for {
		cs.mu.Lock()
		holder := cs.taken[key]
		if holder == nil {
			mine := make(chan struct{})
			if cs.taken == nil {
				cs.taken = map[string]chan struct{}{}
			}
			cs.taken[key] = mine
			cs.mu.Unlock()
			return func() { cs.release(key, mine) }, nil
		}
		cs.mu.Unlock()
		select {
		case <-holder:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (cs *keyLocks) release(key string, mine chan struct{}) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	delete(cs.taken, key)
	close(mine)
}
