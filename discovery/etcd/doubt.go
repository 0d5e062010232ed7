package etcd

import (
	"errors"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

var (
	errBackwards = errors.New("etcd's revision went backwards")
	errCluster   = errors.New("another cluster answers")
)

// suspicious returns an error if h, the header of a response, shows that etcd was restored
// or emptied behind a connection that stands. Revision is how far the set is known. Only
// the confirmation that a watch was created may come from a member that lags behind it;
// etcd sends nothing else before that member has caught up.
func (f *follower) suspicious(h *pb.ResponseHeader, revision int64, created bool) error {
	switch {
	case h == nil:
		return nil
	case f.another(h.ClusterId):
		return errCluster
	case !created && h.Revision < revision:
		return errBackwards
	}
	return nil
}

// another reports whether cluster is another one than was listed. Zero is no cluster: etcd's
// grpc-proxy sends it when it confirms a watch.
func (f *follower) another(cluster uint64) bool {
	return cluster != 0 && f.seen.cluster != 0 && cluster != f.seen.cluster
}

// doubt gives the watch up because of err. The set stands until the next list, which comes
// soon, though not for all sources in one moment, and later the more doubts in a row have
// led to lists without a difference.
func (f *follower) doubt(err error) {
	if f.watch == nil {
		return
	}
	f.watch.close()
	if f.audit != nil {
		f.audit.stop() // its list is not to hold up ours
	}
	f.watch, f.audit = nil, nil
	f.why = doubtName(err)
	f.note(func(s *seen) {
		s.err = nil
		if refused(err) {
			s.err = err
		}
	})
	if time.Since(f.watched) > f.client.cfg.liveness()/2 {
		f.fruitless.reset()
	}
	f.retryAt = time.Now().Add(f.fruitless.next())
	f.log.Debug("etcd: in doubt", "why", f.why, "err", err)
}

// doubts are the labels in Status().Resyncs, with the errors that they stand for. The first
// match counts; the last one, for a connection that broke, stands for all other errors.
var doubts = [...]struct {
	label string
	is    func(error) bool
}{
	{"compacted", is(errCompacted)},
	{"silent", is(errSilent)},
	{"behind", is(errBehind)},
	{"revision", is(errBackwards)},
	{"cluster", is(errCluster)},
	{"audit", is(errDrift)},
	{"cancelled", is(errEnded)},
	{"no_leader", leaderless},
	{"refused", refused},
	{"reconnect", is(nil)},
}

func is(target error) func(error) bool {
	return func(err error) bool { return errors.Is(err, target) }
}

// noDoubts has each label at zero, so that a counter is there before the first doubt.
func noDoubts() map[string]uint64 {
	never := map[string]uint64{}
	for _, d := range doubts {
		never[d.label] = 0
	}
	return never
}

// doubtName is the label of a doubt.
func doubtName(err error) (label string) {
	for _, d := range doubts {
		if label = d.label; d.is(err) {
			break
		}
	}
	return label
}

// silentAt is when the watch is in doubt if nothing proves the set until then. It counts from
// when etcd was asked for the watch, at the earliest: the list before it may have taken long,
// and so may its turn to be created.
func (f *follower) silentAt() time.Time {
	since := f.seen.proven
	if stands := f.watch.stream.since(f.watch); stands.After(since) {
		since = stands
	}
	return since.Add(f.client.cfg.liveness() / 20 * 17)
}
