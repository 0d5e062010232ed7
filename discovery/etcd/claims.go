package etcd

import (
	"context"
	"sync"
)

// claims has the keepers of one key run one after another. They would hang it on
// the same lease, and could not tell whose it is: one that leaves would take the
// next one's along.
type claims struct {
	mu    sync.Mutex
	taken map[string]chan struct{} // closed, and gone from here, when given up
}

// take waits until key is nobody's, and is given up by release.
func (cs *claims) take(ctx context.Context, key string) (release func(), err error) {
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

func (cs *claims) release(key string, mine chan struct{}) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	delete(cs.taken, key)
	close(mine)
}
