package main

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"portside/discovery/snapshot"
	"portside/pool"
)

// saver keeps a pool's endpoints, and separately its suspects, in a file. It saves changes at
// most once a second, apart from the pool, which the disk must not hold up. Once a minute it
// saves though nothing has changed, because the age of what was saved matters.
type saver struct {
	pool    *pool.Pool
	proven  func() time.Time // when the registry had the pool's endpoints
	log     *slog.Logger
	dirty   chan struct{}
	retired atomic.Bool   // it is to save no more
	saving  *sync.Mutex   // held while the file is written; shared with the saver that it replaces
	slots   chan struct{} // of all services: one is taken while a file is written

	mu   sync.Mutex
	file snapshot.File // for what the pool has now; zero: nowhere
}

// savesAtOnce is how many files are written at a time: each takes a thread until it is on
// disk, and there may be thousands of services.
const savesAtOnce = 32

func newSaver(p *pool.Pool, proven func() time.Time, slots chan struct{}, log *slog.Logger) *saver {
	return &saver{pool: p, proven: proven, log: log, dirty: make(chan struct{}, 1), saving: &sync.Mutex{}, slots: slots}
}

// saves calls fill, which puts endpoints in the pool. From then on the pool's endpoints are
// saved in file, if fill reports that all have the origin of that file.
func (v *saver) saves(file snapshot.File, fill func() bool) {
	v.mu.Lock()
	if fill() {
		v.file = file
	}
	v.mu.Unlock()
	v.touch()
}

// touch says that the pool's endpoints have changed.
func (v *saver) touch() {
	select {
	case v.dirty <- struct{}{}:
	default:
	}
}

// run saves until ctx ends, and then once more. What could not be saved is
// tried again, and said once.
func (v *saver) run(ctx context.Context) {
	said := false
	save := func() {
		err := v.save()
		if err != nil {
			v.touch()
		}
		if err != nil && !said {
			v.log.Warn("cannot save the endpoints, retrying", "error", err)
		}
		if err == nil && said {
			v.log.Info("the endpoints are saved again")
		}
		said = err != nil
	}
	again := time.NewTimer(rand.N(time.Minute)) // not all services in one moment
	defer again.Stop()
	for {
		select {
		case <-v.dirty:
			save()
		case <-again.C:
			again.Reset(time.Minute)
			save()
		case <-ctx.Done():
			save()
			return
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
	}
}

func (v *saver) save() error {
	v.slots <- struct{}{}
	defer func() { <-v.slots }()
	v.saving.Lock()
	defer v.saving.Unlock()
	v.mu.Lock()
	file := v.file
	none := file == (snapshot.File{}) || v.retired.Load()
	if none {
		v.mu.Unlock()
		return nil
	}
	known, at := v.pool.Known(), v.proven()
	v.mu.Unlock()
	if known.At = at; at.IsZero() {
		known.At = time.Now() // never proven: all there is is one member's view, without a quorum
	}
	return file.Save(known)
}
