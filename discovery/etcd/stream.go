package etcd

import (
	"context"
	"math"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
)

// A stream is one gRPC watch stream that carries every watch of a Client. When
// it ends, every watch on it ends, and nothing resumes by itself.
//
// That is why etcd's own watcher is not used: it reopens a broken stream without
// a word and resumes at the next revision. If etcd was restored from a backup
// meanwhile, and written to until its revision caught up, the resumed watch would
// never tell the difference. Here a broken stream leads to a list. Besides, the
// reason why a stream broke is known, nothing spins while etcd is down
// (etcd-io/etcd#9578), and a token that has expired costs a new stream instead of
// a watch that cannot be made (#12385).
type stream struct {
	rpc      pb.Watch_WatchClient
	ctx      context.Context
	cancel   context.CancelCauseFunc
	liveness time.Duration
	first    func() // called once, at the first response

	post chan struct{} // there is something in outbox

	mu       sync.Mutex
	outbox   []*pb.WatchRequest
	creating []*watch         // to be created, in order
	sent     int              // how many of creating, the first ones, etcd was asked for
	moved    time.Time        // when creating last moved; meaningless while sent is 0
	window   int              // how many may be
	held     time.Time        // until then none is asked for, a proof is awaited; zero: not
	number   int64            // of the last watch
	named    bool             // whoever confirms a watch says of which cluster it is
	open     map[int64]*watch // created, by ID
	err      error            // why the stream has ended; nil while it lives
	heard    time.Time        // when the last response came
	asked    time.Time        // when the oldest progress request without an answer was sent; zero: none
	answers  bool             // etcd has answered a progress request
	spoke    bool             // there has been a response
}

// openStream opens a stream on conn. It fails at once, and says why, when the
// connection is down.
func openStream(ctx context.Context, conn *grpc.ClientConn, liveness time.Duration) (*stream, error) {
	// Without WithRequireLeader a member that is cut off from its peers would keep the
	// stream open and say nothing for ever.
	ctx, cancel := context.WithCancelCause(clientv3.WithRequireLeader(ctx))
	late := time.AfterFunc(dialTimeout, func() { cancel(errSilent) })
	rpc, err := pb.NewWatchClient(conn).Watch(ctx, grpc.MaxCallRecvMsgSize(math.MaxInt32))
	if err == nil && !late.Stop() {
		err = errSilent
	}
	if err != nil {
		cancel(err)
		return nil, err
	}
	return &stream{
		rpc: rpc, ctx: ctx, cancel: cancel, liveness: liveness, first: func() {}, window: 1, number: firstNumber,
		post:  make(chan struct{}, 1),
		open:  map[int64]*watch{},
		heard: time.Now(),
	}, nil
}

// run carries the watches until the stream ends, and returns why it did.
func (s *stream) run() error {
	var sender sync.WaitGroup
	sender.Go(s.send)
	err := s.receive()
	if why := context.Cause(s.ctx); why != nil {
		err = why
	}
	s.cancel(err)
	sender.Wait()
	s.end(err)
	return err
}

// last is when the last response came on s, if any did.
func (s *stream) last() (at time.Time, spoke bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.heard, s.spoke
}

func (s *stream) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
	for _, w := range s.creating {
		w.end(err)
	}
	for _, w := range s.open {
		w.end(err)
	}
	s.creating, s.open = nil, nil
}

// watch asks for the events of [key, end) from revision on. On a stream that
// has ended the watch has ended too.
func (s *stream) watch(key, end string, revision int64) *watch {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.number++
	w := &watch{stream: s, ready: make(chan struct{}, 1), id: s.number, create: &pb.WatchRequest{
		RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: &pb.WatchCreateRequest{
			Key: []byte(key), RangeEnd: []byte(end), StartRevision: revision,
			ProgressNotify: true, Fragment: true,
		}},
	}}
	if s.err != nil {
		w.end(s.err)
		return w
	}
	s.creating = append(s.creating, w)
	s.create()
	return w
}

// firstNumber is where the numbers of our watches begin, above those that who does not go
// by ours gives them. Kine does not answer at all who sends one: nothing that does not name
// its cluster, as etcd does from the first watch on, is sent any.
const firstNumber = 1 << 32

// createsAtOnce is how many watches may be under way to be created on a stream.
const createsAtOnce = 64

// create asks for the next watches. One after another would take thousands of sources a
// round trip each.
func (s *stream) create() {
	if !s.held.IsZero() {
		return
	}
	for ; s.sent < min(len(s.creating), s.window); s.sent++ {
		if s.sent == 0 {
			s.moved = time.Now()
		}
		w := s.creating[s.sent]
		if s.named {
			w.create.GetCreateRequest().WatchId = w.id
		}
		s.enqueue(w.create)
	}
}

// since is when w was created. Until then, now: it waits for others, or for an answer
// that beat sees to.
func (s *stream) since(w *watch) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w.stands.IsZero() {
		return time.Now()
	}
	return w.stands
}

// drop ends a watch that its holder no longer wants.
func (s *stream) drop(w *watch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.dropped = true
	for i, c := range s.creating {
		if c == w && i >= s.sent { // of those that were asked for an answer will come
			s.creating = append(s.creating[:i], s.creating[i+1:]...)
			return
		}
	}
	if s.open[w.id] == w {
		delete(s.open, w.id)
		s.enqueue(cancelRequest(w.id))
	}
}

