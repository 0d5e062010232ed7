package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"portside/pool"
)

// configured is a configuration that a test changes.
type configured struct {
	t    *testing.T
	name string
}

func newConfigured(t *testing.T, format string, a ...any) configured {
	t.Helper()
	c := configured{t, filepath.Join(t.TempDir(), "portside.yaml")}
	c.write(format, a...)
	return c
}

func (c configured) write(format string, a ...any) {
	c.t.Helper()
	if err := os.WriteFile(c.name, fmt.Appendf(nil, format, a...), 0o600); err != nil {
		c.t.Fatal(err)
	}
}

func reloaded(t *testing.T, admin string) {
	t.Helper()
	if code, body := askReload(t, admin); code != 200 {
		t.Fatal(code, body)
	}
}

// What an operator has replaced is not in doubt: it gets nothing more.
func TestReplacedBackendsGetNothing(t *testing.T) {
	endpoint, etcd := startEtcd(t)
	var all [4]string
	for i := range all {
		all[i], _ = echo(t)
		put(t, etcd, fmt.Sprintf("v%d/%d", 1+i/3, i), all[i]) // three of v1, one of v2
	}
	local, local2 := freeAddress(t), freeAddress(t)
	const format = "services:\n  listed: {listen: %q, endpoints: [%s]}\n  followed: {listen: %q, prefix: %s}\n"
	c := newConfigured(t, format, local, fmt.Sprintf("%q, %q, %q", all[0], all[1], all[2]), local2, "v1/")
	p := runPortside(t, endpoint, "-c", c.name)
	eventually(t, "not all are there", func() bool { return len(p.service("listed").Backends)+len(p.service("followed").Backends) == 6 })
	c.write(format, local, fmt.Sprintf("%q", all[3]), local2, "v2/")
	reloaded(t, p.admin)
	for _, name := range []string{"listed", "followed"} {
		eventually(t, "the former ones stay", func() bool {
			b := p.service(name).Backends
			return len(b) == 1 && b[0].Address == all[3]
		})
	}
}

// What was read for another protocol is in no doubt either: once it is read again, it goes.
func TestEndpointsOfAnotherProtocolAreReplaced(t *testing.T) {
	endpoint, etcd := startEtcd(t)
	b, _ := echo(t)
	for i := range 3 {
		a, _ := echo(t)
		put(t, etcd, fmt.Sprintf("service/orders/%d", i), fmt.Sprintf(`{"id":"x","name":"orders","version":"1","endpoints":["tcp://%s","http://%s"]}`, a, b))
	}
	local := freeAddress(t)
	const format = "state_dir: %q\nservices:\n  orders: {listen: %q, protocol: %s, format: kratos}\n"
	folder := t.TempDir()
	c := newConfigured(t, format, folder, local, "tcp")
	p := runPortside(t, endpoint, "-c", c.name)
	eventually(t, "not all are there", func() bool { return len(p.service("orders").Backends) == 3 })
	c.write(format, folder, local, "http")
	reloaded(t, p.admin)
	eventually(t, "what speaks tcp stays, and gets http requests", func() bool {
		all := p.service("orders").Backends
		return len(all) == 1 && all[0].Address == b
	})
}

// Where the addresses are the same for either, who is suspect stays so.
func TestAnotherProtocolKeepsTheGuard(t *testing.T) {
	endpoint, etcd := startEtcd(t)
	var all []string
	for i := range 4 {
		a, _ := echo(t)
		all = append(all, a)
		put(t, etcd, fmt.Sprintf("service/orders/%d", i), a)
	}
	const format = "services:\n  orders: {listen: %q, protocol: %s}\n"
	local := freeAddress(t)
	c := newConfigured(t, format, local, "tcp")
	p := runPortside(t, endpoint, "-c", c.name)
	eventually(t, "not all are there", func() bool { return len(p.service("orders").Backends) == 4 })
	remove(t, etcd, "service/orders/", clientv3.WithPrefix())
	eventually(t, "not all are suspects", func() bool { return states(p, "orders")[pool.Suspect] == 4 })
	c.write(format, local, "http")
	reloaded(t, p.admin)
	put(t, etcd, "service/orders/0", all[0])
	eventually(t, "the one that is back is not active", func() bool { return states(p, "orders")[pool.Active] == 1 })
	if n := states(p, "orders"); n[pool.Suspect] != 3 {
		t.Errorf("when one of four suspects has registered again they are %v, want the others to be suspects still: they answer", n)
	}
}

