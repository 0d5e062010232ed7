//go:build !lean

package embedded

import (
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap/zapcore"

	"portside/discovery/etcd/internal/zapslog"
)

// startTimeout bounds how long a start may take; an idle machine needs 0.1 s.
const startTimeout = 30 * time.Second

// A Server is a running etcd of one member.
type Server struct {
	etcd   *embed.Etcd
	client string
	tmp    string // to remove at Close; empty: not ours
}

// Start runs an etcd and returns once it serves. The caller closes it.
func Start(o Options) (*Server, error) {
	s := &Server{client: o.ClientURL}
	if o.Dir == "" {
		dir, err := os.MkdirTemp("", "portside-etcd-")
		if err != nil {
			return nil, fmt.Errorf("start etcd: %w", err)
		}
		s.tmp, o.Dir = dir, dir
	}
	if err := s.start(o); err != nil {
		s.removeTemp()
		return nil, fmt.Errorf("start etcd in %s: %w", o.Dir, err)
	}
	return s, nil
}

func (s *Server) start(o Options) error {
	cfg, err := config(o, s.tmp != "")
	if err != nil {
		return err
	}
	e, err := embed.StartEtcd(cfg)
	if err != nil {
		return err
	}
	s.etcd = e
	if s.client == "" {
		s.client = "http://" + e.Clients[0].Addr().String()
	}
	select {
	case <-e.Server.ReadyNotify():
		return nil
	case err := <-e.Err():
		e.Close()
		return err
	case <-time.After(startTimeout):
		e.Close()
		return fmt.Errorf("not ready within %v", startTimeout)
	}
}

// Endpoint is the URL clients connect to.
func (s *Server) Endpoint() string { return s.client }

// Close stops the server and waits for it; what it kept in a temporary
// directory is gone.
func (s *Server) Close() error {
	s.etcd.Close()
	return s.removeTemp()
}

// Abandon removes what Close would, without stopping the server first: it is for a process
// that ends the next moment. The server cannot be used any more.
func (s *Server) Abandon() error { return s.removeTemp() }

func (s *Server) removeTemp() error {
	if s.tmp == "" {
		return nil
	}
	return os.RemoveAll(s.tmp)
}

// config is a quiet single member, elected in tens of milliseconds. Its peer
// side has nobody to talk to, so any free port will do for it.
func config(o Options, temporary bool) (*embed.Config, error) {
	anywhere := url.URL{Scheme: "http", Host: "127.0.0.1:0"}
	client := &anywhere
	if o.ClientURL != "" {
		u, err := url.Parse(o.ClientURL)
		if err != nil {
			return nil, err
		}
		client = u
	}
	cfg := embed.NewConfig()
	cfg.Name = "portside"
	cfg.Dir = filepath.Clean(o.Dir)
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{*client}, []url.URL{*client}
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = []url.URL{anywhere}, []url.URL{anywhere}
	cfg.InitialCluster = cfg.Name + "=" + anywhere.String()
	if o.Token != "" {
		cfg.InitialClusterToken = o.Token
	}
	cfg.TickMs, cfg.ElectionMs = 10, 100
	if temporary { // nothing in it is worth a disk's or a hash's time
		cfg.UnsafeNoFsync, cfg.BcryptCost = true, 4
	}
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zapslog.New(o.Logger, level))
	return cfg, nil
}

// level is one below etcd's: what worries a server in production is no news on a
// developer's machine.
func level(l zapcore.Level) slog.Level {
	switch {
	case l >= zapcore.ErrorLevel:
		return slog.LevelWarn
	case l >= zapcore.WarnLevel:
		return slog.LevelInfo
	default:
		return slog.LevelDebug
	}
}
