package health

import (
	"cmp"
	"context"
	"math/rand/v2"
	"time"

	"portside/pool"
)

// Monitor asks one server again and again.
type Monitor struct {
	Check   Check
	Address string
	// Interval between two questions, jittered by a tenth. Zero: 2 s.
	Interval time.Duration
	// Timeout of a question. Zero: 1 s.
	Timeout time.Duration
	// Rise good answers in a row make the server healthy, Fall bad ones
	// unhealthy. Zero: 1 and 3.
	Rise, Fall int
	// Grace is how long after the start bad answers do not count.
	Grace time.Duration
}

// Run asks until ctx ends. It calls changed each time enough answers in a row
// agree on something new, first from not knowing: with nil for healthy, or with
// the last bad answer.
func (m Monitor) Run(ctx context.Context, changed func(error)) {
	interval := cmp.Or(m.Interval, 2*time.Second)
	verdict := verdict{rise: cmp.Or(m.Rise, 1), fall: cmp.Or(m.Fall, 3)}
	started, counted, passed, eager := time.Now(), time.Time{}, false, firstAgain
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		err := m.ask(ctx)
		if ctx.Err() != nil {
			return
		}
		now := time.Now()
		passed = passed || err == nil
		bad := err != nil && !pool.OwnFault(err) // who could not be asked has not answered
		if err == nil || bad && now.Sub(started) >= m.Grace && now.Sub(counted) >= interval*4/5 {
			if counted = now; verdict.take(err == nil) {
				changed(err)
			}
		}
		next := time.Duration(float64(interval) * (0.9 + 0.2*rand.Float64()))
		if !passed {
			next, eager = min(next, eager), 2*eager
		}
		timer.Reset(next)
	}
}

// firstAgain is how soon a server that has never passed is asked again, then twice
// that, up to the interval: it is starting. Its bad answers count at the usual pace.
const firstAgain = 50 * time.Millisecond

func (m Monitor) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(m.Timeout, time.Second))
	defer cancel()
	return m.Check(ctx, m.Address)
}

// verdict is what a run of answers says.
type verdict struct {
	rise, fall int
	known, ok  bool
	run        int // answers in a row that disagree with ok, or that agree while not known
}

// take takes in an answer and reports whether the verdict is new.
func (v *verdict) take(good bool) (changed bool) {
	if v.known && good == v.ok {
		v.run = 0
		return false
	}
	if !v.known && good != v.ok {
		v.ok, v.run = good, 0
	}
	v.run++
	need := v.fall
	if good {
		need = v.rise
	}
	if v.run < need {
		return false
	}
	v.known, v.ok, v.run = true, good, 0
	return true
}
