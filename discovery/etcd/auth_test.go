package etcd

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"portside/discovery"
)

// logBuffer is a log to be read while it is written.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// withAuth turns authentication on: root may everything, app may read s/.
func withAuth(t *testing.T, url string) operator {
	op := operatorOn(t, url)
	ctx := op.ctx()
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(op.UserAdd(ctx, "root", "r"))
	must(op.UserGrantRole(ctx, "root", "root"))
	must(op.RoleAdd(ctx, "reader"))
	must(op.RoleGrantPermission(ctx, "reader", "s/", "s0", clientv3.PermissionType(clientv3.PermRead)))
	must(op.UserAdd(ctx, "app", "secret"))
	must(op.UserGrantRole(ctx, "app", "reader"))
	must(op.AuthEnable(ctx))
	return newOperator(t, clientv3.Config{Endpoints: []string{url}, Username: "root", Password: "r"})
}

func asApp(url, password string) Config {
	cfg := quickly(url)
	cfg.Username, cfg.Password = "app", password
	return cfg
}

func (v *view) reason(parts ...string) {
	v.Helper()
	v.within(15*time.Second, func() string {
		st := v.source.Status()
		for _, p := range parts {
			if !strings.Contains(st.Reason, p) {
				return fmt.Sprintf("%s, reason %q, want one with %q", st.State, st.Reason, p)
			}
		}
		return ""
	})
}

func TestAWrongPasswordIsSaidAndTriedAgain(t *testing.T) {
	t.Parallel()
	url := startEtcd(t).Endpoint()
	op := withAuth(t, url)
	op.put("s/a", "10.0.0.1:80")
	v := follow(t, run(t, asApp(url, "new")), "s")
	v.reason("etcd refuses", "authentication failed", "user app")
	op.password("new")
	v.becomes("10.0.0.1:80")
}

func (o operator) may(key string) {
	o.Helper()
	if _, err := o.RoleGrantPermission(o.ctx(), "reader", key+"/", key+"0", clientv3.PermissionType(clientv3.PermRead)); err != nil {
		o.Fatal(err)
	}
}

func (o operator) mayNot(key string) {
	o.Helper()
	if _, err := o.RoleRevokePermission(o.ctx(), "reader", key+"/", key+"0"); err != nil {
		o.Fatal(err)
	}
}

func (o operator) password(p string) {
	o.Helper()
	if _, err := o.UserChangePassword(o.ctx(), "app", p); err != nil {
		o.Fatal(err)
	}
}

func TestAPermissionThatIsGrantedLaterIsUsed(t *testing.T) {
	t.Parallel()
	p, f := startProcess(t), newFleet(t)
	op := withAuth(t, p.url)
	a, b := f.serve(), f.serve()
	op.put("t/a", a)
	op.put("s/a", b)
	var log logBuffer
	c := run(t, asApp(p.url, "secret"), func(c *Client) { c.log = slog.New(slog.NewTextHandler(&log, nil)) })
	allowed, denied := f.ride(c, "s"), f.ride(c, "t")
	allowed.converges(soon, b)
	denied.reason("etcd refuses", "permission denied for t/", "user app")
	denied.within(soon, func() string {
		if n := strings.Count(log.String(), "permission denied for t/"); n != 1 {
			return fmt.Sprintf("it is said %d times, want once:\n%s", n, log.String())
		}
		return ""
	})
	if denied.count() != 0 {
		t.Error("a refusal made an update: it proves nothing of the prefix")
	}
	op.may("t")
	denied.converges(atLast, a)
	allowed.state(discovery.Synced)
}

