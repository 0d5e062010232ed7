package main

import (
	"context"
	"fmt"
	"os"
	"slices"
)

// result is a workload and all that was measured of it.
type result struct {
	workload workload
	names    []string // subjects, in the order of tables
	rounds   []round
	skipped  []string
}

func (b *bed) measureAll(ctx context.Context, chosen []workload) error {
	var results []result
	for i, w := range chosen {
		r, err := b.measureOne(ctx, w, fmt.Sprintf("%d/%d %s", i+1, len(chosen), w.name))
		b.clearLine()
		if ctx.Err() != nil {
			break // what was measured so far is reported
		}
		if err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
		printResult(os.Stdout, r)
		results = append(results, r)
	}
	if len(results) == 0 {
		return ctx.Err()
	}
	return b.report(results)
}

// measureOne starts all peers that can do the workload, and measures them in turn.
func (b *bed) measureOne(ctx context.Context, w workload, title string) (r result, err error) {
	r.workload = w
	b.progress(title + ": starting")
	st, err := b.enter(ctx, w)
	if err != nil {
		return r, err
	}
	defer st.clear()
	actors, skipped, err := st.cast(ctx)
	defer func() {
		for _, a := range actors {
			if a.proxy != nil {
				a.proxy.stop()
			}
		}
	}()
	if err != nil {
		return r, err
	}
	r.skipped = skipped
	for _, a := range actors {
		r.names = append(r.names, a.peer.name)
	}
	failed := map[string]bool{}
	for i := range b.options.rounds {
		this := round{}
		for k := range actors {
			a := actors[(i+k)%len(actors)]
			if failed[a.peer.name] {
				continue
			}
			b.progress(fmt.Sprintf("%s: round %d of %d, %s", title, i+1, b.options.rounds, a.peer.name))
			s, err := w.run(ctx, st, a)
			if ctx.Err() != nil {
				return r, ctx.Err()
			}
			if err != nil { // that peer cannot do it; the others go on
				failed[a.peer.name] = true
				r.skipped = append(r.skipped, fmt.Sprintf("%s, which failed: %v", a.peer.name, err))
				continue
			}
			this[a.peer.name] = s
		}
		r.rounds = append(r.rounds, this)
	}
	return r, nil
}

// cast starts all peers that can do this work, portside first. The last actor is no proxy at
// all, unless the workload leaves that out.
func (st *stage) cast(ctx context.Context) (actors []actor, skipped []string, err error) {
	for _, p := range st.bed.peers {
		if err := p.doubts(st.setup); err != nil {
			skipped = append(skipped, fmt.Sprintf("%s %v", p.name, err))
			continue
		}
		a, err := st.bring(ctx, p)
		if err != nil {
			return actors, skipped, err
		}
		actors = append(actors, a)
	}
	if st.workload.indirect {
		return actors, skipped, nil
	}
	alone := actor{peer: peer{name: direct}, setup: st.setup}
	alone.addr, alone.backend = st.setup.Backends[0], st.backend
	return append(slices.Clip(actors), alone), skipped, nil
}
