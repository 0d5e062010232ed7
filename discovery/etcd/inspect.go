package etcd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
)

// Record is one key as etcd has it.
type Record struct {
	Key      string
	Value    []byte
	Revision int64         // of its last change
	Lease    int64         // zero: none, it stays until it is deleted
	TTL      time.Duration // what is left of the lease; zero: not known, or nothing
}

// Records reads every key under prefix once, in order, at the revision that it returns. It
// waits for a connection, and tries again, until ctx ends; the error then says what was in
// the way. If etcd refuses, it returns at once. The client must be running.
func (c *Client) Records(ctx context.Context, prefix string) (records []Record, revision int64, err error) {
	prefix = strings.TrimRight(prefix, "/") + "/"
	var p pace
	for {
		now, changed := c.link()
		if now.stream != nil {
			l := list(ctx, now.etcd.ActiveConnection(), prefix, whole, p)
			p.learn(l)
			if l.err == nil {
				records := recordsOf(l)
				remaining(ctx, now.etcd.ActiveConnection(), records)
				return records, l.revision, nil
			}
			if refused(l.err) {
				return nil, 0, errors.New(plain(l.err, prefix, c.cfg.Username, now.since))
			}
			now.err = l.err
		}
		select {
		case <-changed:
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return nil, 0, c.whyNot(now.err, prefix)
		}
	}
}

// whyNot says what kept Records from an answer.
func (c *Client) whyNot(err error, prefix string) error {
	now, _ := c.link()
	if now.err != nil {
		err = now.err
	}
	if err == nil {
		err = context.DeadlineExceeded
	}
	return fmt.Errorf("%s (%s)", plain(err, prefix, c.cfg.Username, now.since), strings.Join(c.cfg.Endpoints, ", "))
}

func recordsOf(l listing) []Record {
	records := make([]Record, len(l.kvs))
	for i, kv := range l.kvs {
		records[i] = Record{Key: string(kv.Key), Value: kv.Value, Revision: kv.ModRevision, Lease: kv.Lease}
	}
	return records
}

// leasesAtOnce bounds how many leases are asked about together.
const leasesAtOnce = 16

// remaining fills in what is left of the records' leases, as far as etcd answers within
// callTimeout: without that the records are still worth having.
func remaining(ctx context.Context, conn *grpc.ClientConn, records []Record) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	under := map[int64][]*Record{}
	for i := range records {
		if r := &records[i]; r.Lease != 0 {
			under[r.Lease] = append(under[r.Lease], r)
		}
	}
	leases := pb.NewLeaseClient(conn)
	var asking errgroup.Group
	asking.SetLimit(leasesAtOnce)
	for id, its := range under {
		asking.Go(func() error {
			resp, err := leases.LeaseTimeToLive(ctx, &pb.LeaseTimeToLiveRequest{ID: id})
			if err != nil || resp.TTL <= 0 {
				return nil
			}
			for _, r := range its {
				r.TTL = time.Duration(resp.TTL) * time.Second
			}
			return nil
		})
	}
	_ = asking.Wait()
}
