package etcd

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

// A list whose first page takes longer than a call may is asked for in smaller ones.
func TestAListComesThoughTheWayIsSlow(t *testing.T) {
	t.Parallel()
	p := startProcess(t)
	op := operatorOn(t, p.url)
	const n = 1200
	for i := range n {
		op.put(fmt.Sprintf("s/%d", i), fmt.Sprintf("10.0.%d.%d:80 %s", i/250, i%250+1, strings.Repeat(" ", 1000)))
	}
	slow := newCutter(t, p.url)
	slow.rate.Store(300_000) // 1.2 MB take 4 s
	cfg := quickly(slow.url())
	cfg.Liveness = 0
	v := follow(t, run(t, cfg), "s")
	all := func() string {
		if got := len(v.addresses()); got != n {
			return fmt.Sprintf("%d endpoints, want %d: %s", got, n, v.source.Status().Reason)
		}
		return ""
	}
	within(t, 25*time.Second, all)
	p.kill() // and again, when everybody comes back
	p.start()
	op.put("s/new", "10.0.9.9:80")
	within(t, 25*time.Second, func() string {
		if got := len(v.addresses()); got != n+1 {
			return fmt.Sprintf("%d endpoints, want %d: %s", got, n+1, v.source.Status().Reason)
		}
		return ""
	})
}

func TestPaceLearnsWhatIsTooMuch(t *testing.T) {
	late := listing{err: context.DeadlineExceeded}
	var p pace
	for i, want := range []struct {
		page int64
		wait time.Duration
	}{{2000, callTimeout}, {500, callTimeout}, {125, callTimeout}, {50, callTimeout}, {50, 2 * callTimeout}, {50, 4 * callTimeout}, {50, 4 * callTimeout}} {
		if p.page() != want.page || p.wait() != want.wait {
			t.Errorf("after %d that were late %d keys within %s are asked for, want %d within %s", i, p.page(), p.wait(), want.page, want.wait)
		}
		p.learn(late)
	}
	p.learn(listing{slowest: time.Second * 10})
	if p.slowed != mostSlowed {
		t.Errorf("one that came just in time made it %d, want %d", p.slowed, mostSlowed)
	}
	for range 10 {
		p.learn(listing{slowest: time.Millisecond})
	}
	if p != (pace{}) {
		t.Errorf("after ten that came at once it is slowed %d times, want 0", p.slowed)
	}
}
