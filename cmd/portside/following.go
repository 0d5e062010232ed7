package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"portside/cmd/portside/admin"
	"portside/cmd/portside/config"
	"portside/discovery"
	"portside/discovery/snapshot"
	"portside/discovery/static"
	"portside/pool"
)

// following hands a service's endpoints to its pool, from one source after another, as
// reloads replace them.
type following struct {
	name string
	log  *slog.Logger
	pool *pool.Pool
	news *news

	next    chan followed // what to follow instead
	anew    atomic.Bool   // see followed; until the first list
	retired atomic.Bool   // a reload has the service drain

	mu       sync.Mutex
	source   discovery.Source
	snapshot time.Time // of the endpoints that were loaded; zero: they are the registry's
}

func newFollowing(name string, log *slog.Logger, p *pool.Pool, n *news) *following {
	return &following{name: name, log: log, pool: p, news: n, next: make(chan followed, 1)}
}

// followed is what to follow, where its endpoints are kept, and whether what was
// followed before means nothing any more.
type followed struct {
	discovery.Source
	file snapshot.File // zero: nowhere
	anew bool
}

// follow has cfg's fixed list followed, or its prefix in etcd. Endpoints saved in
// stateDir stand until the registry has spoken.
//
// Anew says that this has nothing to do with what was followed before.
func (f *following) follow(cfg config.Service, r *registry, stateDir string, anew bool) {
	if len(cfg.Endpoints) > 0 {
		f.change(static.New(cfg.Endpoints), snapshot.File{}, anew)
		return
	}
	decoder, err := decoderFor(cfg)
	if err != nil {
		// load has tried the same.
		f.log.Error("cannot read records", "error", err)
		return
	}
	file := snapshot.File{}
	if stateDir != "" {
		file = snapshot.In(stateDir, f.name, cfg.Prefix)
	}
	source := r.Source(cfg.Prefix, decode(decoder, f.log))
	source.Reuse = true // the pool keeps no slice, and the saver the last alone
	f.change(source, file, anew)
}

// change has source followed from now on.
func (f *following) change(source discovery.Source, file snapshot.File, anew bool) {
	f.mu.Lock()
	f.source = source
	f.mu.Unlock()
	select {
	case former := <-f.next: // nobody has come to it
		anew = anew || former.anew
	default:
	}
	f.next <- followed{source, file, anew}
}

// retire says that the service is to drain and may have been replaced: the file of its
// endpoints is its successor's.
func (f *following) retire() { f.retired.Store(true) }

// run follows until ctx ends.
func (f *following) run(ctx context.Context) {
	saver := newSaver(f)
	var own sync.WaitGroup
	own.Go(func() { saver.run(ctx) })
	defer own.Wait()
	var next followed
	select {
	case next = <-f.next:
	case <-ctx.Done():
		return
	}
	f.loadSnapshot(next.file)
	for ctx.Err() == nil {
		now := next
		if now.anew { // until a list says so: one before may not have come
			f.anew.Store(true)
		}
		following, stop := context.WithCancel(ctx)
		var one sync.WaitGroup
		one.Go(func() {
			_ = now.Run(following, func(endpoints []discovery.Endpoint) { saver.update(endpoints, now.file) })
		})
		select {
		case next = <-f.next:
		case <-ctx.Done():
		}
		stop()
		one.Wait()
	}
}

// update hands endpoints to the pool.
func (f *following) update(endpoints []discovery.Endpoint) {
	select {
	case <-f.pool.Synced():
	default:
		f.news.filling.Store(true)
		defer f.news.filling.Store(false)
	}
	// An empty list, which may be a prefix mistyped, is doubted all the same.
	if len(endpoints) > 0 && f.anew.Swap(false) {
		f.pool.Replace(endpoints)
		return
	}
	f.pool.Update(endpoints)
}

// loadSnapshot puts the saved endpoints in the pool, if there are any.
func (f *following) loadSnapshot(file snapshot.File) {
	if file == (snapshot.File{}) {
		return
	}
	endpoints, taken, err := file.Load()
	switch {
	case errors.Is(err, os.ErrNotExist):
		return
	case err != nil:
		f.log.Warn("cannot use the saved endpoints", "error", err)
		return
	}
	f.mu.Lock()
	f.snapshot = taken
	f.mu.Unlock()
	f.log.Info("starting with saved endpoints", "endpoints", len(endpoints), "age", time.Since(taken).Round(time.Second))
	f.update(endpoints)
}

// status says how sure the endpoints are.
func (f *following) status(now time.Time) admin.Discovery {
	f.mu.Lock()
	source, taken := f.source, f.snapshot
	f.mu.Unlock()
	if source == nil {
		return admin.Discovery{State: discovery.Syncing, Age: -1}
	}
	d := admin.DiscoveryOf(source.Status(), now)
	if !taken.IsZero() && d.State == discovery.Syncing {
		// Saved endpoints are served: old ones, not none.
		d.State, d.Snapshot, d.Age = discovery.Stale, &taken, now.Sub(taken).Seconds()
		d.Reason = fmt.Sprintf("endpoints saved at %s; %s", taken.Format(time.RFC3339), d.Reason)
	}
	return d
}
