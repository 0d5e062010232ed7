package etcd

import (
	"errors"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
)

// maxWaiting bounds the events that a watch holds until they are taken. With more than that
// a list is cheaper than the queue, so the watch ends.
const maxWaiting = 100_000

// A watch is one range's events on a stream. They wait in it until they are
// taken all together: a burst is one batch.
type watch struct {
	stream  *stream
	create  *pb.WatchRequest
	ready   chan struct{} // there is something to take
	id      int64         // guarded by the stream's mutex, as are dropped and stands
	dropped bool
	stands  time.Time // when it was created; zero: not yet

	mu      sync.Mutex
	waiting []received
	events  int // in waiting
	partial []*mvccpb.Event
	err     error
}

// received is one response on a watch. At is a moment at which it was true: for an answer
// when it was asked for, for an event when it arrived.
type received struct {
	*pb.WatchResponse
	at time.Time
}

// take hands over what has arrived, and why the watch has ended if it has.
func (w *watch) take() ([]received, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := w.waiting
	w.waiting, w.events = nil, 0
	return out, w.err
}

// close ends the watch; its holder no longer wants it.
func (w *watch) close() { w.stream.drop(w) }

// receive takes a response that is for this watch alone, and reports whether
// it was its last. The parts of a fragmented response are put together: etcd
// splits large ones, yet a revision is applied whole or not at all.
func (w *watch) receive(r *pb.WatchResponse, now time.Time) (last bool) {
	if r.Canceled || r.CompactRevision != 0 {
		w.end(cancelError(r))
		return true
	}
	if r.Fragment {
		w.partial = append(w.partial, r.Events...)
		return false
	}
	events := r.Events
	if len(w.partial) > 0 {
		events, w.partial = append(w.partial, r.Events...), nil
	}
	w.deliver(received{WatchResponse: &pb.WatchResponse{Header: r.Header, WatchId: r.WatchId, Events: events}, at: now})
	return false
}

func (w *watch) deliver(s received) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return
	}
	w.events += len(s.Events)
	w.waiting = append(w.waiting, s)
	if w.events > maxWaiting {
		w.waiting, w.err = nil, errBehind
	}
	w.signal()
}

func (w *watch) end(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = err
	}
	w.signal()
}

func (w *watch) signal() {
	select {
	case w.ready <- struct{}{}:
	default:
	}
}

// cancelError is why etcd ended a watch.
func cancelError(r *pb.WatchResponse) error {
	switch {
	case r.CompactRevision != 0:
		return errCompacted
	case r.CancelReason != "":
		return errors.New(r.CancelReason)
	}
	return errEnded
}
