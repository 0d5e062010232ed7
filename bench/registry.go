package main

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
)

// registry is an etcd in this process. Its writes take no detour over a socket,
// and do not wait for a disk that is no part of the question.
type registry struct {
	server   *embed.Etcd
	endpoint string
	put      func(ctx context.Context, address string) error
	delete   func(ctx context.Context, address string) error
}

const prefix = "service/bench/" // where portside looks for the service

func startRegistry(dir string) (*registry, error) {
	client, peer, err := twoURLs()
	if err != nil {
		return nil, err
	}
	cfg := embed.NewConfig()
	cfg.Dir = filepath.Join(dir, "etcd")
	cfg.LogLevel = "fatal"
	cfg.UnsafeNoFsync = true
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	server, err := embed.StartEtcd(cfg)
	if err != nil {
		return nil, fmt.Errorf("start etcd: %w", err)
	}
	select {
	case <-server.Server.ReadyNotify():
	case <-time.After(20 * time.Second):
		server.Close()
		return nil, fmt.Errorf("etcd is not ready")
	}
	kv := v3client.New(server.Server)
	return &registry{
		server: server, endpoint: client.String(),
		put: func(ctx context.Context, a string) error {
			_, err := kv.Put(ctx, prefix+a, a)
			return err
		},
		delete: func(ctx context.Context, a string) error {
			_, err := kv.Delete(ctx, prefix+a)
			return err
		},
	}, nil
}

func (r *registry) stop() { r.server.Close() }

func twoURLs() (a, b url.URL, err error) {
	first, err := freeAddr()
	if err != nil {
		return a, b, err
	}
	second, err := freeAddr()
	return url.URL{Scheme: "http", Host: first}, url.URL{Scheme: "http", Host: second}, err
}

// register starts a registry on the stage and puts the first most backends into it.
func (st *stage) register(ctx context.Context, most int) (err error) {
	if st.registry, err = startRegistry(st.dir); err != nil {
		return err
	}
	st.after = append(st.after, st.registry.stop)
	st.setup.Etcd = st.registry.endpoint
	for _, a := range st.setup.Backends[:min(most, len(st.setup.Backends))] {
		if err := st.registry.put(ctx, a); err != nil {
			return err
		}
	}
	return nil
}
