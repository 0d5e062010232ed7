package etcd

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"portside/discovery"
)

var (
	faultsFor  = flag.Duration("faults", 10*time.Second, "how long TestRandomFaults lasts")
	faultsSeed = flag.Uint64("faults.seed", 0, "seed of TestRandomFaults; 0: a new one each time")
)

// A storm is a random schedule of changes and faults, beside a model of what
// etcd then holds.
type storm struct {
	*testing.T
	*rand.Rand
	etcd *process
	net  *cutter
	op   operator

	servers []string // addresses that come and go
	doomed  string   // comes with a lease that is lost
	rock    string   // stays in every set, whatever happens

	model   map[string]string // key → address
	backup  func()
	then    map[string]string // the model at the backup
	traffic []*traffic
	keeper  *Keeper
	history []string
}

// TestRandomFaults runs for -faults (10 s unless said otherwise); a failure
// names the seed that repeats its schedule.
func TestRandomFaults(t *testing.T) {
	t.Parallel()
	seed := *faultsSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-faults.seed=%d", seed)
	p := startProcess(t)
	f := newFleet(t)
	s := &storm{T: t, Rand: rand.New(rand.NewPCG(seed, 1)), etcd: p, net: newCutter(t, p.url), op: operatorOn(t, p.url), model: map[string]string{}}
	for range 30 {
		s.servers = append(s.servers, f.serve())
	}
	s.doomed, s.rock = f.serve(), f.serve()
	s.standRocks()
	c := run(t, quickly(s.net.url()))
	for i := range 3 {
		s.traffic = append(s.traffic, f.drive(c, fmt.Sprintf("s%d", i), 2))
	}
	s.keeper = keep(t, c, registration())
	s.converge()
	rounds := 0
	for end := time.Now().Add(*faultsFor); time.Now().Before(end); rounds++ {
		s.history = nil
		for _, v := range s.traffic {
			v.keep(s.rock)
		}
		s.fault()
		s.change(1 + s.IntN(20))
		s.converge()
	}
	t.Logf("%d rounds", rounds)
}

func (s *storm) did(format string, args ...any) {
	s.history = append(s.history, fmt.Sprintf(format, args...))
}

func (s *storm) standRocks() {
	for i := range 3 {
		s.set(fmt.Sprintf("s%d/rock", i), s.rock)
	}
}

func (s *storm) set(key, address string, opts ...clientv3.OpOption) {
	s.op.put(key, address, opts...)
	s.model[key] = address
}

func (s *storm) key() string { return fmt.Sprintf("s%d/%d", s.IntN(3), s.IntN(12)) }

// change makes n changes that etcd confirms.
func (s *storm) change(n int) {
	s.did("%d changes", n)
	for range n {
		switch key := s.key(); s.IntN(5) {
		case 0, 1, 2:
			s.set(key, s.servers[s.IntN(len(s.servers))])
		case 3:
			s.op.del(key)
			delete(s.model, key)
		case 4: // the record under a lease that is lost
			lease := s.op.lease(60)
			for range 3 {
				k := s.key()
				s.set(k, s.doomed, clientv3.WithLease(lease))
				delete(s.model, k)
			}
			if _, err := s.op.Revoke(s.op.ctx(), lease); err != nil {
				s.Fatal(err)
			}
		}
	}
}

// fault does one thing that etcd or the network does to people.
func (s *storm) fault() {
	pause := time.Duration(s.IntN(3000)) * time.Millisecond
	names := []string{"cut", "mute", "freeze", "kill", "restart", "compact", "unregister", "empty", "backup", "restore"}
	name := names[s.IntN(len(names))]
	s.did("%s for %v", name, pause)
	switch name {
	case "cut", "mute":
		s.net.set(map[string]cutMode{"cut": cutting, "mute": mute}[name])
		s.change(s.IntN(10))
		time.Sleep(pause)
		s.net.set(passing)
	case "freeze":
		s.etcd.freeze()
		time.Sleep(pause)
		s.etcd.thaw()
	case "kill", "restart":
		s.etcd.kill()
		if name == "kill" {
			time.Sleep(pause)
		}
		s.etcd.start()
	case "compact":
		s.net.set(cutting)
		s.change(s.IntN(10))
		r, err := s.op.Get(s.op.ctx(), "x")
		if err == nil {
			_, err = s.op.Compact(s.op.ctx(), r.Header.Revision)
		}
		if err != nil {
			s.Logf("compact: %v", err)
		}
		s.net.set(passing)
	case "unregister":
		s.op.del(ours)
	case "empty":
		s.reborn(s.etcd.empty, map[string]string{})
	case "backup":
		s.etcd.kill()
		s.backup, s.then = s.etcd.backup(), maps.Clone(s.model)
		s.etcd.start()
	case "restore":
		if s.backup != nil {
			s.reborn(s.backup, maps.Clone(s.then))
		}
	}
}

// reborn brings etcd back with other data, then goes on writing unseen until
// the revision may have passed the one before.
func (s *storm) reborn(data func(), model map[string]string) {
	for _, v := range s.traffic {
		v.unkeep() // what etcd forgot may go
	}
	s.net.set(cutting)
	s.etcd.kill()
	data()
	s.model = model
	s.etcd.start()
	s.standRocks()
	s.change(s.IntN(60))
	s.net.set(passing)
}

// converge waits until every view is the model, proven, every pool has it, and
// we are registered. What else a pool has it doubts: those still answer.
func (s *storm) converge() {
	s.Helper()
	for i, v := range s.traffic {
		want := map[string]bool{}
		for key, address := range s.model {
			if key[:3] == fmt.Sprintf("s%d/", i) {
				want[address] = true
			}
		}
		within(s, 30*time.Second, func() string {
			got, want := v.addresses(), slices.Sorted(maps.Keys(want))
			if !slices.Equal(got, want) {
				return fmt.Sprintf("source %d has %v, etcd %v, after %v", i, got, want, s.history)
			}
			if st := v.source.Status(); st.State != discovery.Synced {
				return fmt.Sprintf("source %d is %s (%s) after %v", i, st.State, st.Reason, s.history)
			}
			return ""
		})
		v.knows(soon, slices.Collect(maps.Keys(want))...)
	}
	s.op.inEtcd(10*time.Second, ours, registration().Value)
	within(s, 5*time.Second, func() string {
		if st := s.keeper.Status(); st.State != Registered {
			return fmt.Sprintf("the registration is %s (%s) after %v", st.State, st.Reason, s.history)
		}
		return ""
	})
}
