package etcd

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

const ours = "service/billing/10.0.0.5:8080"

// registration is one with the shortest lease there is.
func registration() Registration {
	return Registration{Name: "billing", Key: ours, Value: "10.0.0.5:8080", TTL: time.Second}
}

// keep runs a keeper until the test ends.
func keep(t testing.TB, c *Client, reg Registration) *Keeper {
	t.Helper()
	k := c.Keeper(reg)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- k.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil && !errors.Is(err, context.Canceled) {
				t.Errorf("keeper's Run returned %v", err)
			}
		case <-time.After(10 * time.Second):
			t.Error("keeper's Run did not return within 10 s of its context's end")
		}
	})
	return k
}

func stands(t testing.TB, k *Keeper, want KeeperState) KeeperStatus {
	t.Helper()
	var s KeeperStatus
	within(t, 15*time.Second, func() string {
		if s = k.Status(); s.State != want {
			return fmt.Sprintf("the registration is %s (%s), want %s", s.State, s.Reason, want)
		}
		return ""
	})
	return s
}

// inEtcd waits until key holds value under a lease.
func (o operator) inEtcd(d time.Duration, key, value string) {
	o.Helper()
	within(o, d, func() string {
		got, lease := o.get(key)
		if got != value || value != "" && lease == 0 {
			return fmt.Sprintf("%s holds %q under lease %x, want %q under one", key, got, lease, value)
		}
		return ""
	})
}

func TestADeletedKeyIsRegisteredAgain(t *testing.T) {
	url := startEtcd(t).Endpoint()
	op := operatorOn(t, url)
	k := keep(t, run(t, quickly(url)), registration())
	stands(t, k, Registered)
	op.del(ours)
	op.inEtcd(4*time.Second, ours, "10.0.0.5:8080")
	if s := stands(t, k, Registered); s.Losses != 1 {
		t.Errorf("%d losses counted, want 1: an operator must see that somebody deletes keys", s.Losses)
	}
}

func TestAnOverwrittenKeyIsRegisteredAgain(t *testing.T) {
	url := startEtcd(t).Endpoint()
	op := operatorOn(t, url)
	k := keep(t, run(t, quickly(url)), registration())
	stands(t, k, Registered)
	op.put(ours, "by hand")
	op.inEtcd(4*time.Second, ours, "10.0.0.5:8080")
}

func TestARevokedLeaseIsReplaced(t *testing.T) {
	url := startEtcd(t).Endpoint()
	op := operatorOn(t, url)
	k := keep(t, run(t, quickly(url)), registration())
	was := stands(t, k, Registered)
	if _, err := op.Revoke(op.ctx(), clientv3.LeaseID(was.LeaseID)); err != nil {
		t.Fatal(err)
	}
	op.inEtcd(4*time.Second, ours, "10.0.0.5:8080")
	within(t, time.Second, func() string {
		if s := k.Status(); s.LeaseID == was.LeaseID || s.State != Registered {
			return fmt.Sprintf("still %s under lease %x", s.State, s.LeaseID)
		}
		return ""
	})
}

func TestARegistrationOutlivesItsLease(t *testing.T) {
	t.Parallel()
	url := startEtcd(t).Endpoint()
	op := operatorOn(t, url)
	k := keep(t, run(t, quickly(url)), registration())
	s := stands(t, k, Registered)
	time.Sleep(s.TTL + s.TTL/2)
	if v, lease := op.get(ours); v == "" || int64(lease) != s.LeaseID {
		t.Errorf("after one and a half lease times the key holds %q under lease %x, want it under %x still", v, lease, s.LeaseID)
	}
}

func TestTwoHoldersOfOneKeyDoNotFight(t *testing.T) {
	t.Parallel()
	url := startEtcd(t).Endpoint()
	op := operatorOn(t, url)
	first := keep(t, run(t, quickly(url)), registration())
	stands(t, first, Registered)
	reg := registration()
	reg.Value = "10.0.0.5:8080 2"
	second := keep(t, run(t, quickly(url)), reg)
	stands(t, second, Registered)
	stands(t, first, Taken)
	v := follow(t, run(t, quickly(url)), "service/billing")
	v.becomes("10.0.0.5:8080")
	time.Sleep(3 * time.Second) // longer than the leases
	if n := v.count(); n != 1 {
		t.Errorf("%d updates while two holders of one key live, want 1: they flap", n)
	}
	if err := second.Remove(op.ctx()); err != nil {
		t.Fatal(err)
	}
	stands(t, first, Registered)
	op.inEtcd(4*time.Second, ours, "10.0.0.5:8080")
}

