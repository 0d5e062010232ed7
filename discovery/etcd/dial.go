package etcd

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap/zapcore"
	"google.golang.org/grpc"
	grpcbackoff "google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"portside/discovery/etcd/internal/zapslog"
)

// dial makes etcd's client for c. With a user name that takes an answer from etcd, and
// when there is none etcd's client does not say why: a connection without the user name
// does.
func (c *Client) dial(ctx context.Context) (*clientv3.Client, error) {
	cfg, err := c.etcdConfig(ctx)
	if err != nil {
		return nil, err
	}
	etcd, err := clientv3.New(cfg)
	if err != nil && c.cfg.Username != "" && ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		err = cmp.Or(whyUnreachable(ctx, cfg), err)
	}
	return etcd, err
}

// whyUnreachable is the error with which a connection without the user name fails; nil if
// it does not fail.
func whyUnreachable(ctx context.Context, cfg clientv3.Config) error {
	cfg.Username, cfg.Password = "", ""
	etcd, err := clientv3.New(cfg)
	if err != nil {
		return err
	}
	defer etcd.Close()
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	for {
		_, err = pb.NewMaintenanceClient(etcd.ActiveConnection()).Status(ctx, &pb.StatusRequest{})
		switch {
		case status.Code(err) != codes.Unavailable:
			return nil
		case !brokenOff(err) || ctx.Err() != nil:
			return err
		}
		select { // a connection that breaks says nothing; the next one may end with a reason
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

func (c *Client) etcdConfig(ctx context.Context) (clientv3.Config, error) {
	options := []grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{
		// Quick to come back, cheap to wait: with gRPC's default of two
		// minutes, portside would notice an etcd that is back that late.
		Backoff:           grpcbackoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.3, MaxDelay: 2 * time.Second},
		MinConnectTimeout: dialTimeout,
	})}
	if secure(c.cfg.Endpoints) {
		creds, err := c.cfg.TLS.credentials()
		if err != nil {
			return clientv3.Config{}, err
		}
		options = append(options, grpc.WithTransportCredentials(creds))
	}
	return clientv3.Config{
		Context:              ctx,
		Endpoints:            c.cfg.Endpoints,
		Username:             c.cfg.Username,
		Password:             c.cfg.Password,
		DialTimeout:          dialTimeout,
		DialKeepAliveTime:    10 * time.Second, // gRPC allows no less, and etcd ends connections that ping more often than every 5 s
		DialKeepAliveTimeout: 3 * time.Second,
		// Our own code makes a failed call again; more tries inside etcd's client would
		// only hide why it fails. The second one is for an expired token, which the
		// client renews before it.
		MaxUnaryRetries: 2,
		DialOptions:     append(options, c.extra...),
		Logger:          zapslog.New(c.log, quiet),
	}, nil
}

// quiet puts all that etcd's client logs at debug: it warns of each retry of each call, and
// what matters of that is in Status.
func quiet(zapcore.Level) slog.Level { return slog.LevelDebug }

// secure reports whether the first endpoint asks for TLS, which decides for
// all of them.
func secure(endpoints []string) bool {
	return len(endpoints) > 0 && (strings.HasPrefix(endpoints[0], "https://") || strings.HasPrefix(endpoints[0], "unixs://"))
}
