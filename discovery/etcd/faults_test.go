package etcd

import (
	"context"
	"fmt"
	"maps"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/proxy/grpcproxy"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"portside/discovery"
)

func TestTwoKeysWithOneAddressAreOneEndpoint(t *testing.T) {
	url := startEtcd(t).Endpoint()
	op := operatorOn(t, url)
	op.put("s/old", "10.0.0.1:80 1")
	v := follow(t, run(t, quickly(url)), "s")
	v.becomes("10.0.0.1:80")
	v.keep("10.0.0.1:80")
	op.put("s/new", "10.0.0.1:80 5")
	v.within(5*time.Second, func() string {
		v.mu.Lock()
		defer v.mu.Unlock()
		if e := v.set[0]; len(v.set) != 1 || e.Weight != 5 || strings.Join(e.Keys, " ") != "s/new s/old" {
			return fmt.Sprintf("endpoint %+v, want the weight of the newer key and both keys", e)
		}
		return ""
	})
	op.del("s/old") // a lease that lapses long after the server registered anew
	op.put("s/z", "10.0.0.2:80")
	v.becomes("10.0.0.1:80", "10.0.0.2:80")
	v.unkeep()
	op.del("s/new")
	v.becomes("10.0.0.2:80")
}

func TestGarbageKeepsTheKeysLastReading(t *testing.T) {
	url := startEtcd(t).Endpoint()
	op := operatorOn(t, url)
	op.put("s/a", "10.0.0.1:80")
	op.put("s/never", "!")
	v := follow(t, run(t, quickly(url)), "s")
	v.becomes("10.0.0.1:80")
	v.keep("10.0.0.1:80")
	op.put("s/a", "!garbage")
	op.put("s/b", "10.0.0.2:80")
	op.put("s/c", "off")
	v.becomes("10.0.0.1:80", "10.0.0.2:80")
	v.within(5*time.Second, func() string {
		st := v.source.Status()
		if st.BadRecords != 2 || fmt.Sprint(st.Skipped) != "[{s/a not an address; what it said before stands} {s/c switched off} {s/never not an address}]" {
			return fmt.Sprintf("%d bad records, skipped %v; want 2, and s/a, s/c and s/never with their reasons", st.BadRecords, st.Skipped)
		}
		return ""
	})
	v.unkeep()
	op.del("s/a") // what is deleted is gone, readable or not
	v.becomes("10.0.0.2:80")
}

func TestEqualRecordsMakeNoUpdate(t *testing.T) {
	url := startEtcd(t).Endpoint()
	op := operatorOn(t, url)
	op.put("s/a", "10.0.0.1:80")
	v := follow(t, run(t, quickly(url)), "s")
	v.becomes("10.0.0.1:80")
	for range 10 {
		op.put("s/a", "10.0.0.1:80")
	}
	op.put("s/b", "10.0.0.2:80")
	v.becomes("10.0.0.1:80", "10.0.0.2:80")
	if n := v.count(); n != 2 {
		t.Errorf("%d updates, want 2: rewriting a record as it is must not disturb the pool", n)
	}
}

func TestARevokedLeaseOfManyKeysIsOneUpdate(t *testing.T) {
	url := startEtcd(t).Endpoint()
	op := operatorOn(t, url)
	lease := op.lease(60)
	for i := range 20 {
		op.put(fmt.Sprintf("s/%d", i), fmt.Sprintf("10.0.0.%d:80", i), clientv3.WithLease(lease))
	}
	op.put("s/stays", "10.0.0.99:80")
	v := follow(t, run(t, quickly(url)), "s")
	v.within(5*time.Second, func() string { return wantCount(v, 21) })
	if _, err := op.Revoke(op.ctx(), lease); err != nil {
		t.Fatal(err)
	}
	v.becomes("10.0.0.99:80")
	if n := v.count(); n != 2 {
		t.Errorf("%d updates, want 2: a guard against mass departures must see the mass", n)
	}
}

func wantCount(v *view, n int) string {
	if got := len(v.addresses()); got != n {
		return fmt.Sprintf("%d endpoints, want %d", got, n)
	}
	return ""
}

