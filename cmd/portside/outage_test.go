package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"portside/cmd/portside/admin"
	"portside/cmd/portside/config"
	"portside/discovery"
	"portside/discovery/snapshot"
	"portside/pool"
)

// mortalEtcd is an etcd that can be killed, and comes back with what it had.
type mortalEtcd struct {
	t        *testing.T
	dir, url string
	server   *proc
	*clientv3.Client
}

func newMortalEtcd(t *testing.T) *mortalEtcd {
	e := &mortalEtcd{t: t, dir: t.TempDir(), url: "http://" + freeAddressOn(t, "127.0.0.1")} // which has another name
	e.start()
	e.Client = etcdClient(t, e.url)
	return e
}

func (e *mortalEtcd) start() { e.server = start(e.t, "etcd", nil, e.dir, e.url) }

func (e *mortalEtcd) kill() {
	e.server.signal(syscall.SIGKILL)
	e.server.wait(5 * time.Second)
}

// otherName is the same etcd under another name.
func (e *mortalEtcd) otherName() string { return strings.Replace(e.url, "127.0.0.1", "localhost", 1) }

// Whom a reload took out while etcd was away has as long as its lease to leave, until the
// process ends: that does not wait so long.
func TestTheProcessEndsThoughSomebodyIsStillLeaving(t *testing.T) {
	etcd := newMortalEtcd(t)
	a, _ := echo(t)
	const format = "etcd: {endpoints: [%q]}\nservices: {web: {listen: %q, endpoints: [%q]}}\n"
	local := freeAddress(t)
	c := newConfigured(t, format+"register:\n  billing: {address: %q, ttl: 120s}\n", etcd.url, local, a, a)
	p := runPortside(t, "", "-c", c.name)
	eventually(t, "never registered", func() bool {
		all := p.registrations()
		return len(all) == 1 && all[0].State == "registered"
	})
	etcd.kill()
	c.write(format, etcd.url, local, a)
	reloaded(t, p.admin)
	p.signal(syscall.SIGTERM)
	if code := p.wait(30 * time.Second); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	if out := p.out.String(); !strings.Contains(out, "could not leave etcd in time") {
		t.Errorf("nobody is told of the key that stays:\n%s", out)
	}
}

