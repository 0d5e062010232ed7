package etcd

import (
	"context"
	"math"
	"slices"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
)

// pageSize is how many keys one answer of a list holds; it spares etcd's
// memory when a prefix is large.
const pageSize = 2000

// A listing is a prefix as it was at one revision.
type listing struct {
	stream   *stream // open when it was asked for; nil: none
	kvs      []*mvccpb.KeyValue
	cluster  uint64
	revision int64
	asked    time.Time // it was true at some moment after this
	kind     listKind
	err      error
}

type listKind int

const (
	whole    listKind = iota // keys and values, as of now
	keysOnly                 // an audit needs no values
	unproven                 // one member's own view, without quorum
)

// list reads every key with the prefix, all at the revision of the first page.
// A call that takes longer than callTimeout fails.
func list(ctx context.Context, conn *grpc.ClientConn, prefix string, kind listKind) (l listing) {
	l.kind, l.asked = kind, time.Now()
	if kind != unproven {
		ctx = clientv3.WithRequireLeader(ctx)
	}
	kv := pb.NewKVClient(conn)
	req := &pb.RangeRequest{
		Key:      []byte(prefix),
		RangeEnd: []byte(clientv3.GetPrefixRangeEnd(prefix)),
		Limit:    pageSize, KeysOnly: kind == keysOnly, Serializable: kind == unproven,
	}
	for {
		page, err := ranged(ctx, kv, req)
		if err != nil {
			l.err = err
			return l
		}
		if l.revision == 0 {
			// Later pages name the revision of their own moment, though they
			// show the one that was asked for.
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

func ranged(ctx context.Context, kv pb.KVClient, req *pb.RangeRequest) (*pb.RangeResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return kv.Range(ctx, req, grpc.MaxCallRecvMsgSize(math.MaxInt32))
}