func TestEtcdThatAppearsLaterIsFollowed(t *testing.T) {
	t.Parallel()
	p := startProcess(t)
	operatorOn(t, p.url).put("s/a", "10.0.0.1:80")
	p.kill()
	v := follow(t, run(t, quickly(p.url)), "s")
	v.within(5*time.Second, func() string {
		st := v.source.Status()
		if st.State != discovery.Syncing || !strings.Contains(st.Reason, "connection refused") || !strings.Contains(st.Reason, "etcd unreachable since") {
			return fmt.Sprintf("%s (%s), want syncing and why", st.State, st.Reason)
		}
		return ""
	})
	if v.count() != 0 {
		t.Error("an update came from an etcd that is not there: unknown is not empty")
	}
	p.start()
	v.becomes("10.0.0.1:80")
}

func TestACutConnectionLosesNothing(t *testing.T) {
	t.Parallel()
	p, f := startProcess(t), newFleet(t)
	net, op := newCutter(t, p.url), operatorOn(t, p.url)
	stays, goes, comes := f.serve(), f.serve(), f.serve()
	op.put("s/stays", stays)
	op.put("s/goes", goes)
	v := f.ride(run(t, quickly(net.url())), "s")
	v.converges(soon, stays, goes)
	v.keep(stays)
	net.set(cutting)
	op.del("s/goes")
	op.put("s/comes", comes)
	st := v.state(discovery.Stale)
	if !strings.Contains(st.Reason, "etcd unreachable since") {
		t.Errorf("reason %q, want one that says etcd cannot be reached", st.Reason)
	}
	v.converges(soon, stays, goes) // the last known
	net.set(passing)
	v.converges(soon, stays, comes)
	st = v.state(discovery.Synced)
	if st.Resyncs["reconnect"] == 0 {
		t.Errorf("resyncs %v, want a reconnect among them", st.Resyncs)
	}
}

func TestHistoryCompactedWhileCutIsListedAgain(t *testing.T) {
	t.Parallel()
	p, f := startProcess(t), newFleet(t)
	net, op := newCutter(t, p.url), operatorOn(t, p.url)
	stays, goes, too, comes := f.serve(), f.serve(), f.serve(), f.serve()
	op.put("s/stays", stays)
	op.put("s/goes", goes)
	op.put("s/stays too", too)
	v := f.ride(run(t, quickly(net.url())), "s")
	v.converges(soon, stays, goes, too)
	v.keep(stays, too)
	net.set(cutting)
	op.del("s/goes")
	last := op.put("s/comes", comes)
	if _, err := op.Compact(op.ctx(), last, clientv3.WithCompactPhysical()); err != nil {
		t.Fatal(err)
	}
	net.set(passing)
	v.converges(soon, stays, too, comes)
}

// A watch that begins before the compaction is told so by etcd.
func TestACompactedWatchIsADoubt(t *testing.T) {
	url := startEtcd(t).Endpoint()
	op := operatorOn(t, url)
	for i := range 5 {
		op.put("s/a", fmt.Sprintf("10.0.0.%d:80", i))
	}
	if _, err := op.Compact(op.ctx(), 5); err != nil {
		t.Fatal(err)
	}
	s, err := openStream(t.Context(), op.ActiveConnection(), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.run() }()
	w := s.watch("s/", "s0", 3)
	within(t, 5*time.Second, func() string {
		if _, err := w.take(); err != errCompacted {
			return fmt.Sprintf("the watch ended with %v, want %v", err, errCompacted)
		}
		return ""
	})
	s.cancel(context.Canceled)
	<-done
}