// An edit of etcd's name and its correction, while etcd is away, must not have anybody
// who follows the keys see them leave when it is back.
func TestEtcdRenamedAndBackInAnOutageTakesNobodyOut(t *testing.T) {
	etcd := newMortalEtcd(t)
	const n = 4
	var servers [n]string
	conf := func(url string) string {
		text := fmt.Sprintf("etcd: {endpoints: [%q]}\nregister:\n", url)
		for i := range servers {
			text += fmt.Sprintf("  r%d: {address: %q, key: reg/r%d, ttl: 20s}\n", i, servers[i], i)
		}
		return text
	}
	for i := range servers {
		servers[i], _ = echo(t)
	}
	c := newConfigured(t, "%s", conf(etcd.url))
	p := runPortside(t, "", "-c", c.name)
	all := func() bool {
		resp, err := etcd.Get(t.Context(), "reg/", clientv3.WithPrefix())
		return err == nil && len(resp.Kvs) == n
	}
	eventually(t, "never registered", all)
	at, err := etcd.Get(t.Context(), "reg/", clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	etcd.kill()
	for _, url := range []string{etcd.otherName(), etcd.url, etcd.otherName(), etcd.url} {
		c.write("%s", conf(url))
		reloaded(t, p.admin)
		time.Sleep(300 * time.Millisecond)
	}
	etcd.start()
	eventually(t, "not all are registered again", func() bool {
		for _, r := range p.registrations() {
			if r.State != "registered" {
				return false
			}
		}
		return all()
	})
	time.Sleep(time.Second)
	if all := gone(t, etcd.Client, "reg/", at.Header.Revision, clientv3.WithPrefix()); len(all) > 0 {
		t.Error(all)
	}
	if out := p.out.String(); strings.Contains(out, "was lost") || strings.Contains(out, "could not leave") {
		t.Errorf("something was lost, or could not leave:\n%s", out)
	}
}

// A service that is given another port while etcd is away has the endpoints that it
// had, and says how old they are.
func TestAnotherPortInAnOutageKeepsTheBackends(t *testing.T) {
	etcd := newMortalEtcd(t)
	a, _ := echo(t)
	b, _ := echo(t)
	put(t, etcd.Client, "service/orders/a", a)
	put(t, etcd.Client, "service/orders/b", b)
	const format = "etcd: {endpoints: [%q], liveness: 1s}\nservices:\n  orders: {listen: %q}\n"
	c := newConfigured(t, format, etcd.url, freeAddress(t))
	p := runPortside(t, "", "-c", c.name)
	eventually(t, "never synced", func() bool { return len(p.service("orders").Backends) == 2 })
	etcd.kill()
	eventually(t, "never stale", func() bool { return p.service("orders").Discovery.State == "stale" })
	local := freeAddress(t)
	c.write(format, etcd.url, local)
	reloaded(t, p.admin)
	if got, err := who(local); err != nil || got != a && got != b {
		t.Fatalf("the service on its new port answers %q, %v", got, err)
	}
	stale := func(after string) {
		t.Helper()
		if d := p.service("orders").Discovery; d.State != "stale" || d.Age <= 0 || !strings.Contains(d.Reason, "before the last reload") {
			t.Errorf("after a reload with another %s it is %s for %v s (%s), want stale since etcd was there", after, d.State, d.Age, d.Reason)
		}
	}
	stale("port")
	c.write(format, etcd.otherName(), local)
	reloaded(t, p.admin)
	stale("etcd")
	etcd.start()
	eventually(t, "never synced again", func() bool { return p.service("orders").Discovery.State == "synced" })
	if n := states(p, "orders"); n[pool.Active] != 2 {
		t.Errorf("the backends are %v, want 2 active", n)
	}
}

// Nor does an edit that is taken back have the next list be believed without a doubt.
func TestAnEditTakenBackKeepsTheGuard(t *testing.T) {
	etcd := newMortalEtcd(t)
	var keys []string
	for i := range 4 {
		a, _ := echo(t)
		keys = append(keys, fmt.Sprintf("service/orders/%d", i))
		put(t, etcd.Client, keys[i], a)
	}
	const format = "etcd: {endpoints: [%q]}\nservices:\n  orders: {listen: %q, prefix: %s}\n"
	local := freeAddress(t)
	c := newConfigured(t, format, etcd.url, local, "service/orders/")
	p := runPortside(t, "", "-c", c.name)
	eventually(t, "never synced", func() bool { return len(p.service("orders").Backends) == 4 })
	etcd.kill()
	for _, prefix := range []string{"service/order/", "service/orders/"} {
		c.write(format, etcd.url, local, prefix)
		reloaded(t, p.admin)
		time.Sleep(100 * time.Millisecond)
	}
	if err := os.RemoveAll(etcd.dir); err != nil { // it comes back with nothing but one key
		t.Fatal(err)
	}
	etcd.start()
	one, _ := echo(t)
	put(t, etcd.Client, keys[0], one)
	eventually(t, "the new key never came", func() bool {
		return p.service("orders").Discovery.State == "synced" && len(p.service("orders").Backends) > 1
	})
	if n := states(p, "orders"); n[pool.Suspect] < 3 {
		t.Errorf("the backends are %v, want those that left at once to be suspects", n)
	}
}

// What is in doubt when the process ends is in doubt when it begins again, and serves.
func TestSuspectsOutliveARestart(t *testing.T) {
	etcd := newMortalEtcd(t)
	for i := range 3 {
		a, _ := echo(t)
		put(t, etcd.Client, fmt.Sprintf("service/orders/%d", i), a)
	}
	local := freeAddress(t)
	c := newConfigured(t, "etcd: {endpoints: [%q]}\nstate_dir: %q\nservices:\n  orders: {listen: %q}\n", etcd.url, t.TempDir(), local)
	p := runPortside(t, "", "-c", c.name)
	eventually(t, "never synced", func() bool { return len(p.service("orders").Backends) == 3 })
	remove(t, etcd.Client, "service/orders/", clientv3.WithPrefix())
	eventually(t, "nobody is suspected", func() bool { return states(p, "orders")[pool.Suspect] == 3 })
	until := *p.service("orders").Backends[0].Until
	time.Sleep(1500 * time.Millisecond) // it is saved at most once a second
	p.signal(syscall.SIGTERM)
	if code := p.wait(10 * time.Second); code != 0 {
		t.Fatalf("exit code %d, want 0", code)
	}
	p = runPortside(t, "", "-c", c.name)
	eventually(t, "they are not suspected again", func() bool { return states(p, "orders")[pool.Suspect] == 3 })
	if _, err := who(local); err != nil {
		t.Errorf("nobody serves: %v", err)
	}
	if got := *p.service("orders").Backends[0].Until; !got.Equal(until) {
		t.Errorf("after a restart it is suspect until %s, want %s as before: suspect_max is over when it is over", got, until)
	}
}

// A folder that cannot be written to is said once, and tried until it can.
func TestSavingIsTriedAgain(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "state")
	if err := os.WriteFile(folder, nil, 0o600); err != nil { // which no folder can be made of
		t.Fatal(err)
	}
	out := &output{}
	p := pool.New(pool.Config{})
	var proven atomic.Int64
	v := newSaver(p, func() time.Time { return time.Unix(proven.Load(), 0) }, make(chan struct{}, savesAtOnce), slog.New(slog.NewTextHandler(out, nil)))
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { v.run(ctx) })
	defer running.Wait()
	defer cancel()
	file := snapshot.In(folder, "orders", "service/orders/", "auto")
	want := []discovery.Endpoint{{Address: "10.0.0.1:80"}}
	v.saves(file, func() bool { p.Update(want); return true })
	time.Sleep(2500 * time.Millisecond)
	if n := strings.Count(out.String(), "cannot save"); n != 1 {
		t.Errorf("it is said %d times, want once:\n%s", n, out.String())
	}
	if err := os.Remove(folder); err != nil {
		t.Fatal(err)
	}
	eventually(t, "never saved", func() bool { got, err := file.Load(); return err == nil && len(got.Endpoints) == 1 })
	proven.Store(1e9) // and nothing else has changed
	cancel()
	running.Wait()
	if got, err := file.Load(); err != nil || got.At.Unix() != 1e9 {
		t.Errorf("at the end it is saved that the registry had them at %s (%v), want %s: the age of what was saved counts", got.At, err, time.Unix(1e9, 0))
	}
}

