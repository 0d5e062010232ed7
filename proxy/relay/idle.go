package relay

import "time"

// looks is how often the idle clock looks within its limit, and so how late it
// may be: one part in looks.
const looks = 16

// idleClock ends a relay in which nothing moves for too long. It costs nothing
// per chunk, not even reading a clock: it compares the bytes moved with those
// of its last look.
type idleClock struct {
	relay *relay
	timer *time.Timer
	seen  int64
	since time.Time // the look that first saw no more than seen
}

func (r *relay) watchIdle() *idleClock {
	if r.cfg.Idle <= 0 {
		return nil
	}
	c := &idleClock{relay: r, since: time.Now()}
	c.timer = time.AfterFunc(c.interval(), c.look)
	return c
}

func (c *idleClock) interval() time.Duration { return max(c.relay.cfg.Idle/looks, 1) }

func (c *idleClock) look() {
	moved, now := c.relay.up.moved.Load()+c.relay.down.moved.Load(), time.Now()
	if moved != c.seen {
		c.seen, c.since = moved, now
	}
	if now.Sub(c.since) >= c.relay.cfg.Idle {
		c.relay.stop(Idle, nil)
		return
	}
	c.timer.Reset(c.interval())
}

func (c *idleClock) stop() {
	if c != nil {
		c.timer.Stop()
	}
}
