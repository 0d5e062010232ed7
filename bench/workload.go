package main

import (
	"context"
	"os"
	"time"
)

// workload is one piece of work that every subject is put through.
type workload struct {
	name     string
	says     string
	figures  []figure // the first is the one that counts
	protocol string
	balance  string
	bulk     bool
	backends func() (*process, []string, error)
	// prepare, when set, changes the setup before a peer gets it. What it starts is ended
	// by what it adds to stage.after.
	prepare func(ctx context.Context, st *stage) error
	// cold has the subject's process started by run itself.
	cold bool
	// indirect leaves out the work with no proxy.
	indirect bool
	run      func(ctx context.Context, st *stage, on actor) (sample, error)
}

// stage is a workload under way.
type stage struct {
	bed      *bed
	workload workload
	dir      string
	setup    setup
	backend  *process
	registry *registry
	rate     float64
	after    []func()
}

// actor is one subject on the stage: a peer that runs, or, for a cold workload, one that the
// workload starts.
type actor struct {
	peer  peer
	setup setup
	dir   string
	subject
}

func (st *stage) clear() {
	for _, undo := range st.after {
		undo()
	}
	if st.backend != nil {
		st.backend.stop()
	}
	_ = os.RemoveAll(st.dir)
}

// measured is a workload that is one load.
func measured(l loop) func(context.Context, *stage, actor) (sample, error) {
	return measuredWarm(l, 0)
}

// measuredWarm is measured, for what takes longer to warm up.
func measuredWarm(l loop, warm time.Duration) func(context.Context, *stage, actor) (sample, error) {
	return func(ctx context.Context, st *stage, on actor) (sample, error) {
		w := st.bed.options.window
		w.warm = max(w.warm, warm)
		return measure(ctx, on.subject, l.start(on.addr), w)
	}
}

// role starts backends in a role.
func role(name string, args ...string) func() (*process, []string, error) {
	return func() (*process, []string, error) { return startRole(name, args...) }
}
