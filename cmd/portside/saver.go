package main

import (
	"context"
	"slices"
	"sync"
	"time"

	"portside/discovery"
	"portside/discovery/snapshot"
)

// saver hands a source's endpoints to the pool, and to the snapshot's file
// behind it: at most once a second, since the disk must not hold the pool up.
type saver struct {
	following *following
	dirty     chan struct{}

	mu        sync.Mutex
	endpoints []discovery.Endpoint
	file      snapshot.File // of whom they are
}

func newSaver(f *following) *saver { return &saver{following: f, dirty: make(chan struct{}, 1)} }

// update is what a source calls whose endpoints are kept in file.
func (v *saver) update(endpoints []discovery.Endpoint, file snapshot.File) {
	f := v.following
	f.update(endpoints)
	f.mu.Lock()
	f.snapshot = time.Time{} // the registry has spoken
	f.mu.Unlock()
	v.mu.Lock()
	v.endpoints, v.file = endpoints, file
	v.mu.Unlock()
	select {
	case v.dirty <- struct{}{}:
	default:
	}
}

// run saves until ctx ends, and then what is not saved yet.
func (v *saver) run(ctx context.Context) {
	for {
		select {
		case <-v.dirty:
			v.save()
		case <-ctx.Done():
			select {
			case <-v.dirty:
				v.save()
			default:
			}
			return
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
	}
}

func (v *saver) save() {
	v.mu.Lock()
	file, endpoints := v.file, slices.Clone(v.endpoints) // which stand until the next update alone
	v.mu.Unlock()
	if file == (snapshot.File{}) || v.following.retired.Load() {
		return
	}
	if err := file.Save(endpoints); err != nil {
		v.following.log.Warn("cannot save the endpoints", "error", err)
	}
}