func TestAMuteConnectionIsStaleInTimeAndComesBack(t *testing.T) {
	p, f := startProcess(t), newFleet(t)
	net, op := newCutter(t, p.url), operatorOn(t, p.url)
	stays, goes, comes := f.serve(), f.serve(), f.serve()
	op.put("s/stays", stays)
	op.put("s/goes", goes)
	cfg := quickly(net.url())
	v := f.ride(run(t, cfg), "s")
	v.converges(soon, stays, goes)
	v.keep(stays)
	v.state(discovery.Synced)
	net.set(mute)
	began := time.Now()
	v.state(discovery.Stale)
	if took := time.Since(began); took > cfg.Liveness+500*time.Millisecond {
		t.Errorf("stale %v after the network fell silent, want at most %v: calls that hang must not delay it", took, cfg.Liveness)
	}
	op.put("s/comes", comes)
	op.del("s/goes")
	net.set(passing)
	v.converges(soon, stays, comes)
	v.state(discovery.Synced)
}

func TestAnIdleEtcdStaysProven(t *testing.T) {
	url := startEtcd(t).Endpoint()
	op := operatorOn(t, url)
	op.put("s/a", "10.0.0.1:80")
	cfg := quickly(url)
	cfg.Liveness = time.Second
	v := follow(t, run(t, cfg), "s")
	v.state(discovery.Synced)
	for end := time.Now().Add(4 * cfg.Liveness); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if st := v.source.Status(); st.State != discovery.Synced || !maps.Equal(st.Resyncs, noDoubts()) {
			t.Fatalf("an etcd to which nobody writes: %s (%s), resyncs %v; want synced by its watch alone", st.State, st.Reason, st.Resyncs)
		}
	}
}

func TestAProcessFault(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func(p *process, v *view){
		"frozen and thawed": func(p *process, v *view) {
			p.freeze()
			v.state(discovery.Stale)
			p.thaw()
		},
		"killed and restarted": func(p *process, v *view) {
			p.kill()
			v.state(discovery.Stale)
			p.start()
		},
		"restarted at once": func(p *process, v *view) {
			p.stop()
			p.start()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, f := startProcess(t), newFleet(t)
			op := operatorOn(t, p.url)
			stays, goes, comes := f.serve(), f.serve(), f.serve()
			op.put("s/stays", stays)
			op.put("s/goes", goes)
			v := f.ride(run(t, quickly(p.url)), "s")
			v.converges(soon, stays, goes)
			v.keep(stays)
			fault(p, v.view)
			op.del("s/goes")
			v.converges(soon, stays)
			v.state(discovery.Synced)
			op.put("s/comes", comes)
			v.converges(soon, stays, comes)
		})
	}
}

// A list that takes most of the liveness, of many pages or from a slow member, is
// no silence of the watch that follows it.
func TestAfterASlowListTheWatchLives(t *testing.T) {
	t.Parallel()
	url := startEtcd(t).Endpoint()
	op := operatorOn(t, url)
	op.put("s/a", "10.0.0.1:80")
	cfg := quickly(url)
	slow := grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		err := invoke(ctx, method, req, reply, cc, opts...)
		if strings.HasSuffix(method, "/Range") {
			time.Sleep(cfg.Liveness * 9 / 10)
		}
		return err
	})
	v := follow(t, run(t, cfg, func(c *Client) { c.extra = append(c.extra, slow) }), "s")
	v.becomes("10.0.0.1:80")
	time.Sleep(3 * cfg.Liveness)
	if n := v.source.Status().Resyncs["silent"]; n > 0 {
		t.Errorf("listed again %d times though etcd is well, only slow", n)
	}
	v.state(discovery.Synced)
}

// behindProxy is the address of an etcd grpc-proxy in front of url.
func behindProxy(t *testing.T, url string) string {
	t.Helper()
	etcd, err := clientv3.New(clientv3.Config{Endpoints: []string{url}, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(etcd.Ctx()))
	kv, kvEnded := grpcproxy.NewKvProxy(etcd)
	watch, watchEnded := grpcproxy.NewWatchProxy(ctx, zap.NewNop(), etcd)
	s := grpc.NewServer()
	pb.RegisterKVServer(s, kv)
	pb.RegisterWatchServer(s, watch)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.Serve(ln) }()
	t.Cleanup(func() {
		s.Stop()
		cancel()
		_ = etcd.Close()
		<-kvEnded
		<-watchEnded
	})
	return "http://" + ln.Addr().String()
}

