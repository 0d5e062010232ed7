package etcd

import (
	"context"
	"log/slog"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap/zapcore"
	"google.golang.org/grpc"
	grpcbackoff "google.golang.org/grpc/backoff"

	"portside/discovery/etcd/internal/zapslog"
)

// dial makes etcd's client for c.
func (c *Client) dial(ctx context.Context) (*clientv3.Client, error) {
	options := []grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{
		// Quick to come back, cheap to wait: with gRPC's default of two
		// minutes, portside would notice an etcd that is back that late.
		Backoff:           grpcbackoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.3, MaxDelay: 2 * time.Second},
		MinConnectTimeout: dialTimeout,
	})}
	if secure(c.cfg.Endpoints) {
		creds, err := c.cfg.TLS.credentials()
		if err != nil {
			return nil, err
		}
		options = append(options, grpc.WithTransportCredentials(creds))
	}
	return clientv3.New(clientv3.Config{
		Context:              ctx,
		Endpoints:            c.cfg.Endpoints,
		Username:             c.cfg.Username,
		Password:             c.cfg.Password,
		DialTimeout:          dialTimeout,
		DialKeepAliveTime:    10 * time.Second, // etcd resents less than 5 s, gRPC raises less than 10 s
		DialKeepAliveTimeout: 3 * time.Second,
		// A call is bounded and made again by whoever made it; retries inside
		// the client would only hide why it fails.
		MaxUnaryRetries: 2,
		DialOptions:     append(options, c.extra...),
		Logger:          zapslog.New(c.log, quiet),
	})
}

// quiet puts everything etcd's client says at debug. It warns of each retry of
// each call; what matters of that is in Status.
func quiet(zapcore.Level) slog.Level { return slog.LevelDebug }

// secure reports whether the first endpoint asks for TLS, which decides for
// all of them.
func secure(endpoints []string) bool {
	return len(endpoints) > 0 && (strings.HasPrefix(endpoints[0], "https://") || strings.HasPrefix(endpoints[0], "unixs://"))
}
