package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"portside/discovery"
	"portside/discovery/snapshot"
	"portside/pool"
)

// Each write takes a thread until it is on disk, which may take long, and the runtime
// ends a program of ten thousand.
func TestThousandsOfServicesDoNotSaveTheirEndpointsInOneMoment(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		const n = 100
		slots := make(chan struct{}, savesAtOnce)
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		var mu sync.Mutex
		saves := [60]int{} // by second of the minute
		began := time.Now()
		for i := range n {
			p := pool.New(pool.Config{})
			first := true
			proven := func() time.Time {
				mu.Lock()
				defer mu.Unlock()
				if s := int(time.Since(began) / time.Second); !first && s < len(saves) {
					saves[s]++
				}
				first = false
				return time.Now()
			}
			v := newSaver(p, proven, slots, slog.New(slog.DiscardHandler))
			v.saves(snapshot.In(dir, fmt.Sprintf("s%d", i), "service/", "auto"), func() bool {
				p.Update([]discovery.Endpoint{{Address: "10.0.0.1:80"}})
				return true
			})
			running.Go(func() { v.run(ctx) })
		}
		time.Sleep(time.Minute - time.Millisecond)
		mu.Lock()
		total, most := 0, 0
		for _, s := range saves {
			total, most = total+s, max(most, s)
		}
		mu.Unlock()
		if total < n*9/10 || most > n/4 {
			t.Errorf("%d of %d were saved again within a minute, and %d of them within one second, want all, spread over it: %v", total, n, most, saves)
		}
		stop()
		running.Wait()
	})
	if files, err := os.ReadDir(dir); err != nil || len(files) != 100 {
		t.Errorf("%d files were saved, %v, want one for each of 100 services", len(files), err)
	}
}

func TestASaveWaitsForItsTurn(t *testing.T) {
	dir := t.TempDir()
	p := pool.New(pool.Config{})
	slots := make(chan struct{}, 1)
	v := newSaver(p, time.Now, slots, slog.New(slog.DiscardHandler))
	v.saves(snapshot.In(dir, "s", "service/", "auto"), func() bool { p.Update(nil); return true })
	slots <- struct{}{} // another service's
	done := make(chan error)
	go func() { done <- v.save() }()
	select {
	case <-done:
		t.Error("a file was written while as many were as may be")
	case <-time.After(50 * time.Millisecond):
		<-slots
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
