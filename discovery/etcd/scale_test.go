package etcd

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"portside/discovery"
)

// fill writes n keys under s/, a hundred a transaction.
func fill(op operator, n int) {
	for i := 0; i < n; {
		var puts []clientv3.Op
		for ; len(puts) < 100 && i < n; i++ {
			puts = append(puts, clientv3.OpPut(fmt.Sprintf("s/%06d", i), address(i)))
		}
		if _, err := op.Txn(op.ctx()).Then(puts...).Commit(); err != nil {
			op.Fatal(err)
		}
	}
}

func address(i int) string { return fmt.Sprintf("10.%d.%d.%d:80", i>>16, i>>8&255, i&255) }

func TestTenThousandEndpointsAreKnownWithinASecond(t *testing.T) {
	url := startEtcd(t).Endpoint()
	op := operatorOn(t, url)
	const n = 10_000
	fill(op, n)
	c := run(t, quickly(url))
	within(t, 5*time.Second, func() string {
		if l, _ := c.link(); l.stream == nil {
			return "not connected"
		}
		return ""
	})
	began := time.Now()
	v := follow(t, c, "s")
	v.within(10*time.Second, func() string { return wantCount(v, n) })
	took := time.Since(began)
	t.Logf("first list to update: %v", took)
	if limit := 3 * time.Second; took > limit {
		t.Errorf("the first set of %d endpoints took %v, want at most 1 s (%v here, for the race detector)", n, took, limit)
	}
}

// One after another, their watches would take longer to be created than each may be
// silent, and each source would list again, and wait for its turn again, for ever.
func TestHundredsOfSourcesAreFollowedThoughEtcdIsFarAway(t *testing.T) {
	t.Parallel()
	far := newCutter(t, startEtcd(t).Endpoint())
	far.delay.Store(int64(3 * time.Millisecond))
	c := run(t, quickly(far.url()))
	const n = 400
	for i := range n {
		follow(t, c, fmt.Sprintf("s%d", i))
	}
	within(t, 20*time.Second, func() string {
		l, _ := c.link()
		if l.stream == nil {
			return "not connected"
		}
		l.stream.mu.Lock()
		defer l.stream.mu.Unlock()
		if got := len(l.stream.open); got != n {
			return fmt.Sprintf("%d watches stand, want %d: the others' keys are only listed, again and again", got, n)
		}
		return ""
	})
}

// putValue is a key as a list or an event has it.
func putValue(key, value string, revision int64) *mvccpb.KeyValue {
	return &mvccpb.KeyValue{Key: []byte(key), Value: []byte(value), CreateRevision: revision, ModRevision: revision, Version: 1}
}

// BenchmarkOneChangeAmong10000 is the way of one change, from etcd's answer to
// the update. The time is what the update waits; the CPU has the collector's
// part in it, which runs beside.
func BenchmarkOneChangeAmong10000(b *testing.B) {
	event := func(i int, value string) *mvccpb.Event {
		return &mvccpb.Event{Kv: putValue(fmt.Sprintf("s/%06d", i), value, 1)}
	}
	for _, turns := range []struct {
		name      string
		odd, even *mvccpb.Event
	}{
		{"weight", event(5000, address(5000)+" 2"), event(5000, address(5000))},
		{"address", event(5000, "10.9.9.9:80"), event(5000, address(5000))},
		{"come and go", event(10_000, "10.0.9.9:80"), &mvccpb.Event{Type: mvccpb.Event_DELETE, Kv: &mvccpb.KeyValue{Key: []byte("s/010000")}}},
		{"nothing new", event(5000, address(5000)), event(5000, address(5000))},
	} {
		for _, reuse := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/reuse=%t", turns.name, reuse), func(b *testing.B) { benchChange(b, reuse, turns.odd, turns.even) })
		}
	}
}

