package etcd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc"

	"portside/discovery"
)

// deaf loses the next event of one key, as a faulty server would.
type deaf struct{ key atomic.Value }

func (d *deaf) lose(key string) { d.key.Store(key) }

func (d *deaf) hear(r *pb.WatchResponse) {
	r.Events = slices.DeleteFunc(r.Events, func(e *mvccpb.Event) bool {
		return d.key.CompareAndSwap(string(e.Kv.Key), "")
	})
}

func (d *deaf) option(c *Client) {
	c.extra = append(c.extra, grpc.WithChainStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, streamer grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
		s, err := streamer(ctx, desc, cc, method, opts...)
		if err != nil || !strings.HasSuffix(method, "/Watch") {
			return s, err
		}
		return deafStream{s, d}, nil
	}))
}

type deafStream struct {
	grpc.ClientStream
	*deaf
}

func (s deafStream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	if err == nil {
		s.hear(m.(*pb.WatchResponse))
	}
	return err
}

func TestAnAuditCorrectsWhatTheWatchMissed(t *testing.T) {
	url := startEtcd(t).Endpoint()
	op := operatorOn(t, url)
	op.put("s/stays", "10.0.0.1:80")
	op.put("s/goes", "10.0.0.2:80")
	op.put("elsewhere", "x") // a watch begins with what the list's own revision changed
	cfg := quickly(url)
	cfg.Audit = 500 * time.Millisecond
	var d deaf
	v := follow(t, run(t, cfg, d.option), "s")
	v.becomes("10.0.0.1:80", "10.0.0.2:80")
	v.keep("10.0.0.1:80")
	d.lose("s/goes")
	op.del("s/goes")
	v.becomes("10.0.0.1:80")
	d.lose("s/comes")
	op.put("s/comes", "10.0.0.3:80")
	v.becomes("10.0.0.1:80", "10.0.0.3:80")
	v.within(5*time.Second, func() string {
		if st := v.source.Status(); st.Drift != 2 || st.Resyncs["audit"] != 2 {
			return fmt.Sprintf("drift %d, resyncs %v; want 2 endpoints corrected by 2 audits: an operator must learn of it", st.Drift, st.Resyncs)
		}
		return ""
	})
}

func TestAnAuditOfABusyPrefixFindsNothing(t *testing.T) {
	url := startEtcd(t).Endpoint()
	op := operatorOn(t, url)
	op.put("s/stays", "10.0.0.1:80")
	cfg := quickly(url)
	cfg.Audit = 20 * time.Millisecond
	v := follow(t, run(t, cfg), "s")
	v.becomes("10.0.0.1:80")
	v.keep("10.0.0.1:80")
	for i := range 300 {
		key := fmt.Sprintf("s/%d", i%7)
		if i%3 == 0 {
			op.del(key)
			continue
		}
		op.put(key, fmt.Sprintf("10.0.1.%d:80", i%11))
	}
	if st := v.source.Status(); st.State != discovery.Synced || st.Drift != 0 || st.Resyncs["audit"] != 0 {
		t.Errorf("%s, drift %d, resyncs %v; want none: a change under way is no drift", st.State, st.Drift, st.Resyncs)
	}
}

// An audit that etcd does not answer must not hold up the list that a doubt asks for, nor
// be said to have failed.
func TestAnAuditUnderWayDoesNotHoldUpADoubt(t *testing.T) {
	t.Parallel()
	url := startEtcd(t).Endpoint()
	op := operatorOn(t, url)
	op.put("s/a", "10.0.0.1:80")
	auditing := make(chan struct{}, 10)
	cfg := quickly(url)
	cfg.Audit = 500 * time.Millisecond
	var log logBuffer
	c := run(t, cfg, func(c *Client) {
		c.log = slog.New(slog.NewTextHandler(&log, nil))
		c.extra = append(c.extra, grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			if r, ok := req.(*pb.RangeRequest); ok && r.KeysOnly {
				auditing <- struct{}{}
				<-ctx.Done()
				return ctx.Err()
			}
			return invoke(ctx, method, req, reply, cc, opts...)
		}))
	})
	v := follow(t, c, "s")
	v.becomes("10.0.0.1:80")
	<-auditing
	link, _ := c.link()
	link.stream.cancel(errors.New("cut"))
	op.put("s/b", "10.0.0.2:80")
	began := time.Now()
	v.becomes("10.0.0.1:80", "10.0.0.2:80")
	if took := time.Since(began); took > callTimeout/2 {
		t.Errorf("a change is known %s after the stream broke, want at once: the list waited for an audit", took)
	}
	if strings.Contains(log.String(), "an audit failed") {
		t.Error("the audit that was given up is said to have failed")
	}
}