func TestAPermissionThatIsTakenAwayLeavesTheViewStanding(t *testing.T) {
	t.Parallel()
	p, f := startProcess(t), newFleet(t)
	net, op := newCutter(t, p.url), withAuth(t, p.url)
	stays, goes, comes := f.serve(), f.serve(), f.serve()
	op.put("s/stays", stays)
	op.put("s/goes", goes)
	v := f.ride(run(t, asApp(net.url(), "secret")), "s")
	v.converges(soon, stays, goes)
	v.keep(stays)
	op.mayNot("s")
	net.blink()
	v.state(discovery.Stale)
	v.reason("etcd refuses", "permission denied for s/", "user app")
	op.del("s/goes")
	op.put("s/comes", comes)
	v.converges(soon, stays, goes) // the last known
	op.may("s")
	v.converges(atLast, stays, comes)
	v.state(discovery.Synced)
}

// Where etcd refuses, and the watch goes on all the same, the endpoints are as good as
// ever; that the next list will not be had is to be known before it is needed.
func TestARefusalIsSaidThoughTheWatchGoesOn(t *testing.T) {
	t.Parallel()
	p, f := startProcess(t), newFleet(t)
	a, b := f.serve(), f.serve()
	cfg := quickly(p.url)
	cfg.Audit = 300 * time.Millisecond
	var log logBuffer
	c := run(t, cfg, func(c *Client) { c.log = slog.New(slog.NewTextHandler(&log, nil)) })
	operatorOn(t, p.url).put("s/a", a)
	v := f.ride(c, "s")
	v.converges(soon, a)
	op := withAuth(t, p.url)
	v.reason("etcd refuses", "user name is empty", "set etcd.username", "the watch goes on")
	v.state(discovery.Synced)
	op.put("s/b", b)
	v.converges(soon, a, b)
	if _, err := op.AuthDisable(op.ctx()); err != nil {
		t.Fatal(err)
	}
	v.within(soon, func() string {
		if st := v.source.Status(); st.Reason != "" {
			return "still says " + st.Reason
		}
		return ""
	})
}

func TestARotatedPasswordLeavesTheViewStanding(t *testing.T) {
	t.Parallel()
	p, f := startProcess(t), newFleet(t)
	net, op := newCutter(t, p.url), withAuth(t, p.url)
	stays, goes, comes := f.serve(), f.serve(), f.serve()
	op.put("s/stays", stays)
	op.put("s/goes", goes)
	v := f.ride(run(t, asApp(net.url(), "secret")), "s")
	v.converges(soon, stays, goes)
	v.keep(stays)
	op.password("other")
	net.blink()
	v.state(discovery.Stale)
	v.reason("etcd refuses", "authentication failed")
	op.put("s/comes", comes)
	op.del("s/goes")
	op.password("secret")
	v.converges(atLast, stays, comes)
}

// A token lapses when nobody shows it for its time, and with etcd's process;
// then a stream cannot be watched on, nor a prefix listed, until there is
// another.
func TestATokenThatExpiredIsReplaced(t *testing.T) {
	t.Parallel()
	p, f := startProcess(t, map[string]any{"auth-token-ttl": 1}), newFleet(t)
	net, op := newCutter(t, p.url), withAuth(t, p.url)
	stays, goes, comes, late := f.serve(), f.serve(), f.serve(), f.serve()
	op.put("s/stays", stays)
	op.put("s/goes", goes)
	c := run(t, asApp(net.url(), "secret"))
	v := f.ride(c, "s")
	v.converges(soon, stays, goes)
	v.keep(stays)
	op.may("t")
	op.put("t/late", late)
	time.Sleep(2500 * time.Millisecond)  // etcd looks once a second
	f.ride(c, "t").converges(soon, late) // a watch on the stream of the old token
	op.put("s/comes", comes)
	v.converges(soon, stays, goes, comes)
	time.Sleep(2500 * time.Millisecond)
	net.blink() // a list with the old token
	op.del("s/goes")
	v.converges(soon, stays, comes)
	p.kill() // and all tokens with it
	p.start()
	op.put("s/goes", goes)
	v.converges(soon, stays, comes, goes)
	v.state(discovery.Synced)
}
