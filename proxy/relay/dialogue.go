package relay

import (
	"sync/atomic"
	"time"
)

// Bytes and the end of a stream may arrive in one wake-up, so that a reader has
// to ask once more after the last bytes, and is told to wait: two of the six
// system calls of a message and its answer. In a brisk dialogue the relay does
// not ask: the next message is a moment away, and wakes it. What that could
// miss, an end that came together with the last bytes, it asks for as soon as
// the dialogue pauses or the other side ends.
const (
	// A dialogue is brisk when brisk messages each way take no longer than
	// briskTime.
	brisk     = 64
	briskTime = brisk * 10 * time.Millisecond
	// pause is after how long without a byte a brisk dialogue is thought to
	// have paused.
	pause = 50 * time.Millisecond
)

// dialogue is how briskly messages follow one another in a direction. The clock shares
// the atomics, and has seen under the relay's mu.
type dialogue struct {
	chunks     int
	assessed   time.Time
	answers    int64 // moved the other way, when it was last assessed
	brisk, ask atomic.Bool
	seen       int64 // moved, when the clock last looked
}

// unasked reports whether to wait for the next message without asking first.
func (d *direction) unasked() bool {
	if d.chunks++; d.chunks == brisk {
		d.chunks = 0
		d.assess()
	}
	return d.brisk.Load()
}

// assess looks whether the last messages were part of a brisk dialogue.
func (d *direction) assess() {
	r, now, answers := d.relay, time.Now(), d.back.moved.Load()
	quick := now.Sub(d.assessed) <= briskTime && answers != d.answers
	d.assessed, d.answers = now, answers
	if quick == d.brisk.Load() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	d.brisk.Store(quick && r.clock.hasten())
}

// paused ends the briskness of a dialogue that has paused since the last look.
// Its caller holds mu.
func (d *direction) paused(moved int64) {
	if moved == d.seen {
		d.calm()
	}
}

// calm makes the reader ask now, if it has not, and again after each short
// read. Its caller holds mu.
func (d *direction) calm() {
	if d.brisk.Swap(false) {
		d.ask.Store(true)
		d.src.SetReadDeadline(past)
	}
}

// asked reports whether a reader was woken only to ask.
func (d *direction) asked() bool {
	if !d.ask.Swap(false) {
		return false
	}
	d.src.SetReadDeadline(time.Time{})
	// Whoever woke it for more than that did so before, or does it again.
	return !d.relay.stopped.Load() && !d.src.gone.Load() && !d.dst.gone.Load() && !d.doze.Load()
}
