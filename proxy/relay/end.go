package relay

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// End is why a relay ended.
type End int

// The ends of a relay.
const (
	Done         End = iota + 1 // both sides ended their streams
	ClientReset                 // the client was lost: reset, timed out, unreachable
	BackendReset                // the backend was lost
	Idle                        // no byte moved for too long
	Early                       // the backend ended before anybody got a byte; see [Config]
	Closed                      // cancelled: somebody else closed a conn or set a deadline
	Resting                     // it has not: it rests; see [Config]
)

func (e End) String() string {
	names := [...]string{"running", "done", "client reset", "backend reset", "idle", "early", "closed", "resting"}
	if e < 0 || int(e) >= len(names) {
		return "unknown"
	}
	return names[e]
}

// past is a deadline that wakes whoever waits.
var past = time.Unix(1, 0)

// sourceFailed looks at why src gave no bytes, and passes the end on; true
// means that it was none.
func (d *direction) sourceFailed(err error) (goOn bool) {
	r := d.relay
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return d.woken(err)
	case isClosed(err):
		r.stop(Closed, err)
	case d == &r.down && r.endEarly(err), d == &r.up && !r.tooLate():
		// Early: the client learns nothing of it.
	case d.src.gone.Load():
		// Its end is a reset, whatever it looks like.
	case err == io.EOF && d.writerMetReset():
		r.lose(d.src, syscall.ECONNRESET)
	case err == io.EOF:
		d.endClean()
	default:
		r.lose(d.src, err)
	}
	return false
}

// woken looks at why somebody woke the reader.
func (d *direction) woken(err error) (goOn bool) {
	r := d.relay
	if d.asked() {
		return true
	}
	if woken, leaves := d.dozes(); woken {
		return !leaves
	}
	switch {
	case r.stopped.Load(), d.dst.gone.Load():
		return false
	case d.src.gone.Load():
		// What it had sent before is still to be delivered.
		d.src.SetReadDeadline(time.Time{})
		d.draining = d.src.raw != nil
		if !d.draining {
			return d.sourceFailed(errDrained)
		}
		return !r.stopped.Load()
	case d == &r.up && !r.tooLate():
		return false
	}
	r.stop(Closed, err)
	return false
}

// writerMetReset reports whether what reads like a clean end is a reset that the
// other direction's write met first: it consumed the error, and the kernel then
// has but an end to report. Passed on as such it would make a whole out of a
// part.
func (d *direction) writerMetReset() bool {
	// Once both sides have ended their streams a socket is as closed as after
	// a reset. The order matters: a socket that is closed for that reason has
	// been ended before.
	return !d.back.ended.Load() && d.back.metError() && d.src.disconnected() && !d.back.ended.Load()
}

func (d *direction) endClean() {
	r := d.relay
	if d == &r.down && !r.up.ended.Load() {
		r.backendFirst = true
		r.taken = r.up.moved.Load() > 0 && r.backend.unsent() == 0
	}
	d.ended.Store(true)
	if d.back.ended.Load() {
		// Both streams have ended: the close that follows says so as well.
		d.clean = true
		return
	}
	if err := d.dst.CloseWrite(); err != nil {
		d.sinkFailed(err)
		return
	}
	d.clean = true
	r.mu.Lock()
	d.back.calm() // what answers an end is often one
	r.mu.Unlock()
}

// sinkFailed looks at why dst takes no more.
func (d *direction) sinkFailed(err error) {
	r := d.relay
	switch {
	case r.stopped.Load(), d.dst.gone.Load():
	case isClosed(err), errors.Is(err, os.ErrDeadlineExceeded):
		r.stop(Closed, err)
	default:
		r.lose(d.dst, err)
	}
}

// isClosed reports whether err is of a conn closed at this end.
func isClosed(err error) bool {
	return errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe)
}

// lose notes that a side is gone in both directions. It wakes the direction
// that reads from it, which then passes on what had come before, and the one
// that writes to it, which has nobody to write to.
func (r *relay) lose(s *side, err error) {
	end, other := ClientReset, &r.backend
	if s == &r.backend {
		end, other = BackendReset, &r.client
	}
	r.mu.Lock()
	if r.end == 0 {
		r.end, r.err = end, err
	}
	r.rouse()
	r.mu.Unlock()
	s.gone.Store(true)
	s.SetDeadline(past)
	other.SetReadDeadline(past)
}

// stop makes both directions leave, whatever they are doing. After an early
// end it does nothing: the client is the caller's again.
func (r *relay) stop(end End, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopLocked(end, err)
}

func (r *relay) stopLocked(end End, err error) {
	if r.end == Early {
		return
	}
	if r.end == 0 {
		r.end, r.err = end, err
	}
	r.rouse()
	r.stopped.Store(true)
	r.client.SetDeadline(past)
	r.backend.SetDeadline(past)
}

// finish closes the sides, the lost one first. Nothing else runs any more.
func (r *relay) finish() Result {
	if r.end == 0 {
		r.end = Done
	}
	res := Result{ToBackend: r.up.moved.Load(), ToClient: r.down.moved.Load(), End: r.end, Err: r.err, BackendFirst: r.backendFirst, Taken: r.taken}
	upCut, downCut := r.up.waiting() > 0, r.down.waiting() > 0
	if r.end == Early && upCut {
		res.Unsent = append([]byte(nil), r.up.pending...)
	}
	r.up.drop()
	r.down.drop()
	if r.end == Early {
		r.backend.Close()
		r.client.SetReadDeadline(time.Time{})
		return res
	}
	if r.client.gone.Load() {
		r.client.Close()
	}
	r.backend.close(r.client.gone.Load(), r.up.clean, upCut)
	r.client.close(r.backend.gone.Load(), r.down.clean, downCut)
	return res
}
