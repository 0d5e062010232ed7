package etcd

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// hungCluster is a cluster, one of whose members can be made to hang, and an operator
// who does not notice.
func hungCluster(t *testing.T) (c *cluster, op operator, hang func()) {
	t.Helper()
	c = startCluster(t)
	lead := c.leader(newOperator(t, configOf(c.url(0), c.url(1), c.url(2))))
	other := c.members[(lead+1)%3]
	return c, operatorOn(t, c.url(lead)), func() {
		other.freeze()
		t.Cleanup(other.thaw)
	}
}

// A member that hangs, without its connections ending, costs no registration: gRPC
// finds it out after 13 s, when a lease that was renewed there alone is long gone.
func TestAHungMemberCostsNoRegistration(t *testing.T) {
	t.Parallel()
	c, op, hang := hungCluster(t)
	keepers := map[string]*Keeper{}
	for i := range 9 { // each with a connection of its own to one of three
		cfg := quickly(c.url(0), c.url(1), c.url(2))
		cfg.Liveness = 0
		r := registration()
		r.Key, r.TTL = fmt.Sprintf("service/x/%d", i), 4*time.Second
		keepers[r.Key] = keep(t, run(t, cfg), r)
	}
	for _, k := range keepers {
		stands(t, k, Registered)
	}
	hang()
	for until := time.Now().Add(15 * time.Second); time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
		for key, k := range keepers {
			if value, _ := op.get(key); value == "" {
				t.Fatalf("%s is gone %s before the end, and said to be %s", key, time.Until(until), k.Status().State)
			}
		}
	}
	for key, k := range keepers {
		if s := k.Status(); s.Losses != 0 || s.State != Registered {
			t.Errorf("%s is %s (%s), and was lost %d times", key, s.State, s.Reason, s.Losses)
		}
	}
}

// Nor does it keep anybody from leaving in the time there is for that.
func TestAHungMemberKeepsNobodyFromLeaving(t *testing.T) {
	t.Parallel()
	c, op, hang := hungCluster(t)
	var keepers []*Keeper
	for i := range 8 {
		cfg := quickly(c.url(0), c.url(1), c.url(2))
		cfg.Liveness = 0
		r := registration()
		r.Key, r.TTL, r.Draining = fmt.Sprintf("service/x/%d", i), 10*time.Second, "draining"
		keepers = append(keepers, keep(t, run(t, cfg), r))
	}
	for _, k := range keepers {
		stands(t, k, Registered)
	}
	hang()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	left := make(chan error)
	for _, k := range keepers {
		go func() {
			marking, cancel := context.WithTimeout(ctx, 2*time.Second)
			defer cancel()
			_ = k.Leave(marking)
			left <- k.Remove(ctx)
		}()
	}
	for range keepers {
		if err := <-left; err != nil {
			t.Errorf("could not leave: %v", err)
		}
	}
	for i := range keepers {
		op.inEtcd(time.Second, fmt.Sprintf("service/x/%d", i), "")
	}
}