func cancelRequest(id int64) *pb.WatchRequest {
	return &pb.WatchRequest{RequestUnion: &pb.WatchRequest_CancelRequest{CancelRequest: &pb.WatchCancelRequest{WatchId: id}}}
}

func (s *stream) enqueue(r *pb.WatchRequest) {
	s.outbox = append(s.outbox, r)
	select {
	case s.post <- struct{}{}:
	default:
	}
}

// send writes requests and, four times in each liveness, asks for progress. The answer
// proves that the stream is alive, and says up to which revision every watch on it has
// been told everything.
func (s *stream) send() {
	pulse := time.NewTicker(s.liveness / 4)
	defer pulse.Stop()
	again := time.NewTimer(s.liveness)
	defer again.Stop()
	progress := &pb.WatchRequest{RequestUnion: &pb.WatchRequest_ProgressRequest{ProgressRequest: &pb.WatchProgressRequest{}}}
	for {
		var requests []*pb.WatchRequest
		select {
		case <-s.ctx.Done():
			return
		case <-s.post:
			requests = s.takeOutbox()
		case now := <-pulse.C:
			ask, silent := s.beat(now)
			if silent {
				s.cancel(errSilent)
				return
			}
			if ask {
				requests = []*pb.WatchRequest{progress}
				again.Reset(s.liveness / 40)
			}
		case now := <-again.C:
			if s.holds(now) {
				requests = []*pb.WatchRequest{progress}
				again.Reset(s.liveness / 40)
			}
		}
		for _, r := range requests {
			if s.rpc.Send(r) != nil {
				return // receive learns why
			}
		}
	}
}

func (s *stream) takeOutbox() []*pb.WatchRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.outbox
	s.outbox = nil
	return out
}

// beat decides whether to ask for progress now, and whether an answer has been due for too
// long. On a stream without watches etcd does not answer, so it is not asked. Through
// etcd's grpc-proxy it never answers: then silence means nothing here, and each source
// lists again when it has been without a proof for long.
func (s *stream) beat(now time.Time) (ask, silent bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.open)+len(s.creating) == 0 {
		s.heard, s.asked = now, time.Time{}
		return false, false
	}
	late := func(since time.Time) bool { return now.Sub(since) > s.liveness/10*7 }
	if owed := s.answers || len(s.creating) > 0; owed && late(s.heard) {
		return false, true
	}
	if s.sent > 0 && late(s.moved) { // whoever waits behind that watch would wait for ever
		return false, true
	}
	if s.asked.IsZero() {
		s.asked = now
	}
	if s.window > 1 {
		s.held = now.Add(s.liveness / 8)
	}
	return true, false
}

// holds reports whether no watch is to be created at now, since a proof is awaited: etcd
// passes over the question while one watch has not caught up, as each new one has not, for
// up to a tenth of a second, and says nothing. While thousands are created, none of them
// would ever be proven.
func (s *stream) holds(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held.IsZero() {
		return false
	}
	if now.Before(s.held) {
		return true
	}
	s.release()
	return false
}

// release has watches created again.
func (s *stream) release() {
	s.held = time.Time{}
	s.create()
}

// receive hands what etcd says to the watches until the stream breaks.
func (s *stream) receive() error {
	for {
		r, err := s.rpc.Recv()
		if err != nil {
			return err
		}
		if r.Canceled && tokenRefused(r.CancelReason) {
			return errToken
		}
		if !s.dispatch(r) {
			s.first()
		}
	}
}

func (s *stream) dispatch(r *pb.WatchResponse) (spokeBefore bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	spokeBefore = s.spoke
	s.heard, s.spoke = time.Now(), true
	switch {
	case r.Created:
		s.created(r)
	case isProgress(r):
		at, all := s.heard, r.WatchId == -1 // else it is etcd's own notice, every ten minutes
		if all {
			at, s.asked, s.answers = s.asked, time.Time{}, true
			s.release()
		}
		if at.IsZero() { // answered before: holds has asked more than once
			break
		}
		for id, w := range s.open {
			if all || r.WatchId == id {
				w.deliver(received{WatchResponse: r, at: at})
			}
		}
	default:
		if w := s.open[r.WatchId]; w != nil {
			if w.receive(r, s.heard) {
				delete(s.open, r.WatchId)
			}
		}
	}
	return spokeBefore
}

// created handles the answer to the first of the watches that etcd was asked for: it answers
// in order. Etcd uses our numbers; its grpc-proxy does not, and may answer out of order, so
// there only one watch is asked for at a time.
func (s *stream) created(r *pb.WatchResponse) {
	if s.sent == 0 {
		return
	}
	w := s.creating[0]
	s.creating, s.sent, s.moved = s.creating[1:], s.sent-1, s.heard
	switch {
	case r.Canceled || r.WatchId == -1:
		w.end(cancelError(r))
	case w.dropped:
		s.enqueue(cancelRequest(r.WatchId))
	default:
		s.named = r.Header.GetClusterId() != 0
		if r.WatchId == w.id {
			s.window = createsAtOnce
		}
		w.id, w.stands = r.WatchId, s.heard
		s.open[w.id] = w
		w.deliver(received{WatchResponse: r, at: s.heard})
	}
	s.create()
}

func isProgress(r *pb.WatchResponse) bool {
	return len(r.Events) == 0 && !r.Canceled && !r.Created && r.CompactRevision == 0 && !r.Fragment
}
