package relay

import (
	"math"
	"time"
)

// looks is how often the idle clock looks within its limit, and so how late it
// may be: one part in looks.
const looks = 16

// clock ends a relay in which nothing moves for too long. It costs nothing per
// chunk, not even reading the time: it compares the bytes moved with those of
// its last look.
type clock struct {
	relay *relay

	// The relay's mu guards the rest.
	timer   *time.Timer
	since   time.Time // the look that first saw no more bytes
	unsent  int       // by the kernel, as of the last look at it
	looked  bool      // at that, since the last byte moved
	stopped bool
}

func (r *relay) startClock() {
	if r.cfg.Idle <= 0 && r.cfg.Rest <= 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.clock = &clock{relay: r, since: time.Now()}
	first := r.clock.interval()
	if r.rested != nil {
		r.clock.since = r.rested.since
		if r.cfg.Idle > 0 {
			first = min(first, time.Until(r.rested.Until()))
		}
	}
	r.clock.timer = time.AfterFunc(first, r.clock.look)
}

func (r *relay) crowded() bool { return r.cfg.Crowded != nil && r.cfg.Crowded() }

func (c *clock) interval() time.Duration {
	interval := time.Duration(math.MaxInt64)
	for _, limit := range [...]time.Duration{c.relay.cfg.Idle / looks, c.relay.cfg.Rest} {
		if limit > 0 {
			interval = min(interval, limit)
		}
	}
	if c.relay.up.brisk.Load() || c.relay.down.brisk.Load() {
		return min(interval, pause)
	}
	return interval
}

func (c *clock) look() {
	r := c.relay
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.stopped {
		return
	}
	now := time.Now()
	for _, d := range [...]*direction{&r.up, &r.down} {
		moved := d.moved.Load()
		d.paused(moved)
		if moved != d.seen {
			d.seen, c.since, c.looked = moved, now, false
		}
	}
	if r.cfg.Idle > 0 && now.Sub(c.since) >= r.cfg.Idle/2 && c.trickles() {
		c.since = now
	}
	quiet := now.Sub(c.since)
	if r.cfg.Idle > 0 && quiet >= r.cfg.Idle {
		r.stopLocked(Idle, nil)
		return
	}
	if r.cfg.Rest > 0 && (quiet >= r.cfg.Rest || r.crowded()) && r.mayRest() && r.layDown() {
		return
	}
	c.timer.Reset(c.interval())
}

// trickles reports whether what was written moves on, though nothing more could be: the
// kernel says that there is room again only when a good part of megabytes has gone, for
// which a slow peer may take longer than the limit.
func (c *clock) trickles() bool {
	was, compared := c.unsent, c.looked
	c.unsent, c.looked = c.relay.client.unsent()+c.relay.backend.unsent(), true
	return compared && c.unsent != was
}

// again makes a clock look again that has laid its relay down. Its caller holds mu.
func (c *clock) again() {
	if !c.stopped {
		c.timer.Reset(c.interval())
	}
}

// hasten makes the clock look soon, and as often as a brisk dialogue needs;
// false means that there is no clock. Its caller holds mu.
func (c *clock) hasten() bool {
	if c == nil || c.stopped {
		return false
	}
	c.timer.Reset(min(c.interval(), pause))
	return true
}

// stop ends the clock; it no longer touches the relay then.
func (r *relay) stopClock() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.clock != nil {
		r.clock.stopped = true
		r.clock.timer.Stop()
	}
}
