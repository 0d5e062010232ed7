package etcd

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	// hedgeAfter is the least time to wait for one member before another is asked, too.
	hedgeAfter = 500 * time.Millisecond
	// hedges is how many members are asked at most.
	hedges = 3
)

// A hedger knows how long the last answer took, and so how long is too long.
type hedger struct{ took atomic.Int64 } // nanoseconds

func (h *hedger) after() time.Duration {
	return min(max(hedgeAfter, 3*time.Duration(h.took.Load())), callTimeout/2)
}

// hedged makes a call that may safely be made more than once. If the answer takes long, the
// call is made again while the first one goes on: gRPC goes from member to member, but takes
// 13 s to find out that one hangs. The first answer counts. Late reports whether etcd may
// still carry out any of the calls.
func hedged[T any](ctx context.Context, h *hedger, etcd *clientv3.Client, call func(context.Context) (T, error)) (got T, late bool, err error) {
	ctx, cancel := context.WithTimeout(clientv3.WithRequireLeader(ctx), callTimeout)
	var asking sync.WaitGroup
	defer asking.Wait()
	defer cancel()
	type answer struct {
		got  T
		err  error
		took time.Duration
	}
	most := min(len(etcd.Endpoints()), hedges)
	answers := make(chan answer, most)
	next := time.NewTimer(0)
	defer next.Stop()
	for asked, owed := 0, 0; ; {
		select {
		case <-next.C:
			asked, owed = asked+1, owed+1
			asking.Go(func() {
				began := time.Now()
				got, err := call(ctx)
				answers <- answer{got, err, time.Since(began)}
			})
			if asked < most {
				next.Reset(h.after())
			}
		case a := <-answers:
			owed--
			if a.err == nil {
				h.took.Store(int64(a.took))
			}
			if a.err == nil || owed == 0 || !unheard(a.err) {
				return a.got, owed > 0 || unheard(a.err), a.err
			}
		}
	}
}

// unheard reports whether err leaves open whether etcd has carried the call out.
func unheard(err error) bool {
	var said rpctypes.EtcdError
	code := status.Code(err)
	if errors.As(err, &said) {
		code = said.Code()
	}
	switch code {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled:
		return true
	}
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}