func benchChange(b *testing.B, reuse bool, turns ...*mvccpb.Event) {
	s := New(Config{}, nil).Source("s", decodePlain)
	s.Reuse = reuse
	f := newFollower(s, func([]discovery.Endpoint) {})
	f.onWhole(listing{kvs: manyKeys(10_000), revision: 1}, time.Now())
	f.watch = &watch{ready: make(chan struct{}, 1)}
	spent, revision := cpu(), int64(1)
	b.ReportAllocs()
	for b.Loop() {
		revision++
		e := turns[revision%2]
		e.Kv.ModRevision = revision
		f.watch.receive(&pb.WatchResponse{Header: &pb.ResponseHeader{Revision: revision}, Events: []*mvccpb.Event{e}}, time.Now())
		f.onWatch()
	}
	b.ReportMetric(float64((cpu()-spent).Microseconds())/float64(b.N), "cpu-µs/op")
}

// manyKeys is a list of n.
func manyKeys(n int) []*mvccpb.KeyValue {
	kvs := make([]*mvccpb.KeyValue, n)
	for i := range kvs {
		kvs[i] = putValue(fmt.Sprintf("s/%06d", i), address(i), 1)
	}
	return kvs
}

func BenchmarkFirst10000(b *testing.B) {
	kvs := manyKeys(10_000)
	for b.Loop() {
		t := newTable(decodePlain, testLog(b))
		t.replace(kvs)
		t.flush()
	}
}

// BenchmarkPutToUpdate is the time from another client's put to the update.
func BenchmarkPutToUpdate(b *testing.B) {
	url := startEtcd(b).Endpoint()
	op := operatorOn(b, url)
	op.put("s/a", "10.0.0.1:1")
	arrived := make(chan time.Time, 1)
	s := run(b, Config{Endpoints: []string{url}}).Source("s", decodePlain)
	ctx, cancel := context.WithCancel(b.Context())
	var wg sync.WaitGroup
	wg.Go(func() { s.Run(ctx, func([]discovery.Endpoint) { arrived <- time.Now() }) })
	defer wg.Wait()
	defer cancel()
	<-arrived
	time.Sleep(200 * time.Millisecond) // the watch has caught up
	var took []time.Duration
	for i := 0; b.Loop(); i++ {
		value := fmt.Sprintf("10.0.0.1:%d", i%60_000+2)
		began := time.Now()
		if _, err := op.Client.Put(ctx, "s/a", value); err != nil {
			b.Fatal(err)
		}
		took = append(took, (<-arrived).Sub(began))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}

// cpu is what this process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// share is how much of one core the process uses over d.
func share(d time.Duration) float64 {
	before := cpu()
	time.Sleep(d)
	return float64(cpu()-before) / float64(d)
}

func TestWaitingForEtcdCostsLittle(t *testing.T) {
	p := startProcess(t)
	p.kill()
	c := run(t, Config{Endpoints: []string{p.url}})
	for i := range 100 {
		follow(t, c, fmt.Sprintf("s%d", i))
	}
	keep(t, c, registration())
	time.Sleep(2 * time.Second)
	if s := share(2 * time.Second); s > 0.05 {
		t.Errorf("with etcd down, 100 sources use %.1f%% of a core, want at most 1%% (5%% under the race detector)", 100*s)
	} else {
		t.Logf("%.2f%% of a core", 100*s)
	}
}

func TestIdleSourcesCostLittle(t *testing.T) {
	p := startProcess(t)
	c := run(t, Config{Endpoints: []string{p.url}})
	const n = 500
	views := make([]*view, n)
	for i := range views {
		views[i] = follow(t, c, fmt.Sprintf("s%d", i))
	}
	began := time.Now()
	for _, v := range views {
		v.state(discovery.Synced)
	}
	t.Logf("%d sources synced after %v, %d goroutines", n, time.Since(began), runtime.NumGoroutine())
	time.Sleep(time.Second)
	if s := share(2 * time.Second); s > 0.2 {
		t.Errorf("%d idle sources use %.1f%% of a core", n, 100*s)
	} else {
		t.Logf("%.2f%% of a core", 100*s)
	}
}
