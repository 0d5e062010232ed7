package main

import "testing"

func TestThreadsFollowTheWork(t *testing.T) {
	th := threads{cores: 2}
	for i, step := range []struct {
		used, made float64
		ticks      int
		want       int
	}{
		{0.1, 100, 50, 2},                            // little from the start
		{0.4, 100, 50, 2},                            // not enough
		{0.8, 100, 1, busyThreads},                   // much, at once
		{0.1, 100, calmTicks - 1, busyThreads},       // not little for long
		{0.4, 100, 1, busyThreads},                   // which begins anew
		{0.1, 100, calmTicks - 1, busyThreads},       // and again
		{0.1, 100, 1, 2},                             // for a while
		{0.4, 100, 1, 2}, {1.5, 100, 1, busyThreads}, // and up again
		{1.5, 9000, calmTicks - 1, busyThreads}, // in short pieces
		{1.5, 9000, 50, 2},                      // for a while
		{1.5, 100, 1, busyThreads},
	} {
		got := 0
		for range step.ticks {
			got = th.next(step.used, step.made)
		}
		if got != step.want {
			t.Errorf("step %d: %d threads after %d ticks at %v cores, want %d", i, got, step.ticks, step.used, step.want)
		}
	}
}
