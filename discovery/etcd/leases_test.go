package etcd

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
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
	synctest.Test(t, func(t *testing.T) {
		etcd := &leaseServer{answers: func(int) bool { return true }}
		ended := etcd.renewed(t, 3*time.Second)
		time.Sleep(time.Minute)
		if streams, sent := etcd.streams.Load(), etcd.sent.Load(); streams != 1 || sent < 50 || sent > 70 {
			t.Errorf("%d renewals within a minute went over %d streams, want about 60 over one", sent, streams)
		}
		select {
		case <-ended:
			t.Error("a lease that is renewed all the while was given up")
		default:
		}
	})
}

// What one stream does not answer is asked over another, while the lease lives; and the one
// that answered is kept to.
func TestARenewalIsAskedAgainWhileTheLeaseLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		etcd := &leaseServer{answers: func(stream int) bool { return stream == 2 }}
		ended := etcd.renewed(t, 3*time.Second)
		time.Sleep(time.Minute)
		if streams := etcd.streams.Load(); streams != 2 {
			t.Errorf("%d streams, want two: the second answers", streams)
		}
		select {
		case <-ended:
			t.Error("the lease was given up, though somebody answers")
		default:
		}
	})
	synctest.Test(t, func(t *testing.T) {
		etcd := &leaseServer{answers: func(int) bool { return false }}
		began := time.Now()
		<-etcd.renewed(t, 3*time.Second)
		if lived, streams := time.Since(began), etcd.streams.Load(); lived != 3*time.Second || streams != mostWays {
			t.Errorf("a lease of 3 s that nobody renews was given up after %s and %d streams, want 3 s and %d", lived, streams, mostWays)
		}
	})
}

// While etcd is away a registration stands as long as the lease that its key hangs on is
// kept alive, be it one that is being replaced; not on a lease that may have lapsed, nor by
// a key that somebody wrote by hand.
func TestWhatUpholdsARegistration(t *testing.T) {
	alive := func(id int64) *lease { return &lease{id: id, lost: make(chan struct{})} }
	lapsed := func(id int64) *lease { l := alive(id); close(l.lost); return l }
	for name, c := range map[string]struct {
		r    keeping
		want bool
	}{
		"its lease":                   {keeping{stood: true, found: found{lease: 7}, lease: alive(7)}, true},
		"a lease that lapsed":         {keeping{stood: true, found: found{lease: 7}, lease: lapsed(7)}, false},
		"a lease that is replaced":    {keeping{stood: true, found: found{lease: 7}, lease: alive(8), outgrown: []*lease{alive(7)}}, true},
		"one that lapsed in between":  {keeping{stood: true, found: found{lease: 7}, lease: alive(8), outgrown: []*lease{lapsed(7)}}, false},
		"a key written by hand":       {keeping{stood: true, lease: alive(7)}, false},
		"a key that was not as it is": {keeping{found: found{lease: 7}, lease: alive(7)}, false},
		"no lease":                    {keeping{stood: true, found: found{lease: 7}}, false},
	} {
		if got := c.r.upheld(); got != c.want {
			t.Errorf("%s upholds it: %t, want %t", name, got, c.want)
		}
	}
}

// Etcd counts a lease's time from some moment between question and answer.
func TestALateRenewalIsNotTakenForALongLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		etcd := &leaseServer{late: 400 * time.Millisecond}
		etcd.answers = func(int) bool { return etcd.sent.Load() == 1 }
		began := time.Now()
		<-etcd.renewed(t, 3*time.Second)
		if lived := time.Since(began); lived != 4200*time.Millisecond {
			t.Errorf("a lease of 3 s that was renewed once, between 1 s and 1.4 s, was given up after %s, want 4.2 s", lived)
		}
	})
}

// leaseServer is an etcd that renews leases, over the streams that it answers.
type leaseServer struct {
	pb.UnimplementedLeaseServer
	answers       func(stream int) bool // the first is 1
	late          time.Duration         // each answer
	streams, sent atomic.Int64
}

func (s *leaseServer) LeaseKeepAlive(stream grpc.BidiStreamingServer[pb.LeaseKeepAliveRequest, pb.LeaseKeepAliveResponse]) error {
	n := int(s.streams.Add(1))
	for {
		r, err := stream.Recv()
		if err != nil {
			return err
		}
		s.sent.Add(1)
		if !s.answers(n) {
			continue
		}
		time.Sleep(s.late)
		if err := stream.Send(&pb.LeaseKeepAliveResponse{ID: r.ID, TTL: 3}); err != nil {
			return err
		}
	}
}

// renewed has a lease renewed at s until the test ends; the channel is closed when it is
// given up.
func (s *leaseServer) renewed(t *testing.T, ttl time.Duration) (ended <-chan struct{}) {
	t.Helper()
	ln := bufconn.Listen(64 << 10)
	server := grpc.NewServer()
	pb.RegisterLeaseServer(server, s)
	go func() { _ = server.Serve(ln) }()
	conn, err := grpc.NewClient("passthrough:etcd", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return ln.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		renew(ctx, conn, 7, ttl, time.Now())
	}()
	t.Cleanup(func() {
		stop()
		<-done
		_ = conn.Close()
		server.Stop()
	})
	return done
}