// Nor is it when portside is started again, and begins with what is saved.
func TestSavedEndpointsOfAnotherProtocolAreReplaced(t *testing.T) {
	endpoint, etcd := startEtcd(t)
	b, _ := echo(t)
	for i := range 3 {
		a, _ := echo(t)
		put(t, etcd, fmt.Sprintf("service/orders/%d", i), fmt.Sprintf(`{"id":"x","name":"orders","version":"1","endpoints":["tcp://%s","http://%s"]}`, a, b))
	}
	local := freeAddress(t)
	const format = "state_dir: %q\nservices:\n  orders: {listen: %q, protocol: %s, format: kratos}\n"
	folder := t.TempDir()
	c := newConfigured(t, format, folder, local, "tcp")
	p := runPortside(t, endpoint, "-c", c.name)
	eventually(t, "not all are there", func() bool { return len(p.service("orders").Backends) == 3 })
	p.signal(syscall.SIGTERM)
	if code := p.wait(10 * time.Second); code != 0 {
		t.Fatalf("exit code %d, want 0", code)
	}
	c.write(format, folder, local, "http")
	p = runPortside(t, endpoint, "-c", c.name)
	eventually(t, "what speaks tcp stays, and gets http requests", func() bool {
		all := p.service("orders").Backends
		return len(all) == 1 && all[0].Address == b
	})
}

// A changed registration is changed: those who follow it see no moment without it.
// So is one whose etcd is known under other names now.
func TestAChangedRegistrationIsNeverGone(t *testing.T) {
	endpoint, etcd := startEtcd(t)
	a, _ := echo(t)
	key := "service/billing/" + a
	const format = "etcd: {endpoints: [%s]}\nregister:\n  billing: {address: %q, weight: %d, ttl: %ds}\n"
	c := newConfigured(t, format, endpoint, a, 1, 10)
	p := runPortside(t, "", "-c", c.name)
	eventually(t, "never registered", func() bool { return value(t, etcd, key) != "" })
	first := value(t, etcd, key)
	events := etcd.Watch(t.Context(), key)
	for weight := 2; weight <= 5; weight++ {
		was := value(t, etcd, key)
		ttl, named := 10, endpoint
		if weight >= 4 {
			ttl = 20
		}
		if weight == 5 {
			named = strings.Replace(endpoint, "127.0.0.1", "localhost", 1) + ", " + endpoint
		}
		c.write(format, named, a, weight, ttl)
		reloaded(t, p.admin)
		eventually(t, "the record stays as it was", func() bool { return value(t, etcd, key) != was })
	}
	if value(t, etcd, key) == first {
		t.Error("the record is what it was at first")
	}
	for settled := time.After(time.Second); ; {
		select {
		case r := <-events:
			for _, e := range r.Events {
				if e.Type == clientv3.EventTypeDelete {
					t.Error("the record was deleted")
				}
			}
			continue
		case <-settled:
		}
		break
	}
}

// The changed registration's check decides about the record that its former self
// left, and so does the end of the process.
func TestAChangedRegistrationTakesItsRecordAlong(t *testing.T) {
	endpoint, etcd := startEtcd(t)
	a, _ := echo(t)
	key := "service/billing/" + a
	const format = "register:\n  billing: {address: %q, weight: %d, ttl: 60s, check: {%s, interval: 200ms, timeout: 200ms}}\n"
	registered := func() (configured, *portside) {
		c := newConfigured(t, format, a, 1, "tcp: {}")
		p := runPortside(t, endpoint, "-c", c.name)
		eventually(t, "never registered", func() bool { return value(t, etcd, key) != "" })
		return c, p
	}
	c, p := registered()
	c.write(format, a, 2, "http: \"http://"+freeAddress(t)+"/\"")
	reloaded(t, p.admin)
	eventually(t, "the new check fails, and the former record stands", func() bool { return value(t, etcd, key) == "" })
	p.signal(syscall.SIGTERM)
	p.wait(10 * time.Second)

	c, p = registered()
	c.write(format, a, 3, "http: \"http://"+mute(t)+"/\"")
	reloaded(t, p.admin)
	p.signal(syscall.SIGTERM)
	if code := p.wait(10 * time.Second); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	if v := value(t, etcd, key); v != "" {
		t.Errorf("the process has ended, and etcd still has %q", v)
	}
}