// What a service is writing when another takes its place must not come after what that
// one writes.
func TestASuccessorSavesAfterItsFormerSelf(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	following := func() *following {
		return newFollowing("orders", log, pool.New(pool.Config{}), newNews("orders", log, &admin.Events{}), make(chan struct{}, savesAtOnce))
	}
	former, next := following(), following()
	former.saver.saving.Lock() // it writes
	next.takeOver(former, config.Service{Name: "orders"})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { next.saver.run(ctx) })
	defer running.Wait()
	defer cancel()
	file := snapshot.In(t.TempDir(), "orders", "service/orders/", "auto")
	next.saver.saves(file, func() bool { next.pool.Update([]discovery.Endpoint{{Address: "10.0.0.1:80"}}); return true })
	time.Sleep(200 * time.Millisecond)
	if _, err := file.Load(); err == nil {
		t.Error("it has saved while its former self, whose save then came last, had not ended")
	}
	former.saver.saving.Unlock()
	eventually(t, "never saved", func() bool { got, err := file.Load(); return err == nil && len(got.Endpoints) == 1 })
}

// Whoever follows the events learns what became of a registration.
func TestEventsTellOfRegistrations(t *testing.T) {
	endpoint, etcd := startEtcd(t)
	a, _ := echo(t)
	key := "service/billing/" + a
	c := newConfigured(t, "register:\n  billing: {address: %q, ttl: 2s}\n", a)
	p := runPortside(t, endpoint, "-c", c.name)
	told := func(to string, reason string) func() bool {
		return func() bool {
			events, err := adminClient{"http://" + p.admin}.pastEvents(t.Context())
			return err == nil && slices.ContainsFunc(events, func(e admin.Event) bool {
				return e.Kind == "registration" && e.Service == "billing" && e.Backend == a && e.To == to && strings.Contains(e.Reason, reason)
			})
		}
	}
	eventually(t, "nothing tells that it is registered", told("registered", ""))
	time.Sleep(600 * time.Millisecond)
	remove(t, etcd, key)
	eventually(t, "nothing tells that it was lost", told("registered", "was lost"))
	lease, err := etcd.Grant(t.Context(), 60)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := etcd.Put(t.Context(), key, "10.0.0.9:1", clientv3.WithLease(lease.ID)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "nothing tells that another has it", told("taken", "another holder"))
}

// A file has the endpoints of the prefix that it names.
func TestAMistypedPrefixIsNotSavedUnder(t *testing.T) {
	etcd := newMortalEtcd(t)
	a, _ := echo(t)
	b, _ := echo(t)
	put(t, etcd.Client, "service/o/1", a)
	put(t, etcd.Client, "service/o/2", b)
	folder, local := t.TempDir(), freeAddress(t)
	const format = "etcd: {endpoints: [%q]}\nstate_dir: %q\nservices:\n  orders: {listen: %q, prefix: %s}\n"
	c := newConfigured(t, format, etcd.url, folder, local, "service/o/")
	p := runPortside(t, "", "-c", c.name)
	eventually(t, "never saved", func() bool {
		got, err := snapshot.In(folder, "orders", "service/o/", "auto").Load()
		return err == nil && len(got.Endpoints) == 2
	})
	c.write(format, etcd.url, folder, local, "service/oo/")
	reloaded(t, p.admin)
	eventually(t, "nobody is suspected", func() bool { return states(p, "orders")[pool.Suspect] == 2 })
	time.Sleep(1500 * time.Millisecond)
	if got, err := snapshot.In(folder, "orders", "service/o/", "auto").Load(); err != nil || len(got.Endpoints)+len(got.Lost) != 2 {
		t.Errorf("of the prefix that has endpoints %v is saved (%v)", got, err)
	}
}
