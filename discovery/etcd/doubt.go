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

// suspicious looks for an etcd that was restored or emptied behind a
// connection that stands. Only a confirmation may come from a member that lags
// behind the list; etcd sends nothing else before it has caught up.
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

// another reports whether cluster is not the one that was listed. Zero is none: etcd's
// grpc-proxy names none when it confirms a watch.
func (f *follower) another(cluster uint64) bool {
	return cluster != 0 && f.seen.cluster != 0 && cluster != f.seen.cluster
}

// doubt gives the watch up. The set stands, and a list decides: at once, though not for
// all sources in one moment, and later where doubts in a row have been in vain.
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
		f.vain.reset()
	}
	f.retryAt = time.Now().Add(f.vain.next())
	f.log.Debug("etcd: in doubt", "why", f.why, "err", err)
}

// doubts are the labels in Status().Resyncs, and what they stand for: of the first
// that knows an error, or of the last, for a connection that broke.
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

// noDoubts is each label, never seen: a counter begins at zero.
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

// silentAt is when a watch that has said nothing is in doubt. The list before it
// may have taken long, and so may its turn to be created: that is not its silence.
func (f *follower) silentAt() time.Time {
	since := f.seen.proven
	if asked := f.watch.stream.since(f.watch); asked.After(since) {
		since = asked
	}
	return since.Add(f.client.cfg.liveness() / 20 * 17)
}
