package etcd

import (
	"context"
	"errors"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
)

// renew keeps a lease alive, which was asked for at granted, until ctx ends, etcd has
// it no more, or it may have lapsed.
//
// Etcd's own client sends all its renewals over one stream, to one member. Should that
// member hang, they are in vain until gRPC's ping finds it out, after 13 s: longer than
// the usual lease. Here each is asked for by itself, and what is not answered soon is
// asked of the next member as well, while there is time.
func renew(ctx context.Context, conn *grpc.ClientConn, id int64, ttl time.Duration, granted time.Time) {
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	var asking sync.WaitGroup
	defer asking.Wait()
	defer cancel()
	type answer struct {
		asked time.Time
		err   error
	}
	answers := make(chan answer)
	proven := granted // it lives until then and a TTL
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
			asking.Go(func() {
				err := renewOnce(ctx, conn, id, ttl)
				select {
				case answers <- answer{now, err}:
				case <-ctx.Done():
				}
			})
		case a := <-answers:
			switch {
			case errors.Is(a.err, rpctypes.ErrLeaseNotFound):
				return
			case a.err == nil && a.asked.After(proven):
				proven = a.asked
				next = proven.Add(ttl / 3)
			}
		}
	}
}

func soonest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// renewOnce asks one member to renew, and waits for it for up to a TTL.
func renewOnce(ctx context.Context, conn *grpc.ClientConn, id int64, ttl time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, ttl)
	defer cancel()
	stream, err := pb.NewLeaseClient(conn).LeaseKeepAlive(ctx)
	if err != nil {
		return err
	}
	if err := stream.Send(&pb.LeaseKeepAliveRequest{ID: id}); err != nil {
		return err
	}
	renewed, err := stream.Recv()
	switch {
	case err != nil:
		return err
	case renewed.TTL <= 0:
		return rpctypes.ErrLeaseNotFound
	}
	return nil
}
