package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
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
	name  string
	log   *slog.Logger
	pool  *pool.Pool
	news  *news
	saver *saver

	next chan followed // what to follow from now on

	mu     sync.Mutex
	source discovery.Source
	filled origin    // of the pool's endpoints; zero: it has had none
	known  time.Time // when the pool's endpoints were known for sure, until source has said something; then zero
	saved  bool      // known is from a file
}

func newFollowing(name string, log *slog.Logger, p *pool.Pool, n *news, saves chan struct{}) *following {
	f := &following{name: name, log: log, pool: p, news: n, next: make(chan followed, 1)}
	f.saver = newSaver(p, f.proven, saves, log)
	return f
}

// followed is a source to follow, and where its endpoints are saved.
type followed struct {
	discovery.Source
	file snapshot.File // zero: nowhere
	origin
}

// follow follows cfg's fixed list, or its prefix in etcd. Endpoints that are saved in
// stateDir are used until the registry has answered.
func (f *following) follow(cfg config.Service, r *registry, stateDir string) {
	if len(cfg.Endpoints) > 0 {
		f.change(followed{Source: static.New(cfg.Endpoints), origin: originOf(cfg)})
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
		file = snapshot.In(stateDir, f.name, cfg.Prefix, readingOf(cfg)).For(string(cfg.Protocol))
	}
	source := r.Source(cfg.Prefix, decode(decoder, f.log))
	source.Reuse = true // the pool keeps no slice
	f.change(followed{source, file, originOf(cfg)})
}

// origin is where endpoints come from. Those of another prefix, format or fixed list have
// nothing to do with one another: when it changes, what is not listed any more leaves at
// once and becomes no suspect.
type origin struct {
	of       string
	protocol config.Protocol // their records were read for it; most records yield the same for any
}

func originOf(cfg config.Service) origin {
	return origin{fmt.Sprintf("%q %q %d %v", cfg.Prefix, cfg.Format, cfg.DefaultPort, cfg.Endpoints), cfg.Protocol}
}

// readingOf says how cfg's records are read, for [snapshot.In].
func readingOf(cfg config.Service) string {
	if cfg.DefaultPort == 0 {
		return cfg.Format
	}
	return fmt.Sprintf("%s, default port %d", cfg.Format, cfg.DefaultPort)
}

// change has run follow next from now on.
func (f *following) change(next followed) {
	f.mu.Lock()
	if f.source != nil {
		if proven := f.source.Status().Proven; !proven.IsZero() {
			f.known, f.saved = proven, false
		}
	}
	f.source = next.Source
	f.mu.Unlock()
	select {
	case <-f.next: // run has not come to it, and need not
	default:
	}
	f.next <- next
}

// takeOver has f, whose service replaces former's, begin with the endpoints that one has,
// suspects included, unless they have another origin. Those whose records were read for
// another protocol stand until there is a list.
func (f *following) takeOver(former *following, cfg config.Service) {
	former.retire()
	f.saver.saving = former.saver.saving // one file: what former is writing comes first
	known := former.proven()
	former.mu.Lock()
	filled, saved := former.filled, former.saved
	former.mu.Unlock()
	if filled.of != originOf(cfg).of {
		return
	}
	f.restore(former.pool.Known(), filled)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.known, f.saved = known, saved
}

// retire says that the service is to drain. It saves no more: the file may be its
// successor's now.
func (f *following) retire() { f.saver.retired.Store(true) }

// run follows until ctx ends.
func (f *following) run(ctx context.Context) {
	var own sync.WaitGroup
	own.Go(func() { f.saver.run(ctx) })
	defer own.Wait()
	var next followed
	select {
	case next = <-f.next:
	case <-ctx.Done():
		return
	}
	f.loadSnapshot(next)
	for ctx.Err() == nil {
		now := next
		following, stop := context.WithCancel(ctx)
		var one sync.WaitGroup
		one.Go(func() {
			_ = now.Run(following, func(endpoints []discovery.Endpoint) { f.heard(endpoints, now) })
		})
		select {
		case next = <-f.next:
		case <-ctx.Done():
		}
		stop()
		one.Wait()
	}
}

