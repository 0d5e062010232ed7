package etcd

import (
	"math/rand/v2"
	"time"
)

// A backoff spaces tries out: each wait is twice the last up to most, and a
// random part of it is left off so that a fleet does not come back in step.
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
