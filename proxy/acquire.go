package proxy

import (
	"context"
	"errors"
	"net"
	"time"

	"portside/pool"
	"portside/proxy/socket"
)

// acquire takes a backend; while no list is in, it waits for one, as long as one
// attempt to connect may take.
func (s *server) acquire(ctx context.Context, key uint64, tried []*pool.Backend) (pool.Lease, error) {
	lease, err := s.pool.Acquire(key, tried)
	if !errors.Is(err, pool.ErrSyncing) {
		return lease, err
	}
	timer := time.NewTimer(s.config().Timeouts.Connect)
	defer timer.Stop()
	select {
	case <-s.pool.Synced():
	case <-timer.C:
	case <-ctx.Done():
	}
	return s.pool.Acquire(key, tried)
}

// clientKey is equal for connections of one client host.
func clientKey(c net.Conn) uint64 {
	a := socket.Peer(c).Addr()
	if !a.IsValid() {
		return 0
	}
	key := uint64(14695981039346656037) // FNV-1a
	for _, x := range a.As16() {
		key = (key ^ uint64(x)) * 1099511628211
	}
	return key
}