// Nor does another etcd.prefix touch what has a prefix or a key of its own.
func TestAnotherPrefixIsTheSameEtcd(t *testing.T) {
	endpoint, etcd := startEtcd(t)
	a, _ := echo(t)
	b, _ := echo(t)
	put(t, etcd, "v1/orders/a", a)
	put(t, etcd, "two/web/b", b)
	const format = "etcd: {endpoints: [%q], prefix: %s}\nservices:\n  orders: {listen: %q, prefix: v1/orders/}\n  web: {listen: %q}\nregister:\n  billing: {address: %q, key: reg/b}\n"
	local, web := freeAddress(t), freeAddress(t)
	c := newConfigured(t, format, endpoint, "one/", local, web, a)
	p := runPortside(t, "", "-c", c.name)
	eventually(t, "never registered", func() bool {
		return p.registrations()[0].State == "registered" && len(p.service("orders").Backends) == 1
	})
	since := p.registrations()[0].Since
	was, err := etcd.Get(t.Context(), "reg/b")
	if err != nil {
		t.Fatal(err)
	}
	c.write(format, endpoint, "two/", local, web, a)
	reloaded(t, p.admin)
	eventually(t, "what is under the new prefix is not served", func() bool { got, err := who(web); return err == nil && got == b })
	time.Sleep(time.Second)
	is, err := etcd.Get(t.Context(), "reg/b")
	if err != nil {
		t.Fatal(err)
	}
	if is.Kvs[0].ModRevision != was.Kvs[0].ModRevision || !p.registrations()[0].Since.Equal(since) {
		t.Errorf("a registration that has not changed was made again, under lease %x instead of %x", is.Kvs[0].Lease, was.Kvs[0].Lease)
	}
	if n := strings.Count(p.out.String(), "etcd: synced prefix=v1/orders/"); n != 1 {
		t.Errorf("a service that has not changed was synced %d times, want once", n)
	}
}

// An etcd that is mistyped in a reload is no reason to leave the one that is there.
func TestAMistypedEtcdLeavesTheRegistrationWhereItIs(t *testing.T) {
	endpoint, etcd := startEtcd(t)
	a, _ := echo(t)
	key := "service/billing/" + a
	const format = "etcd: {endpoints: [%q]}\nregister:\n  billing: {address: %q, ttl: 2s}\n"
	c := newConfigured(t, format, endpoint, a)
	p := runPortside(t, "", "-c", c.name)
	eventually(t, "never registered", func() bool { return value(t, etcd, key) != "" })
	c.write(format, "http://"+refusing(t), a)
	reloaded(t, p.admin)
	for end := time.Now().Add(8 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if value(t, etcd, key) == "" {
			t.Fatal("the registration is gone from the etcd that is there")
		}
	}
	c.write(format, endpoint, a)
	reloaded(t, p.admin)
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if value(t, etcd, key) == "" {
			t.Fatal("the registration is gone once the mistake is corrected")
		}
	}
	p.signal(syscall.SIGTERM)
	if code := p.wait(15 * time.Second); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	if v := value(t, etcd, key); v != "" {
		t.Errorf("the process has ended, and etcd still has %q", v)
	}
}