func TestLeavingMarksThenRemovesThenGivesTheLeaseBack(t *testing.T) {
	url := startEtcd(t).Endpoint()
	op := operatorOn(t, url)
	reg := registration()
	reg.Draining = "off"
	k := keep(t, run(t, quickly(url)), reg)
	stands(t, k, Registered)
	w := op.Watch(op.ctx(), ours)
	if err := k.Leave(op.ctx()); err != nil {
		t.Fatal(err)
	}
	if v, _ := op.get(ours); v != "off" {
		t.Errorf("after Leave the key holds %q, want the draining value: proxies are to stop sending", v)
	}
	if err := k.Remove(op.ctx()); err != nil {
		t.Fatal(err)
	}
	if v, _ := op.get(ours); v != "" {
		t.Errorf("after Remove the key still holds %q", v)
	}
	for _, want := range []string{"PUT off", "DELETE "} {
		e := (<-w).Events[0]
		if got := e.Type.String() + " " + string(e.Kv.Value); got != want {
			t.Errorf("etcd saw %q, want %q", got, want)
		}
	}
	stands(t, k, Left)
	within(t, 2*time.Second, func() string {
		r, err := op.Leases(op.ctx())
		if err != nil || len(r.Leases) != 0 {
			return fmt.Sprintf("leases %v, %v; want none", r, err)
		}
		return ""
	})
}

// Who was away for longer than its lease, and is told to leave before it has noticed.
func TestWhoLeavesDoesNotComeBackToSaySo(t *testing.T) {
	url := startEtcd(t).Endpoint()
	op := operatorOn(t, url)
	net := newCutter(t, url)
	reg := registration()
	reg.Draining = "off"
	k := keep(t, run(t, quickly(net.url())), reg)
	stands(t, k, Registered)
	net.set(cutting)
	op.del(ours)
	w := op.Watch(op.ctx(), ours)
	left := make(chan error, 1)
	go func() { left <- errors.Join(k.Leave(op.ctx()), k.Remove(op.ctx())) }()
	within(t, time.Second, func() string {
		if want, _ := k.wanted(); !want.draining {
			return "it was not told to leave"
		}
		return ""
	})
	net.set(passing)
	if err := <-left; err != nil {
		t.Fatal(err)
	}
	if s := stands(t, k, Left); s.Losses != 0 {
		t.Errorf("%d losses counted, want none: it was leaving", s.Losses)
	}
	op.put(ours, "the end")
	for _, e := range (<-w).Events {
		if got := string(e.Kv.Value); got != "the end" {
			t.Errorf("etcd saw %s %q, want nothing of who was gone and leaves: clients would turn to it", e.Type, got)
		}
	}
}

func TestAnothersKeyIsNeverDeleted(t *testing.T) {
	url := startEtcd(t).Endpoint()
	op := operatorOn(t, url)
	k := keep(t, run(t, quickly(url)), registration())
	stands(t, k, Registered)
	op.put(ours, "another's", clientv3.WithLease(op.lease(60)))
	stands(t, k, Taken)
	if err := k.Remove(op.ctx()); err != nil {
		t.Fatal(err)
	}
	if v, _ := op.get(ours); v != "another's" {
		t.Errorf("after we left, the other holder's key holds %q: a departure cut off somebody else", v)
	}
	if s := stands(t, k, Left); s.Reason != "the key is another holder's, and stays" {
		t.Errorf("the reason is %q, want it said that the key is still there", s.Reason)
	}
}