// heard applies what the source that is followed says.
func (f *following) heard(endpoints []discovery.Endpoint, from followed) {
	f.saver.saves(from.file, func() bool {
		whole := f.fill(endpoints, from.origin)
		f.mu.Lock()
		defer f.mu.Unlock()
		f.known, f.saved = time.Time{}, false
		return whole
	})
}

// fill hands endpoints to the pool. It reports whether all that the pool has now, suspects
// included, has that origin.
func (f *following) fill(endpoints []discovery.Endpoint, from origin) bool {
	if !f.synced() {
		f.news.filling.Store(true)
		defer f.news.filling.Store(false)
	}
	f.mu.Lock()
	anew := f.filled != (origin{}) && f.filled != from
	// An empty list may come of a mistyped prefix: the guard is to doubt it all the same.
	anew = anew && len(endpoints) > 0
	if anew || f.filled == (origin{}) {
		anew = anew && (f.filled.of != from.of || !f.has(endpoints))
		f.filled = from
	}
	whole := f.filled == from
	f.mu.Unlock()
	if anew {
		f.pool.Replace(endpoints)
		return whole
	}
	f.pool.Update(endpoints)
	return whole
}

// has reports whether the pool has any of endpoints. If so, the records yield the same
// addresses for either protocol, and what is missing from endpoints has left the registry.
func (f *following) has(endpoints []discovery.Endpoint) bool {
	known := f.pool.Known()
	had := make(map[string]bool, len(known.Endpoints)+len(known.Lost))
	for _, e := range known.Endpoints {
		had[e.Address] = true
	}
	for _, l := range known.Lost {
		had[l.Address] = true
	}
	return slices.ContainsFunc(endpoints, func(e discovery.Endpoint) bool { return had[e.Address] })
}

// loadSnapshot puts the saved endpoints in the pool, if there are any and it has none.
func (f *following) loadSnapshot(first followed) {
	if first.file == (snapshot.File{}) || f.synced() {
		return
	}
	saved, err := first.file.Load()
	switch {
	case errors.Is(err, os.ErrNotExist):
		return
	case err != nil:
		f.log.Warn("cannot use the saved endpoints", "error", err)
		return
	}
	f.mu.Lock()
	f.known, f.saved = saved.At, true
	f.mu.Unlock()
	f.log.Info("starting with saved endpoints", "endpoints", len(saved.Endpoints)+len(saved.Lost), "age", time.Since(saved.At).Round(time.Second))
	from := first.origin
	if saved.Protocol != "" {
		from.protocol = config.Protocol(saved.Protocol)
	}
	f.restore(saved, from)
}

// restore has the pool, which has nothing, begin with what is known.
func (f *following) restore(k discovery.Known, from origin) {
	f.news.filling.Store(true)
	defer f.news.filling.Store(false)
	f.mu.Lock()
	f.filled = from
	f.mu.Unlock()
	f.pool.Restore(k)
}

// proven is when the registry had the pool's endpoints for sure.
func (f *following) proven() time.Time {
	f.mu.Lock()
	source, known := f.source, f.known
	f.mu.Unlock()
	if known.IsZero() && source != nil {
		return source.Status().Proven
	}
	return known
}

// synced reports whether the pool has had a list.
func (f *following) synced() bool {
	select {
	case <-f.pool.Synced():
		return true
	default:
		return false
	}
}

// status says how sure the endpoints are.
func (f *following) status(now time.Time) admin.Discovery {
	f.mu.Lock()
	source, known, saved := f.source, f.known, f.saved
	f.mu.Unlock()
	if source == nil {
		return admin.Discovery{State: discovery.Syncing, Age: -1}
	}
	d := admin.DiscoveryOf(source.Status(), now)
	if known.IsZero() || d.State != discovery.Syncing {
		return d
	}
	// The pool serves old endpoints, so the service is not without any.
	d.State, d.Age = discovery.Stale, max(now.Sub(known).Seconds(), 0)
	if saved {
		d.Snapshot = &known
		d.Reason = fmt.Sprintf("endpoints saved at %s; %s", known.Format(time.RFC3339), d.Reason)
		return d
	}
	d.Reason = fmt.Sprintf("endpoints of before the last reload, known at %s; %s", known.Format(time.RFC3339), d.Reason)
	return d
}