// Nor does a next etcd that refuses keep the process from ending.
func TestTheProcessEndsThoughTheNextEtcdRefuses(t *testing.T) {
	endpoint, etcd := startEtcd(t)
	refuses, admin := startEtcd(t)
	for _, done := range []func() error{
		func() error { _, err := admin.UserAdd(t.Context(), "root", "x"); return err },
		func() error { _, err := admin.UserGrantRole(t.Context(), "root", "root"); return err },
		func() error { _, err := admin.UserAdd(t.Context(), "app", "x"); return err },
		func() error { _, err := admin.AuthEnable(t.Context()); return err },
	} {
		if err := done(); err != nil {
			t.Fatal(err)
		}
	}
	a, _ := echo(t)
	key := "service/billing/" + a
	const format = "etcd: {endpoints: [%q]%s}\nregister:\n  billing: {address: %q, ttl: 2s}\n"
	c := newConfigured(t, format, endpoint, "", a)
	p := runPortside(t, "", "-c", c.name)
	eventually(t, "never registered", func() bool { return value(t, etcd, key) != "" })
	c.write(format, refuses, ", username: app, password: x", a)
	reloaded(t, p.admin)
	time.Sleep(time.Second)
	p.signal(syscall.SIGTERM)
	if code := p.wait(20 * time.Second); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	if v := value(t, etcd, key); v != "" {
		t.Errorf("the process has ended, and etcd still has %q", v)
	}
}

// What a reload takes out stays out, whatever became of the reload before.
func TestARegistrationTakenOutStaysOut(t *testing.T) {
	endpoint, etcd := startEtcd(t)
	a, stop := echo(t)
	key := "service/billing/" + a
	const format = "etcd: {endpoints: [%q]}\nservices: {web: {listen: %q}}\n"
	const register = "register:\n  billing: {address: %q, ttl: 2s, check: {tcp: {}, interval: 100ms, timeout: 100ms}}\n"
	local := freeAddress(t)
	c := newConfigured(t, format+register, endpoint, local, a)
	p := runPortside(t, "", "-c", c.name)
	eventually(t, "never registered", func() bool { return value(t, etcd, key) != "" })
	stop()
	eventually(t, "still registered", func() bool { return value(t, etcd, key) == "" })
	c.write(format+register, "http://"+refusing(t), local, a)
	reloaded(t, p.admin)
	time.Sleep(500 * time.Millisecond)
	c.write(format, endpoint, local)
	reloaded(t, p.admin)
	time.Sleep(500 * time.Millisecond)
	ln, err := net.Listen("tcp", a)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if v := value(t, etcd, key); v != "" {
			t.Fatalf("the configuration registers nothing, and etcd has %q", v)
		}
	}
	p.signal(syscall.SIGTERM)
	if code := p.wait(15 * time.Second); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// mute is the address of a server that never says a word.
func mute(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln.Addr().String()
}

// Who leaves by a reload has left, even if the process ends meanwhile.
func TestARegistrationTakenOutJustBeforeTheEndHasLeft(t *testing.T) {
	endpoint, etcd := startEtcd(t)
	a, _ := echo(t)
	local := freeAddress(t)
	const service = "services:\n  web: {listen: %q, endpoints: [%q]}\n"
	c := newConfigured(t, service+"register:\n  billing: {address: %q}\n", local, a, a)
	p := runPortside(t, endpoint, "-c", c.name)
	eventually(t, "never registered", func() bool { return value(t, etcd, "service/billing/"+a) != "" })
	c.write(service, local, a)
	reloaded(t, p.admin)
	p.signal(syscall.SIGTERM)
	if code := p.wait(10 * time.Second); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	if v := value(t, etcd, "service/billing/"+a); v != "" {
		t.Errorf("the process has ended, and etcd still has %q", v)
	}
}

// A command waits for the services that there are, not for those that there were.
func TestCommandStartsThoughAReloadRemovedWhatItWaitedFor(t *testing.T) {
	a, _ := echo(t)
	local, local2 := freeAddress(t), freeAddress(t)
	told := filepath.Join(t.TempDir(), "told")
	c := newConfigured(t, "etcd: {endpoints: [%q]}\nservices:\n  orders: {listen: %q}\n", "http://"+refusing(t), local)
	p := runPortside(t, "", "-c", c.name, "--", "sh", "-c", "touch "+told+"; sleep 60")
	eventually(t, "it does not serve", func() bool { return len(p.service("orders").Name) > 0 })
	c.write("services:\n  ledger: {listen: %q, endpoints: [%q]}\n", local2, a)
	reloaded(t, p.admin)
	eventually(t, "the command does not start", func() bool { _, err := os.Stat(told); return err == nil })
}

