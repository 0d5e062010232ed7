package etcd

import (
	"fmt"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"portside/discovery"
)

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
	if _, err := op.UserChangePassword(op.ctx(), "app", "new"); err != nil {
		t.Fatal(err)
	}
	v.becomes("10.0.0.1:80")
}

func TestAPermissionThatIsGrantedLaterIsUsed(t *testing.T) {
	t.Parallel()
	url := startEtcd(t).Endpoint()
	op := withAuth(t, url)
	op.put("t/a", "10.0.0.1:80")
	op.put("s/a", "10.0.0.2:80")
	c := run(t, asApp(url, "secret"))
	allowed, denied := follow(t, c, "s"), follow(t, c, "t")
	allowed.becomes("10.0.0.2:80")
	denied.reason("etcd refuses", "permission denied for t/", "user app")
	if denied.count() != 0 {
		t.Error("a refusal made an update: it proves nothing of the prefix")
	}
	if _, err := op.RoleGrantPermission(op.ctx(), "reader", "t/", "t0", clientv3.PermissionType(clientv3.PermRead)); err != nil {
		t.Fatal(err)
	}
	denied.becomes("10.0.0.1:80")
	allowed.state(discovery.Synced)
}

func TestARotatedPasswordLeavesTheViewStanding(t *testing.T) {
	t.Parallel()
	url := startEtcd(t).Endpoint()
	net := newCutter(t, url)
	op := withAuth(t, url)
	op.put("s/a", "10.0.0.1:80")
	v := follow(t, run(t, asApp(net.url(), "secret")), "s")
	v.becomes("10.0.0.1:80")
	v.keep("10.0.0.1:80")
	if _, err := op.UserChangePassword(op.ctx(), "app", "other"); err != nil {
		t.Fatal(err)
	}
	net.set(cutting)
	time.Sleep(50 * time.Millisecond)
	net.set(passing)
	v.state(discovery.Stale)
	v.reason("etcd refuses", "authentication failed")
	op.put("s/b", "10.0.0.2:80")
	if _, err := op.UserChangePassword(op.ctx(), "app", "secret"); err != nil {
		t.Fatal(err)
	}
	v.becomes("10.0.0.1:80", "10.0.0.2:80")
}
