package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"portside/pool"
)

func states(p *portside, name string) map[pool.State]int {
	n := map[pool.State]int{}
	for _, b := range p.service(name).Backends {
		n[b.State]++
	}
	return n
}

// Twenty live backends lose their lease at once: traffic does not stop, the loss
// is loud, and those that then really die go within a probe.
func TestMassLeaseExpiry(t *testing.T) {
	endpoint, c := startEtcd(t)
	lease, err := c.Grant(t.Context(), 60)
	if err != nil {
		t.Fatal(err)
	}
	var stops []func()
	var addresses []string
	for i := range 20 {
		a, stop := echo(t)
		stops, addresses = append(stops, stop), append(addresses, a)
		if _, err := c.Put(t.Context(), fmt.Sprintf("service/orders/%d", i), a, clientv3.WithLease(lease.ID)); err != nil {
			t.Fatal(err)
		}
	}
	local := freeAddress(t)
	p := runPortside(t, endpoint, "orders="+local)
	eventually(t, "twenty backends never appeared", func() bool { return states(p, "orders")[pool.Active] == 20 })

	ctx, cancel := context.WithCancel(t.Context())
	var traffic sync.WaitGroup
	traffic.Go(func() {
		for ctx.Err() == nil {
			if _, err := who(local); err != nil {
				t.Errorf("a client failed: %v", err)
			}
			time.Sleep(5 * time.Millisecond)
		}
	})
	if _, err := c.Revoke(t.Context(), lease.ID); err != nil {
		t.Fatal(err)
	}
	eventually(t, "not twenty suspects", func() bool { return states(p, "orders")[pool.Suspect] == 20 })
	for _, b := range p.service("orders").Backends {
		if b.Reason == "" || b.Until == nil {
			t.Fatalf("a suspect without a reason or an end: %+v", b)
		}
	}
	if out := p.out.String(); strings.Count(out, "the registry has dropped most of the backends at once") != 1 || !strings.Contains(out, "listed=0 of=20") {
		t.Errorf("want one line before the others that says what has happened:\n%s", out)
	}
	time.Sleep(2500 * time.Millisecond)
	if n := states(p, "orders")[pool.Suspect]; n != 20 {
		t.Fatalf("%d suspects after two probes that all passed, want 20", n)
	}
	for _, stop := range stops[:10] {
		stop()
	}
	began := time.Now()
	eventually(t, "the dead ten stay", func() bool { return states(p, "orders")[pool.Suspect] == 10 })
	t.Logf("ten dead suspects gone %s after they died", time.Since(began).Round(time.Millisecond))
	for i, a := range addresses[10:] {
		put(t, c, fmt.Sprintf("service/orders/again-%d", i), a)
	}
	eventually(t, "those that register again are not active", func() bool { return states(p, "orders")[pool.Active] == 10 })
	cancel()
	traffic.Wait()
}