// One port on another address cannot be taken while the former one is served.
func TestAPortThatOneOfOursHasIsSaid(t *testing.T) {
	a, _ := echo(t)
	local := freeAddress(t)
	_, port, _ := net.SplitHostPort(local)
	const format = "services:\n  %s: {listen: %q, endpoints: [%q]}\n"
	c := newConfigured(t, format, "orders", local, a)
	p := runPortside(t, "", "-c", c.name)
	for name, want := range map[string]string{
		"orders": "listen: " + local + " cannot become 0.0.0.0:" + port + " without a restart",
		"ledger": "by service orders until it listens elsewhere",
	} {
		c.write(format, name, "0.0.0.0:"+port, a)
		if code, body := askReload(t, p.admin); code != http.StatusUnprocessableEntity || !strings.Contains(body, want) {
			t.Errorf("a reload answers %d %s, want it to say who has the port: %s", code, body, want)
		}
	}
	if got, err := who(local); got != a || err != nil {
		t.Errorf("the service answers %q, %v after a reload that was refused", got, err)
	}
}

// A service that moves to another port takes along what was drained by hand.
func TestDrainedByHandOutlivesAnotherPort(t *testing.T) {
	a, _ := echo(t)
	b, _ := echo(t)
	const format = "services:\n  orders: {listen: %q, endpoints: [%q, %q]}\n"
	c := newConfigured(t, format, freeAddress(t), a, b)
	p := runPortside(t, "", "-c", c.name)
	eventually(t, "not all are there", func() bool { return len(p.service("orders").Backends) == 2 })
	resp, err := http.Post("http://"+p.admin+"/api/v1/services/orders/backends/"+a+"/drain", "", nil)
	if err != nil || resp.StatusCode >= 300 {
		t.Fatal(resp, err)
	}
	_ = resp.Body.Close()
	c.write(format, freeAddress(t), a, b)
	reloaded(t, p.admin)
	eventually(t, "it is no longer drained", func() bool {
		for _, x := range p.service("orders").Backends {
			if x.Address == a {
				return x.State == "draining"
			}
		}
		return false
	})
}

// A server that moves to another address is at one of the two all the while, and is not
// said to be leaving while it is at neither.
func TestARegistrationMovesWithoutAGap(t *testing.T) {
	endpoint, etcd := startEtcd(t)
	a, _ := echo(t)
	b, _ := echo(t)
	const format = "register:\n  billing: {address: %q, check: {tcp: {}, interval: 200ms, timeout: 200ms}}\n"
	c := newConfigured(t, format, a)
	p := runPortside(t, endpoint, "-c", c.name)
	eventually(t, "never registered", func() bool { return value(t, etcd, "service/billing/"+a) != "" })
	events := etcd.Watch(t.Context(), "service/billing/", clientv3.WithPrefix())
	c.write(format, b)
	reloaded(t, p.admin)
	there := map[string]bool{"service/billing/" + a: true}
	for settled := time.After(3 * time.Second); ; {
		select {
		case r := <-events:
			for _, e := range r.Events {
				there[string(e.Kv.Key)] = e.Type == clientv3.EventTypePut && !strings.Contains(string(e.Kv.Value), "draining")
				if !there["service/billing/"+a] && !there["service/billing/"+b] {
					t.Errorf("it is nowhere after %s of %s %q", e.Type, e.Kv.Key, e.Kv.Value)
				}
			}
			continue
		case <-settled:
		}
		break
	}
	if there["service/billing/"+a] || !there["service/billing/"+b] {
		t.Errorf("in the end there are %v, want %s", there, b)
	}
}

// gone are the moments, in a watch of two seconds from now on, at which a key was deleted
// or marked as leaving.
func gone(t *testing.T, etcd *clientv3.Client, key string, since int64, opts ...clientv3.OpOption) (all []string) {
	t.Helper()
	events := etcd.Watch(t.Context(), key, append(opts, clientv3.WithRev(since+1))...)
	for settled := time.After(2 * time.Second); ; {
		select {
		case r := <-events:
			for _, e := range r.Events {
				if e.Type == clientv3.EventTypeDelete || strings.Contains(string(e.Kv.Value), "draining") {
					all = append(all, fmt.Sprintf("%s %s %q", e.Type, e.Kv.Key, e.Kv.Value))
				}
			}
		case <-settled:
			return all
		}
	}
}

