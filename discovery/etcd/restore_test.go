package etcd

import (
	"fmt"
	"testing"

	"portside/discovery"
)

// What etcd has forgotten is gone, but those that leave together are doubted:
// they serve on until they themselves stop.

func TestAnEmptiedEtcdIsAccepted(t *testing.T) {
	t.Parallel()
	for name, token := range map[string]string{"same cluster": "etcd-cluster", "another cluster": "other"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, f := startProcess(t), newFleet(t)
			op := operatorOn(t, p.url)
			for i := range 20 {
				op.put("elsewhere", fmt.Sprint(i))
			}
			stays, goes, comes := f.serve(), f.serve(), f.serve()
			op.put("s/stays", stays)
			op.put("s/goes", goes)
			v := f.ride(run(t, quickly(p.url)), "s")
			v.converges(soon, stays, goes)
			p.kill()
			v.state(discovery.Stale)
			p.empty()
			p.config["initial-cluster-token"] = token
			p.start()
			operatorOn(t, p.url).put("s/stays", stays)
			v.becomes(stays)
			v.knows(soon, stays)
			v.state(discovery.Synced)
			operatorOn(t, p.url).put("s/comes", comes)
			v.knows(soon, stays, comes)
			v.stop(goes)
			v.converges(soon, stays, comes)
		})
	}
}

// An older snapshot, put back while we are away or behind a connection that
// looks for etcd: the revision is lower than ours.
func TestAnOlderBackupIsAccepted(t *testing.T) {
	t.Parallel()
	p, f := startProcess(t), newFleet(t)
	op := operatorOn(t, p.url)
	stays, back, lost, comes := f.serve(), f.serve(), f.serve(), f.serve()
	op.put("s/stays", stays)
	op.put("s/back", back)
	p.kill()
	restore := p.backup()
	p.start()
	op.del("s/back")
	op.put("s/lost", lost)
	for i := range 20 {
		op.put("elsewhere", fmt.Sprint(i))
	}
	v := f.ride(run(t, quickly(p.url)), "s")
	v.converges(soon, stays, lost)
	v.keep(stays)
	had := v.source.Status().Revision
	p.kill()
	restore()
	p.start()
	v.converges(soon, stays, back) // one of two is no mass
	if st := v.state(discovery.Synced); st.Revision >= had {
		t.Errorf("revision %d after the restore, %d before: this test means it to be lower", st.Revision, had)
	}
	op.put("s/comes", comes)
	v.converges(soon, stays, back, comes)
}

// The hardest: after a restore the revision has passed ours again before we are
// back, so a watch that resumed where it was would be told nothing, for ever.
func TestARestoreWhoseRevisionCaughtUpIsNoticed(t *testing.T) {
	t.Parallel()
	p, f := startProcess(t), newFleet(t)
	net, op := newCutter(t, p.url), operatorOn(t, p.url)
	stays, back, lost, twin, other, comes := f.serve(), f.serve(), f.serve(), f.serve(), f.serve(), f.serve()
	op.put("s/stays", stays)
	op.put("s/back", back)
	p.kill()
	restore := p.backup()
	p.start()
	op.put("s/lost", lost)
	op.del("s/back")
	at := op.put("s/twin", twin)
	v := f.ride(run(t, quickly(net.url())), "s")
	v.converges(soon, stays, lost, twin)
	v.keep(stays)
	net.set(cutting)
	p.kill()
	restore()
	p.start()
	op.put("elsewhere", "x")
	op.put("elsewhere", "x")
	if again := op.put("s/twin", other); again != at {
		t.Fatalf("the key's revision is %d after the restore, %d before: this test means them to be equal", again, at)
	}
	for range 5 {
		op.put("elsewhere", "x")
	}
	net.set(passing)
	v.converges(soon, stays, back, other) // two go where three remain
	v.state(discovery.Synced)
	op.put("s/comes", comes)
	v.converges(soon, stays, back, other, comes)
}
