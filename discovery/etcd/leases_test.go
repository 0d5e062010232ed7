package etcd

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func other() Registration {
	r := registration()
	r.Name, r.Key, r.Value = "stock", "service/stock/10.0.0.5:8081", "10.0.0.5:8081"
	return r
}

func TestRegistrationsShareALease(t *testing.T) {
	t.Parallel()
	p := startProcess(t)
	c, op := run(t, quickly(p.url)), operatorOn(t, p.url)
	a, b := keep(t, c, registration()), keep(t, c, other())
	if one, two := stands(t, a, Registered).LeaseID, stands(t, b, Registered).LeaseID; one != two || one == 0 {
		t.Fatalf("leases %x and %x, want one for both", one, two)
	}
	// One that leaves takes its key, and not the other's lease.
	if err := a.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2500 * time.Millisecond)
	op.inEtcd(time.Second, ours, "")
	op.inEtcd(time.Second, other().Key, other().Value)
	if s := b.Status(); s.Losses != 0 {
		t.Fatalf("the one that stayed was lost %d times", s.Losses)
	}
	if err := b.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	within(t, 2*time.Second, func() string {
		if leases, err := op.Leases(t.Context()); err != nil || len(leases.Leases) != 0 {
			return fmt.Sprintf("%v, %v, want the lease given back by the last", leases, err)
		}
		return ""
	})
}

// A keeper that ends without having left must not have its key kept alive by
// those it shared a lease with.
func TestAKeyLeftBehindLapsesThoughItsLeaseWasShared(t *testing.T) {
	t.Parallel()
	p := startProcess(t)
	c, op := run(t, quickly(p.url)), operatorOn(t, p.url)
	b := keep(t, c, other())
	was := stands(t, b, Registered).LeaseID
	a := c.Keeper(registration())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	stands(t, a, Registered)
	cancel()
	<-done
	op.inEtcd(6*time.Second, ours, "")
	op.inEtcd(time.Second, other().Key, other().Value)
	if s := stands(t, b, Registered); s.LeaseID == was {
		t.Fatal("the lease with the key left behind is still kept")
	}
}

// What etcd may yet write over another's key must not be kept alive by those who share
// the lease either.
func TestALateWriteOverAnothersKeyLapsesThoughItsLeaseIsShared(t *testing.T) {
	t.Parallel()
	url := startEtcd(t).Endpoint()
	op := operatorOn(t, url)
	op.put(ours, "a former self's", clientv3.WithLease(op.lease(60)))
	tried := make(chan func(), 1)
	c := run(t, quickly(url), func(c *Client) {
		c.extra = append(c.extra, grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			txn, ok := req.(*pb.TxnRequest)
			if !ok || string(txn.Compare[0].Key) != ours {
				return invoke(ctx, method, req, reply, cc, opts...)
			}
			select {
			case tried <- func() { _ = invoke(context.WithoutCancel(ctx), method, req, new(pb.TxnResponse), cc, opts...) }:
			default:
			}
			return status.Error(codes.Unavailable, "etcdserver: request timed out")
		}))
	})
	b := keep(t, c, other())
	stands(t, b, Registered)
	a := keep(t, c, registration())
	carryOut := <-tried
	if err := a.Remove(op.ctx()); err != nil {
		t.Fatal(err)
	}
	carryOut()
	op.inEtcd(6*time.Second, ours, "")
	op.inEtcd(time.Second, other().Key, other().Value)
	if s := b.Status(); s.Losses != 0 {
		t.Errorf("the one that stayed was lost %d times", s.Losses)
	}
}

// What has left a lease that others keep alive comes back with a backup, and would be
// kept alive by them.
func TestABackupsKeyLapsesThoughItsLeaseWasShared(t *testing.T) {
	t.Parallel()
	p := startProcess(t)
	c, op := run(t, quickly(p.url)), operatorOn(t, p.url)
	gone, stays := registration(), other()
	gone.TTL, stays.TTL = 3*time.Second, 3*time.Second
	a, b := keep(t, c, gone), keep(t, c, stays)
	stands(t, a, Registered)
	stands(t, b, Registered)
	p.kill()
	restore := p.backup()
	p.start()
	op.inEtcd(10*time.Second, ours, gone.Value)
	op.inEtcd(10*time.Second, stays.Key, stays.Value)
	stands(t, a, Registered)
	at, err := op.Get(op.ctx(), ours)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.kill()
	restore()
	p.start()
	was, err := op.Get(op.ctx(), ours, clientv3.WithRev(at.Header.Revision))
	if err != nil || len(was.Kvs) != 1 {
		t.Fatalf("%v, %v: the backup does not have the key, and nothing is tested", was, err)
	}
	op.inEtcd(15*time.Second, ours, "")
	op.inEtcd(time.Second, stays.Key, stays.Value)
	if s := stands(t, b, Registered); s.Losses != 0 {
		t.Errorf("the one that stayed was lost %d times", s.Losses)
	}
	time.Sleep(stays.TTL)
	op.inEtcd(time.Second, ours, "")
}

// A short break does not have anybody said to be gone because somebody has left before.
func TestABreakAfterSomebodyHasLeft(t *testing.T) {
	t.Parallel()
	p := startProcess(t)
	c, op := run(t, quickly(p.url)), operatorOn(t, p.url)
	gone, stays := registration(), other()
	gone.TTL, stays.TTL = 5*time.Second, 5*time.Second
	a, b := keep(t, c, gone), keep(t, c, stays)
	stands(t, a, Registered)
	since := stands(t, b, Registered)
	if err := a.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.kill()
	time.Sleep(time.Second)
	p.start()
	within(t, 10*time.Second, func() string {
		switch s := b.Status(); {
		case !s.Since.Equal(since.Since) || s.Losses != 0:
			t.Fatalf("it became %s (%s)", s.State, s.Reason)
		case s.LeaseID == since.LeaseID:
			return "it is on the lease that another has left"
		}
		return ""
	})
	op.inEtcd(time.Second, stays.Key, stays.Value)
}

// Where etcd wants to know who asks, a stream costs it a password's check: renewals share
// one.
func TestRenewalsShareAStream(t *testing.T) {
	t.Parallel()
	p := startProcess(t)
	var streams, sent atomic.Int64
	c := run(t, quickly(p.url), func(c *Client) {
		c.extra = append(c.extra, grpc.WithChainStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, s grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
			got, err := s(ctx, desc, cc, method, opts...)
			if !strings.HasSuffix(method, "LeaseKeepAlive") {
				return got, err
			}
			streams.Add(1)
			return counting{got, &sent}, err
		}))
	})
	k := keep(t, c, registration())
	stands(t, k, Registered)
	time.Sleep(3 * time.Second)
	if n, of := streams.Load(), sent.Load(); n != 1 || of < 4 {
		t.Errorf("%d renewals went over %d streams, want one stream", of, n)
	}
}

// counting counts what is sent.
type counting struct {
	grpc.ClientStream
	n *atomic.Int64
}

func (c counting) SendMsg(m any) error {
	c.n.Add(1)
	return c.ClientStream.SendMsg(m)
}