func revision(t *testing.T, etcd *clientv3.Client) int64 {
	t.Helper()
	r, err := etcd.Get(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	return r.Header.Revision
}

// Several edits, each of which leaves the registration where it is until another stands,
// do so together.
func TestEditsOfARegistrationAddUp(t *testing.T) {
	const format = "etcd: {endpoints: [%q], prefix: %s}\nregister:\n  billing: {address: %q, weight: %d, check: {tcp: {}, interval: 200ms, timeout: 200ms}}\n"
	type edit struct {
		mistyped bool
		prefix   string
		dead     bool
		weight   int
	}
	for name, edits := range map[string][]edit{
		"etcd mistyped, another weight, mistyped otherwise": {{mistyped: true, weight: 1}, {mistyped: true, weight: 2}, {mistyped: true, prefix: "other/", weight: 2}},
		"another prefix, in an etcd that is mistyped":       {{mistyped: true, prefix: "other/", weight: 1}},
		"another prefix, where the check does not pass":     {{prefix: "other/", dead: true, weight: 1}},
		"to a dead address, and back":                       {{dead: true, weight: 1}, {weight: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			endpoint, etcd := startEtcd(t)
			a, _ := echo(t)
			dead := refusing(t)
			key := "service/billing/" + a
			c := newConfigured(t, format, endpoint, "service/", a, 1)
			p := runPortside(t, "", "-c", c.name)
			eventually(t, "never registered", func() bool { return value(t, etcd, key) != "" })
			since := revision(t, etcd)
			for _, e := range edits {
				url, prefix, address := endpoint, "service/", a
				if e.mistyped {
					url = "http://" + refusing(t)
				}
				if e.prefix != "" {
					prefix = e.prefix
				}
				if e.dead {
					address = dead
				}
				c.write(format, url, prefix, address, e.weight)
				reloaded(t, p.admin)
				time.Sleep(500 * time.Millisecond)
			}
			if all := gone(t, etcd, key, since); len(all) > 0 {
				t.Errorf("%s: %s\n%s", key, all, p.out.String())
			}
			if last := edits[len(edits)-1]; !last.dead && !last.mistyped {
				eventually(t, "it is not said to be registered", func() bool { return p.registrations()[0].State == "registered" })
			}
		})
	}
}

// The next reload may come before the goroutine that has a registration leave.
func TestWhoIsToLeaveCanBeRecalledAtOnce(t *testing.T) {
	p, r := &process{hurried: t.Context()}, &registration{}
	p.leaveToHeir(r, time.Minute)
	if !r.recall() {
		t.Error("a registration that a reload has leave cannot be recalled by the next one: its key would go and come again")
	}
}

// A registration that gets another's key stands when its own record is there, not while
// the other's still is.
func TestARegistrationWithAnothersKeyStandsByItself(t *testing.T) {
	endpoint, etcd := startEtcd(t)
	x, _ := echo(t)
	y, _ := echo(t)
	dead := refusing(t)
	const check = "check: {tcp: {}, interval: 200ms, timeout: 200ms}"
	c := newConfigured(t, "register:\n  b: {address: %q, key: reg/x, %s}\n  c: {address: %q, key: reg/y, %s}\n", x, check, y, check)
	p := runPortside(t, endpoint, "-c", c.name)
	eventually(t, "never registered", func() bool { return value(t, etcd, "reg/x") != "" && value(t, etcd, "reg/y") != "" })
	since := revision(t, etcd)
	c.write("register:\n  c: {address: %q, key: reg/x, %s}\n", dead, check)
	reloaded(t, p.admin)
	if all := gone(t, etcd, "reg/y", since); len(all) > 0 {
		t.Errorf("reg/y is gone before c stands anywhere else: %s\n%s", all, p.out.String())
	}
}