// There is nothing of ours to mark, whether the record could say so or not: a departure
// need not wait.
func TestLeavingATakenKeyIsDoneAtOnce(t *testing.T) {
	for name, mark := range map[string]string{"marked": "off", "without a mark": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := startEtcd(t).Endpoint()
			op := operatorOn(t, url)
			reg := registration()
			reg.Draining = mark
			k := keep(t, run(t, quickly(url)), reg)
			stands(t, k, Registered)
			op.put(ours, "another's", clientv3.WithLease(op.lease(60)))
			stands(t, k, Taken)
			reg.Value += ";v=2"
			k.Change(reg) // which cannot be written
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			if err := k.Leave(ctx); err != nil {
				t.Errorf("Leave = %v, want it done at once: nobody waits for what is another's", err)
			}
			if v, _ := op.get(ours); v != "another's" {
				t.Errorf("after we left, the other holder's key holds %q", v)
			}
		})
	}
}

// Who takes over from one that had yielded yields too, and still registers when the
// key is free.
func TestYieldedFromTheStart(t *testing.T) {
	url := startEtcd(t).Endpoint()
	op := operatorOn(t, url)
	other := run(t, quickly(url)).Keeper(Registration{Name: "billing", Key: ours, Value: "10.9.9.9:9", TTL: time.Second})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { _ = other.Run(ctx); close(ended) }()
	op.inEtcd(5*time.Second, ours, "10.9.9.9:9")
	reg := registration()
	reg.Yields = true
	k := keep(t, run(t, quickly(url)), reg)
	stands(t, k, Taken)
	op.inEtcd(0, ours, "10.9.9.9:9")
	stop()
	<-ended
	stands(t, k, Registered)
	op.inEtcd(5*time.Second, ours, reg.Value)
}

// That another is to have the key is no loss when it takes it.
func TestAKeyThatIsHandedOnIsNotLost(t *testing.T) {
	t.Parallel()
	url := startEtcd(t).Endpoint()
	reg := registration()
	reg.TTL = time.Minute
	former := keep(t, run(t, quickly(url)), reg)
	stands(t, former, Registered)
	former.HandOn()
	reg.Value += ";v=2"
	stands(t, keep(t, run(t, quickly(url)), reg), Registered)
	if s := stands(t, former, Taken); s.Losses != 0 {
		t.Errorf("%d losses, want none: it was handed on", s.Losses)
	}
}

// Who leaves while etcd is away has not left: the key is still there, and goes when etcd is
// back, or with its lease.
func TestNobodyLeavesAnEtcdThatIsAway(t *testing.T) {
	t.Parallel()
	p := startProcess(t)
	reg := registration()
	reg.TTL = time.Minute
	c := run(t, quickly(p.url))
	k := keep(t, c, reg)
	stands(t, k, Registered)
	p.kill()
	within(t, 10*time.Second, func() string {
		if l, _ := c.link(); l.stream != nil {
			return "it has not noticed that etcd is away"
		}
		return ""
	})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := k.Remove(ctx); err == nil || k.Status().State == Left {
		t.Errorf("Remove = %v and the registration is %s, while etcd has it", err, k.Status().State)
	}
	p.start()
	stands(t, k, Left)
	operatorOn(t, p.url).inEtcd(0, ours, "")
}

func TestATakenKeyIsRegisteredWhenItIsFree(t *testing.T) {
	t.Parallel()
	url := startEtcd(t).Endpoint()
	op := operatorOn(t, url)
	k := keep(t, run(t, quickly(url)), registration())
	stands(t, k, Registered)
	op.put(ours, "another's", clientv3.WithLease(op.lease(2)))
	stands(t, k, Taken)
	op.inEtcd(8*time.Second, ours, "10.0.0.5:8080") // the other's lease lapses
	stands(t, k, Registered)
}

