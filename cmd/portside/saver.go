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

// saver keeps a pool's endpoints in a file, and apart those that the registry has lost
// and that still answer: at most once a second, since the disk must not hold the pool up,
// and once a minute though nothing has changed, for the age of what was saved counts.
type saver struct {
	pool    *pool.Pool
	proven  func() time.Time // when the registry had the pool's endpoints
	log     *slog.Logger
	dirty   chan struct{}
	retired atomic.Bool   // the file is another's
	saving  *sync.Mutex   // held while the file is written, by who has it now and who had it
	slots   chan struct{} // of all services: one is taken while a file is written

	mu   sync.Mutex
	file snapshot.File // of what the pool's endpoints are of; zero: nowhere
}

// savesAtOnce is how many files are written at a time: each takes a thread until it is on
// disk, and there may be thousands of services.
const savesAtOnce = 32

func newSaver(p *pool.Pool, proven func() time.Time, slots chan struct{}, log *slog.Logger) *saver {
	return &saver{pool: p, proven: proven, log: log, dirty: make(chan struct{}, 1), saving: &sync.Mutex{}, slots: slots}
}

// saves has fill put other endpoints in the pool. From then on they are kept in file, if
// fill reports that the pool has no others.
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
		known.At = time.Now() // one member's word, without quorum, is all there is
	}
	return file.Save(known)
}
