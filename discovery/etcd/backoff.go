package etcd

import (
	"math/rand/v2"
	"time"
)

// A backoff spaces tries out: each wait is twice the last, up to most, less a random part of
// it, so that a fleet does not come back in step.
type backoff struct {
	first, most time.Duration
	tries       int
}

func (b *backoff) next() time.Duration {
	d := b.first << min(b.tries, 16)
	if d > b.most || d <= 0 {
		d = b.most
	}
	b.tries++
	return jitter(d)
}

func (b *backoff) reset() { b.tries = 0 }

// jitter is a duration between half of d and d.
func jitter(d time.Duration) time.Duration {
	if d <= 1 {
		return d
	}
	return d/2 + rand.N(d/2)
}

// tries spaces out tries by their errors: what etcd refuses is tried again slowly, since
// somebody has to change something first.
type tries struct{ soon, slow backoff }

func newTries(first, most time.Duration) *tries {
	return &tries{backoff{first: first, most: most}, backoff{first: time.Second, most: 15 * time.Second}}
}

// next is how long to wait after err.
func (t *tries) next(err error) time.Duration {
	if refused(err) {
		return t.slow.next()
	}
	return t.soon.next()
}

func (t *tries) reset() {
	t.soon.reset()
	t.slow.reset()
}

// soonest is the earlier of a and b.
func soonest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
