package relay

import "time"

// An early end is one nobody has noticed: the backend ended, not a byte of its
// has reached the client, and none of the client's has reached the backend. The
// relay then ends as if it had never been, and the caller tries another
// backend. The two directions agree on that under mu, once each: whichever
// moves its first bytes, or ends otherwise, makes an early end impossible.

// admit lets a direction deliver its first bytes; false means that the relay
// ended early instead, or is about to.
func (d *direction) admit() bool {
	if d == &d.relay.up {
		return d.relay.admitUp()
	}
	if !d.relay.tooLate() {
		return false
	}
	if d.relay.cfg.FirstByte != nil {
		d.relay.cfg.FirstByte()
	}
	return true
}

// admitUp makes the first write itself, under the lock, where that cannot
// block: whether the backend takes the bytes decides whether it can still end
// early.
func (r *relay) admitUp() bool {
	if r.backend.raw == nil {
		return r.tooLate()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.end == Early {
		return false
	}
	before := len(r.up.pending)
	r.up.tryWrite()
	r.moved = r.moved || len(r.up.pending) < before || r.up.writeErr == nil
	return r.moved
}

// tooLate makes an early end impossible; false means that it has come before.
func (r *relay) tooLate() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.end == Early {
		return false
	}
	r.moved = true
	return true
}

// endEarly reports whether the backend's end is an early one, and if so makes
// the other direction leave.
func (r *relay) endEarly(err error) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.moved || r.stopped.Load() || time.Since(r.start) > r.cfg.Early {
		return false
	}
	r.end = Early
	if r.err == nil {
		r.err = err
	}
	r.client.SetReadDeadline(past)
	return true
}
