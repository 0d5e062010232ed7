// Package embedded runs an etcd inside this process, for `portside demo`, for
// `etcd.endpoints: embedded` and for tests:
//
//	etcd, err := embedded.Start(embedded.Options{})
//	if err != nil { … }
//	defer etcd.Close()
//	client := etcdclient.New(etcdclient.Config{Endpoints: []string{etcd.Endpoint()}}, log)
//
// It is one member on loopback, for development: nothing of it is meant to
// survive a power cut or to serve a second machine. A build with the tag lean
// leaves the server out; Start then says so.
package embedded

import "log/slog"

// Options say where and how the server runs. The zero value is an empty etcd
// in a temporary directory on a free loopback port.
type Options struct {
	// Dir holds the data. Empty: a temporary directory that Close removes.
	Dir string
	// ClientURL is where clients connect. Empty: http://127.0.0.1 on a free port.
	ClientURL string
	// Token makes a new data directory another cluster than one with another
	// token. Empty: etcd's default, always the same.
	Token string
	// Logger receives the server's own log; nil: nobody does.
	Logger *slog.Logger
}
