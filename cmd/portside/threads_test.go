package main

import "testing"

func TestThreadsFollowTheWork(t *testing.T) {
	th := threads{cores: 2}
	for i, step := range []struct {
		used  float64
		ticks int
		want  int
	}{
		{0.1, 50, 2},                       // little from the start
		{0.4, 50, 2},                       // not enough
		{0.8, 1, busyThreads},              // much, at once
		{0.1, calmTicks - 1, busyThreads},  // not little for long
		{0.4, 1, busyThreads},              // which begins anew
		{0.1, calmTicks - 1, busyThreads},  // and again
		{0.1, 1, 2},                        // for a while
		{0.4, 1, 2}, {1.5, 1, busyThreads}, // and up again
	} {
		got := 0
		for range step.ticks {
			got = th.next(step.used)
		}
		if got != step.want {
			t.Errorf("step %d: %d threads after %d ticks at %v cores, want %d", i, got, step.ticks, step.used, step.want)
		}
	}
}
