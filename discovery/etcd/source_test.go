package etcd

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/naming/endpoints"
	"google.golang.org/grpc"

	"portside/discovery"
)

func TestPutsAndDeletesPropagate(t *testing.T) {
	url := startEtcd(t).Endpoint()
	op := operatorOn(t, url)
	op.put("service/orders/a", "10.0.0.1:80")
	v := follow(t, run(t, quickly(url)), "service/orders")
	v.becomes("10.0.0.1:80")
	v.state(discovery.Synced)
	v.keep("10.0.0.1:80")
	op.put("service/orders/b", "10.0.0.2:80")
	v.becomes("10.0.0.1:80", "10.0.0.2:80")
	op.del("service/orders/b")
	v.becomes("10.0.0.1:80")
	v.unkeep()
	op.del("service/orders/a")
	v.becomes()
}

func TestBothWritersOfTheSeedAreRead(t *testing.T) {
	url := startEtcd(t).Endpoint()
	op := operatorOn(t, url)
	op.put("service/orders/bare", "10.0.0.1:80", clientv3.WithLease(op.lease(30)))
	m, err := endpoints.NewManager(op.Client, "service/orders")
	if err != nil {
		t.Fatal(err)
	}
	if err := m.AddEndpoint(op.ctx(), "service/orders/official", endpoints.Endpoint{Addr: "10.0.0.2:80"}); err != nil {
		t.Fatal(err)
	}
	var keys []string
	c := run(t, quickly(url))
	s := c.Source("service/orders/", func(key string, value []byte) ([]discovery.Endpoint, string, error) {
		keys = append(keys, fmt.Sprintf("%s=%s", key, value))
		return []discovery.Endpoint{{Address: string(value)}}, "", nil
	})
	got := make(chan int, 1)
	go s.Run(t.Context(), func(set []discovery.Endpoint) { got <- len(set) })
	if n := <-got; n != 2 {
		t.Fatalf("%d endpoints from two writers, want 2", n)
	}
	want := []string{"service/orders/bare=10.0.0.1:80", `service/orders/official={"Op":0,"Addr":"10.0.0.2:80","Metadata":null}`}
	if d := cmp.Diff(want, keys); d != "" {
		t.Errorf("what reached the decoder (-want +got):\n%s", d)
	}
}

func TestANeighbourWhoseNameBeginsAlikeIsNotSeen(t *testing.T) {
	url := startEtcd(t).Endpoint()
	op := operatorOn(t, url)
	op.put("service/ab/1", "10.0.0.9:80")
	op.put("service/a", "10.0.0.8:80")
	op.put("service/a/", "10.0.0.7:80")
	op.put("service/a/1", "10.0.0.1:80")
	v := follow(t, run(t, quickly(url)), "service/a")
	v.becomes("10.0.0.1:80")
	op.put("service/ab/2", "10.0.0.6:80")
	op.put("service/a/2", "10.0.0.2:80")
	v.becomes("10.0.0.1:80", "10.0.0.2:80")
}

// The keys are known: what is left of their leases is not worth losing them.
func TestRecordsComeThoughTheirLeasesTakeLong(t *testing.T) {
	t.Parallel()
	url := startEtcd(t).Endpoint()
	op := operatorOn(t, url)
	for i := range 9 {
		op.put(fmt.Sprintf("s/%d", i), "10.0.0.1:80", clientv3.WithLease(op.lease(60)))
	}
	never := op.lease(60)
	op.put("s/9", "10.0.0.1:80", clientv3.WithLease(never))
	c := run(t, quickly(url), func(c *Client) {
		c.extra = append(c.extra, grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			if r, ok := req.(*pb.LeaseTimeToLiveRequest); ok {
				if r.ID == int64(never) {
					<-ctx.Done()
					return ctx.Err()
				}
				time.Sleep(200 * time.Millisecond)
			}
			return invoke(ctx, method, req, reply, cc, opts...)
		}))
	})
	ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
	defer cancel()
	records, _, err := c.Records(ctx, "s")
	if err != nil || len(records) != 10 {
		t.Fatalf("%d records, %v; want 10, whatever is known of their leases", len(records), err)
	}
	for i, r := range records {
		if known := r.TTL > 0; r.Lease == 0 || known != (i < 9) {
			t.Errorf("%s has %s left, want to know that of all whose lease etcd speaks of", r.Key, r.TTL)
		}
	}
}

// An etcd that was restored or emptied is told by what it says of itself. A member that
// lags behind the list may confirm a watch, and grpc-proxy names no cluster.
func TestAnotherPastIsSuspicious(t *testing.T) {
	f := &follower{Source: &Source{seen: seen{cluster: 7}}}
	for name, c := range map[string]struct {
		header  *pb.ResponseHeader
		created bool
		want    error
	}{
		"as it was":                     {&pb.ResponseHeader{ClusterId: 7, Revision: 10}, false, nil},
		"later":                         {&pb.ResponseHeader{ClusterId: 7, Revision: 11}, false, nil},
		"earlier":                       {&pb.ResponseHeader{ClusterId: 7, Revision: 9}, false, errBackwards},
		"confirmed by one that lags":    {&pb.ResponseHeader{ClusterId: 7, Revision: 9}, true, nil},
		"another cluster":               {&pb.ResponseHeader{ClusterId: 8, Revision: 11}, false, errCluster},
		"another cluster that confirms": {&pb.ResponseHeader{ClusterId: 8, Revision: 11}, true, errCluster},
		"no cluster":                    {&pb.ResponseHeader{Revision: 10}, true, nil},
		"no header":                     {nil, false, nil},
	} {
		if got := f.suspicious(c.header, 10, c.created); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
