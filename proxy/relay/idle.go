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

	// The relay's mu guards the rest.
	timer   *time.Timer
	seen    int64
	since   time.Time // the look that first saw no more than seen
	stopped bool
}

func (r *relay) watchIdle() *idleClock {
	if r.cfg.Idle <= 0 {
		return nil
	}
	c := &idleClock{relay: r, since: time.Now()}
	r.mu.Lock()
	defer r.mu.Unlock()
	c.timer = time.AfterFunc(c.interval(), c.look)
	return c
}

func (c *idleClock) interval() time.Duration { return max(c.relay.cfg.Idle/looks, 1) }

func (c *idleClock) look() {
	r := c.relay
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.stopped {
		return
	}
	moved, now := r.up.moved.Load()+r.down.moved.Load(), time.Now()
	if moved != c.seen {
		c.seen, c.since = moved, now
	}
	if now.Sub(c.since) >= r.cfg.Idle {
		r.stopLocked(Idle, nil)
		return
	}
	c.timer.Reset(c.interval())
}

// stop ends the watch; it no longer touches the relay then.
func (c *idleClock) stop() {
	if c == nil {
		return
	}
	c.relay.mu.Lock()
	defer c.relay.mu.Unlock()
	c.stopped = true
	c.timer.Stop()
}