// What is changed is written anew, under another lease if it shall last longer;
// nothing that others have under the former one is touched.
func TestAChangedRegistrationIsWrittenAnew(t *testing.T) {
	url := startEtcd(t).Endpoint()
	op := operatorOn(t, url)
	c := run(t, quickly(url))
	k := keep(t, c, registration())
	other := registration()
	other.Key = "service/billing/other"
	stands(t, keep(t, c, other), Registered)
	former := stands(t, k, Registered).LeaseID
	_, under := op.get(other.Key)
	events := op.Watch(t.Context(), "service/billing/", clientv3.WithPrefix())

	changed := registration()
	changed.Value = "10.0.0.5:8080;weight=2"
	k.Change(changed)
	op.inEtcd(4*time.Second, ours, changed.Value)
	changed.Value, changed.TTL = "10.0.0.5:8080;weight=3", 2*time.Second
	k.Change(changed)
	op.inEtcd(4*time.Second, ours, changed.Value)
	if err := k.Stands(op.ctx()); err != nil { // and knows of it
		t.Fatal(err)
	}
	s := stands(t, k, Registered)
	if s.LeaseID == former || s.TTL != 2*time.Second || s.Losses != 0 {
		t.Errorf("%+v, want another lease than %x, of 2 s, and no losses", s, former)
	}
	if _, lease := op.get(other.Key); lease != under {
		t.Errorf("the other key is under lease %x now, want %x as before", lease, under)
	}
	if err := k.Remove(op.ctx()); err != nil {
		t.Fatal(err)
	}
	var saw []string
	for len(saw) < 3 {
		for _, e := range (<-events).Events {
			saw = append(saw, fmt.Sprintf("%s %s %s", e.Type, e.Kv.Key, e.Kv.Value))
		}
	}
	if want := fmt.Sprintf("[PUT %s 10.0.0.5:8080;weight=2 PUT %s 10.0.0.5:8080;weight=3 DELETE %s ]", ours, ours, ours); fmt.Sprint(saw) != want {
		t.Errorf("etcd saw %s, want %s", saw, want)
	}
}

// A lease that nothing hangs on any more is given back.
func TestAnOutgrownLeaseIsGivenBack(t *testing.T) {
	url := startEtcd(t).Endpoint()
	op := operatorOn(t, url)
	reg := registration()
	reg.TTL = time.Minute
	k := keep(t, run(t, quickly(url)), reg)
	former := stands(t, k, Registered).LeaseID
	reg.TTL = 2 * time.Minute
	k.Change(reg)
	within(t, 5*time.Second, func() string {
		left, err := op.TimeToLive(op.ctx(), clientv3.LeaseID(former))
		if err != nil || left.TTL > 0 {
			return fmt.Sprintf("the former lease has %v left (%v), want none", left, err)
		}
		return ""
	})
	op.inEtcd(0, ours, reg.Value)
}

// Who comes while a former holder of ours is leaving keeps the key: both have it
// under one lease.
func TestWhoLeavesTakesNoSuccessorAlong(t *testing.T) {
	url := startEtcd(t).Endpoint()
	op := operatorOn(t, url)
	c := run(t, quickly(url))
	reg := registration()
	reg.Draining = "10.0.0.5:8080;draining"
	other := registration()
	other.Key = "service/billing/other" // the lease outlives who leaves
	stands(t, keep(t, c, other), Registered)
	former := keep(t, c, reg)
	stands(t, former, Registered)
	if err := former.Leave(op.ctx()); err != nil {
		t.Fatal(err)
	}
	next := keep(t, c, reg)
	time.Sleep(200 * time.Millisecond)
	if err := former.Remove(op.ctx()); err != nil {
		t.Fatal(err)
	}
	if s := stands(t, next, Registered); s.Losses != 0 {
		t.Errorf("%d losses, want none", s.Losses)
	}
	time.Sleep(200 * time.Millisecond)
	op.inEtcd(0, ours, reg.Value)
	if s := stands(t, next, Registered); s.Losses != 0 {
		t.Errorf("%d losses, want none: the former one has taken the key along", s.Losses)
	}
}

func TestAKeyIsInEtcdOnlyWhilePresent(t *testing.T) {
	url := startEtcd(t).Endpoint()
	op := operatorOn(t, url)
	k := run(t, quickly(url)).Keeper(registration())
	k.Present(false)
	done := make(chan error, 1)
	go func() { done <- k.Run(t.Context()) }()
	time.Sleep(200 * time.Millisecond)
	op.inEtcd(0, ours, "")
	for range 3 {
		k.Present(true)
		op.inEtcd(4*time.Second, ours, "10.0.0.5:8080")
		k.Withhold("its check fails")
		op.inEtcd(4*time.Second, ours, "")
	}
	if s := stands(t, k, Waiting); s.Losses != 0 || s.Reason != "its check fails" {
		t.Errorf("%d losses, %q; want 0, since what was taken out on purpose is no loss, and why it was", s.Losses, s.Reason)
	}
	if err := k.Remove(op.ctx()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Errorf("Run returned %v after Remove, want nil", err)
	}
}