// Etcd's grpc-proxy names no cluster when it confirms a watch that it has already: that
// says nothing of another cluster.
func TestASecondFollowerBehindAProxyHasNoDoubts(t *testing.T) {
	t.Parallel()
	url := startEtcd(t).Endpoint()
	op := operatorOn(t, url)
	op.put("s/a", "10.0.0.1:80")
	proxy := behindProxy(t, url)
	first := follow(t, run(t, Config{Endpoints: []string{proxy}, Audit: -1}), "s")
	first.becomes("10.0.0.1:80")
	time.Sleep(300 * time.Millisecond)
	op.put("elsewhere", "x") // its list is newer than what the proxy has told the first
	second := follow(t, run(t, Config{Endpoints: []string{proxy}, Audit: -1}), "s")
	second.becomes("10.0.0.1:80")
	time.Sleep(3 * time.Second) // less than the liveness
	if n := second.source.Status().Resyncs["cluster"]; n > 0 {
		t.Errorf("the second follower has listed %d times for another cluster in 3 s, want none: nobody named one", n)
	}
	op.put("s/b", "10.0.0.2:80")
	second.becomes("10.0.0.1:80", "10.0.0.2:80")
}

// elsewhere is a watch stream on which another cluster answers.
type elsewhere struct{ grpc.ClientStream }

func (s elsewhere) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	if r, ok := m.(*pb.WatchResponse); ok && r.Header != nil {
		r.Header.ClusterId++
	}
	return err
}

// A doubt that each list raises again must not have etcd list without pause.
func TestDoubtsInVainAreSpacedOut(t *testing.T) {
	t.Parallel()
	url := startEtcd(t).Endpoint()
	operatorOn(t, url).put("s/a", "10.0.0.1:80")
	confused := grpc.WithChainStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
		s, err := open(ctx, desc, cc, method, opts...)
		return elsewhere{s}, err
	})
	v := follow(t, run(t, quickly(url), func(c *Client) { c.extra = append(c.extra, confused) }), "s")
	v.becomes("10.0.0.1:80")
	time.Sleep(4 * time.Second)
	if n := v.source.Status().Resyncs["cluster"]; n < 3 || n > 12 {
		t.Errorf("listed %d times in 4 s, want the first soon, and then ever fewer down to one a second", n)
	}
	v.state(discovery.Synced)
}

// forgetful is a watch stream on which one confirmation gets lost.
type forgetful struct {
	grpc.ClientStream
	confirmed *atomic.Int64
}

func (s forgetful) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	if r, ok := m.(*pb.WatchResponse); ok && err == nil && r.Created && s.confirmed.Add(1) == 2 {
		return s.RecvMsg(m)
	}
	return err
}

// Who waits for a watch that is never confirmed is neither watched nor, since it is not
// silent itself, listed again: while others are told of changes that must come to an end.
func TestAConfirmationThatIsLostHoldsNobodyUpForLong(t *testing.T) {
	t.Parallel()
	url := startEtcd(t).Endpoint()
	op := operatorOn(t, url)
	var confirmed atomic.Int64
	lossy := grpc.WithChainStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
		s, err := open(ctx, desc, cc, method, opts...)
		return forgetful{s, &confirmed}, err
	})
	c := run(t, quickly(url), func(c *Client) { c.extra = append(c.extra, lossy) })
	busy := follow(t, c, "busy")
	op.put("busy/a", "10.0.0.1:80")
	busy.becomes("10.0.0.1:80")
	var others []*view
	for i := range 3 {
		others = append(others, follow(t, c, fmt.Sprintf("s%d", i)))
		op.put(fmt.Sprintf("s%d/a", i), "10.0.0.1:80")
	}
	until := time.Now().Add(5 * time.Second)
	for i := 0; time.Now().Before(until); i++ {
		op.put("busy/b", fmt.Sprintf("10.0.0.2:%d", 1+i))
		time.Sleep(50 * time.Millisecond)
	}
	for i, v := range others {
		op.put(fmt.Sprintf("s%d/b", i), "10.0.0.2:80")
		v.becomes("10.0.0.1:80", "10.0.0.2:80")
		v.state(discovery.Synced)
	}
}
