package etcd

import (
	"context"
	"errors"
	"math"
	"slices"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// pageSize is how many keys one page of a list holds at most, to spare etcd's memory when a
// prefix is large. Over a slow connection pages become smaller, down to leastPage.
const (
	pageSize  int64 = 2000
	leastPage int64 = 50
)

// A pace is how large the pages of a list are, and how long to wait for each. The zero
// value is the usual one: pageSize keys within callTimeout. The first three steps slower
// make the pages smaller, further ones the wait longer.
type pace struct{ slowed int }

// mostSlowed is the slowest pace: leastPage keys within 12 s.
const mostSlowed = 5

func (p pace) page() int64 { return max(pageSize>>(2*min(p.slowed, 3)), leastPage) }

func (p pace) wait() time.Duration { return callTimeout << max(p.slowed-3, 0) }

// learn adapts the pace to how a list went: slower after a timeout, faster when all pages
// came in an eighth of the time.
func (p *pace) learn(l listing) {
	switch {
	case l.err == nil && l.slowest < p.wait()/8:
		p.slowed = max(p.slowed-1, 0)
	case timedOut(l.err):
		p.slowed = min(p.slowed+1, mostSlowed)
	}
}

// timedOut reports whether err is an answer that did not come in time.
func timedOut(err error) bool {
	return status.Code(err) == codes.DeadlineExceeded || errors.Is(err, context.DeadlineExceeded)
}

// A listing is the result of a list: a prefix as it was at one revision.
type listing struct {
	stream   *stream // the one that was open when the list began; nil: none
	kvs      []*mvccpb.KeyValue
	cluster  uint64
	revision int64
	asked    time.Time // it was true at some moment after this
	kind     listKind
	slowest  time.Duration // how long its slowest page took
	err      error
}

type listKind int

const (
	whole    listKind = iota // keys and values, as of now
	keysOnly                 // an audit needs no values
	unproven                 // one member's own view, without quorum
)

// list reads every key with the prefix, all at the revision of the first page.
// A page that takes longer than p waits fails.
func list(ctx context.Context, conn *grpc.ClientConn, prefix string, kind listKind, p pace) (l listing) {
	l.kind, l.asked = kind, time.Now()
	if kind != unproven {
		ctx = clientv3.WithRequireLeader(ctx)
	}
	kv := pb.NewKVClient(conn)
	req := &pb.RangeRequest{
		Key:      []byte(prefix),
		RangeEnd: []byte(clientv3.GetPrefixRangeEnd(prefix)),
		Limit:    p.page(), KeysOnly: kind == keysOnly, Serializable: kind == unproven,
	}
	for {
		began := time.Now()
		page, err := ranged(ctx, kv, req, p.wait())
		l.slowest = max(l.slowest, time.Since(began))
		if err != nil {
			l.err = err
			return l
		}
		if l.revision == 0 {
			// Later pages show the keys at this revision, but their headers have etcd's
			// revision at the moment of the answer.
			l.revision, l.cluster = page.Header.Revision, page.Header.ClusterId
			req.Revision = l.revision
		}
		l.kvs = append(l.kvs, page.Kvs...)
		if !page.More || len(page.Kvs) == 0 {
			return l
		}
		last := page.Kvs[len(page.Kvs)-1].Key
		req.Key = append(slices.Clip(last), 0)
	}
}

func ranged(ctx context.Context, kv pb.KVClient, req *pb.RangeRequest, wait time.Duration) (*pb.RangeResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	return kv.Range(ctx, req, grpc.MaxCallRecvMsgSize(math.MaxInt32))
}
