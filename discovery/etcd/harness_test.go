package etcd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"portside/discovery"
	"portside/discovery/etcd/embedded"
)

// startEtcd runs an etcd for one test, inside this process.
func startEtcd(t testing.TB) *embedded.Server {
	t.Helper()
	s, err := embedded.Start(embedded.Options{})
	if err != nil {
		t.Fatalf("start etcd: %v", err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// operator is somebody else's etcd client: the one who registers, deletes and
// breaks things.
type operator struct {
	testing.TB
	*clientv3.Client
}

func newOperator(t testing.TB, cfg clientv3.Config) operator {
	t.Helper()
	cfg.Logger = zap.NewNop()
	cfg.DialTimeout = 5 * time.Second
	c, err := clientv3.New(cfg)
	if err != nil {
		t.Fatalf("operator's client: %v", err)
	}
	t.Cleanup(func() { c.Close() })
	return operator{t, c}
}

func operatorOn(t testing.TB, url string) operator { return newOperator(t, configOf(url)) }

func configOf(urls ...string) clientv3.Config { return clientv3.Config{Endpoints: urls} }

func (o operator) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	o.Cleanup(cancel)
	return ctx
}

func (o operator) put(key, value string, opts ...clientv3.OpOption) int64 {
	o.Helper()
	r, err := o.Client.Put(o.ctx(), key, value, opts...)
	if err != nil {
		o.Fatalf("put %s: %v", key, err)
	}
	return r.Header.Revision
}

func (o operator) del(key string) int64 {
	o.Helper()
	r, err := o.Client.Delete(o.ctx(), key)
	if err != nil {
		o.Fatalf("delete %s: %v", key, err)
	}
	return r.Header.Revision
}

func (o operator) lease(ttl int64) clientv3.LeaseID {
	o.Helper()
	r, err := o.Client.Grant(o.ctx(), ttl)
	if err != nil {
		o.Fatalf("grant: %v", err)
	}
	return r.ID
}

// get is the value of key; empty when it is not there.
func (o operator) get(key string) (value string, lease clientv3.LeaseID) {
	o.Helper()
	r, err := o.Client.Get(o.ctx(), key)
	if err != nil {
		o.Fatalf("get %s: %v", key, err)
	}
	if len(r.Kvs) == 0 {
		return "", 0
	}
	return string(r.Kvs[0].Value), clientv3.LeaseID(r.Kvs[0].Lease)
}

// decodePlain reads "host:port"; "off" names nothing, "!…" cannot be read.
func decodePlain(_ string, value []byte) ([]discovery.Endpoint, string, error) {
	address, weight, _ := strings.Cut(string(value), " ")
	switch {
	case strings.HasPrefix(address, "!"):
		return nil, "", errors.New("not an address")
	case address == "off":
		return nil, "switched off", nil
	}
	e := discovery.Endpoint{Address: address}
	fmt.Sscan(weight, &e.Weight)
	return []discovery.Endpoint{e}, "", nil
}

// view records what a source hands over, as a pool would see it.
type view struct {
	testing.TB
	source *Source

	mu      sync.Mutex
	set     []discovery.Endpoint
	updates int
	forever []string // addresses that may never be missing once seen
	missed  []string
}

// quickly is a configuration whose doubts come fast enough for a test.
func quickly(urls ...string) Config {
	return Config{Endpoints: urls, Liveness: 2 * time.Second, Audit: -1}
}

// run runs a client until the test ends, and checks that it then returns.
func run(t testing.TB, cfg Config, opts ...func(*Client)) *Client {
	t.Helper()
	c := New(cfg, testLog(t))
	for _, o := range opts {
		o(c)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		ends(t, "client", done)
	})
	return c
}

func ends(t testing.TB, what string, done <-chan error) {
	t.Helper()
	select {
	case err := <-done:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s's Run returned %v, want its context's error", what, err)
		}
	case <-time.After(10 * time.Second):
		t.Errorf("%s's Run did not return within 10 s of its context's end", what)
	}
}

// follow runs a source until the test ends.
func follow(t testing.TB, c *Client, prefix string) *view {
	t.Helper()
	return runSource(t, c.Source(prefix, decodePlain), func([]discovery.Endpoint) {})
}

// runSource runs s until the test ends; update is told as well.
func runSource(t testing.TB, s *Source, update func([]discovery.Endpoint)) *view {
	t.Helper()
	v := &view{TB: t, source: s}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- v.source.Run(ctx, func(set []discovery.Endpoint) {
			v.update(set)
			update(set)
		})
	}()
	t.Cleanup(func() {
		cancel()
		ends(t, "source", done)
		v.check()
	})
	return v
}

func (v *view) update(set []discovery.Endpoint) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.set = set
	v.updates++
	for _, a := range v.forever {
		if !slices.ContainsFunc(set, func(e discovery.Endpoint) bool { return e.Address == a }) {
			v.missed = append(v.missed, a)
		}
	}
	if !slices.IsSortedFunc(set, func(a, b discovery.Endpoint) int { return strings.Compare(a.Address, b.Address) }) {
		v.Errorf("update is not sorted by address: %v", set)
	}
}

// keep asserts that addresses, present now, are in every set from now on.
func (v *view) keep(addresses ...string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.forever = append(v.forever, addresses...)
}

// unkeep ends keep.
func (v *view) unkeep() {
	v.check()
	v.mu.Lock()
	defer v.mu.Unlock()
	v.forever = nil
}

func (v *view) check() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.missed) > 0 {
		v.Errorf("%v dropped out of a set although they stayed in etcd: traffic to them was cut for nothing", v.missed)
	}
}

func (v *view) addresses() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	out := make([]string, 0, len(v.set))
	for _, e := range v.set {
		out = append(out, e.Address)
	}
	return out
}

func (v *view) count() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.updates
}

// becomes waits until the set is want.
func (v *view) becomes(want ...string) {
	v.Helper()
	if want == nil {
		want = []string{}
	}
	slices.Sort(want)
	v.within(15*time.Second, func() string {
		if v.count() == 0 {
			return "no update yet"
		}
		return cmp.Diff(want, v.addresses())
	})
}

// state waits for a state.
func (v *view) state(want discovery.State) discovery.Status {
	v.Helper()
	var st discovery.Status
	v.within(15*time.Second, func() string {
		if st = v.source.Status(); st.State != want {
			return fmt.Sprintf("state %s (%s), want %s", st.State, st.Reason, want)
		}
		return ""
	})
	return st
}

func (v *view) within(d time.Duration, wrong func() string) { v.Helper(); within(v, d, wrong) }

// within waits until nothing is wrong any more.
func within(t testing.TB, d time.Duration, wrong func() string) {
	t.Helper()
	deadline := time.Now().Add(d)
	for {
		w := wrong()
		if w == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", d, w)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// testLog writes to the test's log.
func testLog(t testing.TB) *slog.Logger {
	w := &logWriter{t: t}
	t.Cleanup(w.close)
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.String("t", time.Now().Format("05.000"))
		}
		return a
	}}))
}

type logWriter struct {
	mu sync.Mutex
	t  testing.TB
}

func (w *logWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.t != nil && testing.Verbose() && !strings.Contains(string(b), "retrying of unary") && !strings.Contains(string(b), "backoff") {
		w.t.Log(strings.TrimSpace(string(b)))
	}
	return len(b), nil
}

func (w *logWriter) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.t = nil
}
