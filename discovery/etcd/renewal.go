package etcd

import (
	"context"
	"slices"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
)

// renew keeps a lease alive, which lived at proven. It returns when ctx ends, when etcd no
// longer has the lease, or when the lease may have expired.
//
// Etcd's own client sends all its renewals over one stream, to one member. If that member
// hangs, they are lost until gRPC's ping finds out, after 13 s: longer than the usual lease.
// Here a renewal that is not answered soon is sent to the next member as well, on a stream
// of its own, while there is time. A stream that answers is kept: where etcd has
// authentication enabled, each new one costs it a check of the password.
func renew(ctx context.Context, conn *grpc.ClientConn, id int64, ttl time.Duration, proven time.Time) {
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	var own sync.WaitGroup
	defer own.Wait()
	defer cancel()
	answers := make(chan renewed)
	var ways []*way // the one that answered last comes first
	next := proven.Add(ttl / 3)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		timer.Reset(time.Until(next))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			now := time.Now()
			if !now.Before(proven.Add(ttl)) {
				return
			}
			next = soonest(now.Add(ttl/6), proven.Add(ttl))
			w := idle(ways)
			if w == nil && len(ways) == mostWays {
				continue // all owe an answer
			}
			if w == nil {
				w = &way{ask: make(chan struct{}, 1)}
				ways = append(ways, w)
				own.Go(func() { w.run(ctx, conn, id, answers) })
			}
			w.asked = now
			w.ask <- struct{}{}
		case a := <-answers:
			ways = slices.DeleteFunc(ways, func(w *way) bool { return w == a.way })
			switch {
			case a.err != nil: // the next one is asked when it is time
				continue
			case a.ttl <= 0:
				return
			}
			// Etcd counts from when it was asked, which is somewhere between.
			if at := between(a.way.asked, time.Now()); at.After(proven) {
				proven = at
				next = proven.Add(ttl / 3)
			}
			a.way.asked = time.Time{}
			ways = slices.Insert(ways, 0, a.way)
		}
	}
}

// mostWays is how many streams there may be for one lease.
const mostWays = 3

// A way is a stream that renewals are sent over, one after another.
type way struct {
	ask   chan struct{}
	asked time.Time // when the renewal without an answer was sent; zero: none. Only renew uses it
}

// renewed is an answer.
type renewed struct {
	way *way
	ttl int64 // zero: etcd has no such lease
	err error // that ended the stream
}

// run opens the stream and sends what is asked, until it ends.
func (w *way) run(ctx context.Context, conn *grpc.ClientConn, id int64, answers chan<- renewed) {
	tell := func(a renewed) {
		select {
		case answers <- a:
		case <-ctx.Done():
		}
	}
	stream, err := pb.NewLeaseClient(conn).LeaseKeepAlive(ctx)
	for err == nil {
		select {
		case <-w.ask:
		case <-ctx.Done():
			return
		}
		if err = stream.Send(&pb.LeaseKeepAliveRequest{ID: id}); err != nil {
			break
		}
		var got *pb.LeaseKeepAliveResponse
		if got, err = stream.Recv(); err == nil {
			tell(renewed{way: w, ttl: got.TTL})
		}
	}
	tell(renewed{way: w, err: err})
}

// idle is a way that owes no answer; nil if there is none.
func idle(ways []*way) *way {
	for _, w := range ways {
		if w.asked.IsZero() {
			return w
		}
	}
	return nil
}

// between is half way from a to b.
func between(a, b time.Time) time.Time { return a.Add(b.Sub(a) / 2) }