func TestARegistrationIsMadeWhenEtcdAppears(t *testing.T) {
	t.Parallel()
	p := startProcess(t)
	p.kill()
	k := keep(t, run(t, quickly(p.url)), registration())
	stands(t, k, Retrying)
	p.start()
	stands(t, k, Registered)
}

func TestARegistrationSurvives(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func(*process, KeeperStatus){
		"etcd killed for two lease times": func(p *process, s KeeperStatus) {
			p.kill()
			time.Sleep(2 * s.TTL)
			p.start()
		},
		"data directory emptied": func(p *process, _ KeeperStatus) {
			p.kill()
			p.empty()
			p.start()
		},
		"member frozen beyond the lease": func(p *process, s KeeperStatus) {
			p.freeze()
			time.Sleep(s.TTL + s.TTL/2)
			p.thaw()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := startProcess(t)
			k := keep(t, run(t, quickly(p.url)), registration())
			s := stands(t, k, Registered)
			fault(p, s)
			op := operatorOn(t, p.url)
			op.inEtcd(s.TTL+3*time.Second, ours, "10.0.0.5:8080")
			stands(t, k, Registered)
			time.Sleep(s.TTL + time.Second) // what was due to lapse has lapsed
			op.inEtcd(3*time.Second, ours, "10.0.0.5:8080")
		})
	}
}

func TestWhatIsToBeDoneAboutAKey(t *testing.T) {
	mine := map[int64]bool{7: true, 8: true}
	for _, c := range []struct {
		name     string
		found    found
		value    string
		newcomer bool
		want     action
	}{
		{"nothing there", found{}, "v", false, write},
		{"as it shall be", found{modified: 1, lease: 8, value: "v"}, "v", false, leaveAlone},
		{"under a former lease of ours", found{modified: 1, lease: 7, value: "v"}, "v", false, write},
		{"another value", found{modified: 1, lease: 8, value: "w"}, "v", false, write},
		{"written by hand", found{modified: 1, value: "v"}, "v", false, write},
		{"another's", found{modified: 1, lease: 9, value: "v"}, "v", false, yield},
		{"another's, and we are new", found{modified: 1, lease: 9, value: "v"}, "v", true, write},
		{"ours, and we go", found{modified: 1, lease: 8, value: "v"}, "", false, erase},
		{"formerly ours, and we go", found{modified: 1, lease: 7, value: "v"}, "", false, erase},
		{"another's, and we go", found{modified: 1, lease: 9, value: "v"}, "", false, leaveAlone},
		{"written by hand, and we go", found{modified: 1, value: "v"}, "", false, leaveAlone},
		{"nothing there, and we go", found{}, "", false, leaveAlone},
	} {
		if got := judge(c.found, c.value, 8, mine, c.newcomer); got != c.want {
			t.Errorf("%s: action %d, want %d", c.name, got, c.want)
		}
	}
}

// Another registrar that puts its key back at once would otherwise be answered
// as fast as etcd can write.
func TestAWriterWhoAlwaysOverwritesIsNotChased(t *testing.T) {
	t.Parallel()
	url := startEtcd(t).Endpoint()
	op := operatorOn(t, url)
	k := keep(t, run(t, quickly(url)), registration())
	stands(t, k, Registered)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	writes := 0
	for r := range op.Watch(ctx, ours, clientv3.WithRev(1)) {
		for _, e := range r.Events {
			if string(e.Kv.Value) == registration().Value {
				writes++
				op.put(ours, "by hand")
			}
		}
	}
	if writes < 2 || writes > 15 {
		t.Errorf("%d writes within 2 s against one who overwrites each, want a few: more and more slowly, yet never giving up", writes)
	}
}
