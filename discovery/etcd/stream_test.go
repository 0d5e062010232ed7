package etcd

import (
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

func bareStream() *stream {
	return &stream{
		liveness: time.Second, first: func() {}, window: 1, number: firstNumber,
		post: make(chan struct{}, 1), open: map[int64]*watch{},
	}
}

// asked is how many watches s has asked for since it was last looked.
func asked(t *testing.T, s *stream, want int, when string) (numbers []int64) {
	t.Helper()
	for _, r := range s.takeOutbox() {
		if c := r.GetCreateRequest(); c != nil {
			numbers = append(numbers, c.WatchId)
		}
	}
	if len(numbers) != want {
		t.Fatalf("%s %d watches are asked for, want %d", when, len(numbers), want)
	}
	return numbers
}

func created(number int64) *pb.WatchResponse {
	return &pb.WatchResponse{Header: &pb.ResponseHeader{ClusterId: 1}, Created: true, WatchId: number}
}

func TestWatchesAreCreatedManyAtOnce(t *testing.T) {
	s := bareStream()
	var watches []*watch
	for range 2 * createsAtOnce {
		watches = append(watches, s.watch("s/", "s0", 1))
	}
	if first := asked(t, s, 1, "before it is known who answers"); first[0] != 0 {
		t.Error("the first watch has a number, want none: kine answers nobody who sends one")
	}
	s.dispatch(created(0))
	s.dispatch(created(asked(t, s, 1, "before it is known whether etcd goes by our numbers")[0]))
	numbers := asked(t, s, createsAtOnce, "once it is known that it does")
	s.dispatch(&pb.WatchResponse{Created: true, Canceled: true, WatchId: -1, CancelReason: "permission denied"})
	if _, err := watches[2].take(); err == nil {
		t.Error("an etcd that refuses a watch is answering the oldest question, so that watch has ended; it has not")
	}
	watches[3].close()
	watches[len(watches)-1].close()
	s.dispatch(created(numbers[1]))
	if s.open[numbers[1]] != nil {
		t.Error("a watch that was given up while it was created is open, want it cancelled")
	}
	for _, number := range numbers[2:] {
		s.dispatch(created(number))
	}
	for _, number := range asked(t, s, createsAtOnce-3, "of the rest, without the one that was given up,") {
		s.dispatch(created(number))
	}
	if got, want := len(s.open), 2*createsAtOnce-3; got != want {
		t.Errorf("%d watches are open, want %d", got, want)
	}
	for _, w := range s.open {
		if batch, err := w.take(); len(batch) != 1 || batch[0].WatchId != w.id || err != nil {
			t.Fatalf("watch %d was told %v, %v, want that it was created", w.id, batch, err)
		}
	}
}

// The grpc-proxy of etcd gives watches numbers of its own, and does not answer in order.
func TestWatchesAreCreatedOneByOneWhereNumbersAreNotOurs(t *testing.T) {
	s := bareStream()
	for range 3 {
		s.watch("s/", "s0", 1)
	}
	for number := range int64(3) {
		asked(t, s, 1, "when the one before has been answered")
		s.dispatch(created(number))
	}
	asked(t, s, 0, "in the end")
	if len(s.open) != 3 {
		t.Errorf("%d watches are open, want 3", len(s.open))
	}
}

// Kine neither answers nor refuses a watch with a number, and does not answer in order.
func TestWatchesHaveNoNumbersWhereNoClusterIsNamed(t *testing.T) {
	s := bareStream()
	for range 3 {
		s.watch("s/", "s0", 1)
	}
	for range 3 {
		if n := asked(t, s, 1, "when the one before has been answered"); n[0] != 0 {
			t.Fatalf("a watch is asked for with the number %d of one who names no cluster", n[0])
		}
		s.dispatch(&pb.WatchResponse{Header: &pb.ResponseHeader{}, Created: true, WatchId: int64(len(s.open) + 1)})
	}
	if len(s.open) != 3 {
		t.Errorf("%d watches are open, want 3", len(s.open))
	}
}

// A second answer, since the question was put again, is as old as the first at the
// least: who takes it for one of the moment at which it comes does not see how far behind
// a slow link is.
func TestAProofIsAsOldAsItsQuestion(t *testing.T) {
	s := bareStream()
	w := s.watch("s/", "s0", 1)
	s.dispatch(created(0))
	began := time.Now().Add(-s.liveness / 2)
	s.beat(began)
	for range 3 {
		s.dispatch(&pb.WatchResponse{Header: &pb.ResponseHeader{Revision: 1}, WatchId: -1})
	}
	batch, _ := w.take()
	for _, r := range batch[1:] {
		if !r.at.Equal(began) {
			t.Errorf("a proof is of %s after its question, want of the time of the question", r.at.Sub(began))
		}
	}
	s.beat(began)
	s.dispatch(&pb.WatchResponse{Header: &pb.ResponseHeader{Revision: 1}, WatchId: w.id}) // etcd's own notice
	s.dispatch(&pb.WatchResponse{Header: &pb.ResponseHeader{Revision: 1}, WatchId: -1})
	if batch, _ = w.take(); len(batch) != 2 {
		t.Errorf("told %d times, want of a notice of etcd's own, and of the answer after that", len(batch))
	}
}

// etcd proves nothing while one watch on the stream has not caught up.
func TestNoWatchIsCreatedWhileAProofIsAwaited(t *testing.T) {
	s := bareStream()
	s.watch("r/", "r0", 1)
	s.watch("s/", "s0", 1)
	for range 2 {
		s.dispatch(created(asked(t, s, 1, "at first")[0]))
	}
	now := time.Now()
	if ask, _ := s.beat(now); !ask {
		t.Fatal("no proof is asked for, want one each quarter of a liveness")
	}
	s.watch("t/", "t0", 1)
	asked(t, s, 0, "while a proof is awaited")
	if !s.holds(now) {
		t.Error("the proof is not asked for again, want that until it is there: etcd passes over questions")
	}
	s.dispatch(&pb.WatchResponse{Header: &pb.ResponseHeader{Revision: 1}, WatchId: -1})
	asked(t, s, 1, "once it is there")
	s.beat(now)
	s.watch("u/", "u0", 1)
	s.dispatch(created(firstNumber + 3))
	asked(t, s, 0, "while the next is awaited")
	if s.holds(now.Add(s.liveness)) {
		t.Error("a proof that does not come is waited for without end")
	}
	asked(t, s, 1, "when it has not come for long")
}

// A grpc-proxy of etcd whose own watch is refused never says so. Those that wait for
// their turn are not silent themselves: without an end they would be neither watched nor
// listed again.
func TestAWatchThatIsNeverAnsweredEndsTheStreamThoughOthersTalk(t *testing.T) {
	for name, answered := range map[string]bool{"unanswered": false, "answered": true} {
		s := bareStream()
		s.watch("s/", "s0", 1)
		s.dispatch(created(asked(t, s, 1, "at first")[0]))
		for range 2 * createsAtOnce {
			s.watch("t/", "t0", 1)
		}
		began := time.Now()
		var ended bool
		for at := time.Duration(0); at <= s.liveness && !ended; at += s.liveness / 4 {
			if answered && len(s.creating) > 0 {
				s.dispatch(created(s.creating[0].id))
				s.moved = began.Add(at)
			}
			s.heard = began.Add(at) // an event for the first, say
			_, ended = s.beat(began.Add(at))
		}
		if ended == answered {
			t.Errorf("%s: the stream has ended: %t, want %t after a liveness", name, ended, !answered)
		}
	}
}
