package proxy

import (
	"errors"
	"runtime"
	"slices"
	"sync/atomic"
	"time"
)

// phase is what an HTTP session waits for. Limits belong to phases: instead of
// setting a deadline before each wait, a session notes its phase and when it
// began, and the warden, which walks past several times a second, ends the waits
// that have lasted too long. A request that meets no trouble pays a few
// nanoseconds for all its limits together.
type phase uint64

// idle reports whether p waits for a request, undisturbed.
func (p phase) idle() bool { return p == phaseIdle || p == phaseParked || p == phaseResting }

// between reports whether p waits for a request, undisturbed or not.
func (p phase) between() bool { return p <= phaseResting }

const (
	phaseIdle     phase = iota + 1 // for a request to begin
	phaseRenewing                  // likewise, while the warden wakes it to go on elsewhere; see rest.go
	phaseRenewed                   // likewise, woken
	phaseParked                    // likewise, without a goroutine
	phaseResting                   // likewise, on a fresh goroutine, where nobody can be parked
	phaseHead                      // for the rest of its head
	phaseBusy                      // for ourselves, and what has limits of its own
	phaseConnect                   // for a backend, which has a limit of its own; the client may leave
	phaseResponse                  // for the head of the response
	phaseBody                      // for bytes of a body, from or to whom it may be
	phaseEnding                    // by the warden, or by who cuts it; see end
	phaseEnded                     // and woken
)

// Why the warden ended a wait.
var (
	errIdle       = errors.New("no byte moved for too long")
	errHeadSlow   = errors.New("the request head took too long")
	errBodySlow   = errors.New("the request body took too long")
	errNoResponse = errors.New("the response took too long")
	errClientGone = errors.New("the client has left")
	errDraining   = errors.New("the service is draining")
)

// endings are all of them. A session that has ended keeps the number of its own;
// errNoResponse need not be its last.
var endings = [...]error{errIdle, errHeadSlow, errBodySlow, errNoResponse, errClientGone, errDraining}

// watch is a session's phase and when it began, in one word. Times are ticks:
// milliseconds, read off a clock that the warden sets when it walks past.
type watch struct {
	word   atomic.Uint64 // phase in the low byte, above it the tick, or why it ended
	moved  atomic.Uint64 // the tick at which an upload last moved
	upload atomic.Uint32 // whom an upload that goes on waits for
}

// Whom an upload waits for.
const (
	nobody     uint32 = iota // there is none, or it is over
	forClient                // so that the backend may wait, too
	forBackend               // to take what there is
	forKernel                // of a body that came behind its head, to send the last of it
)

func (w *watch) load() (phase, uint64) {
	word := w.word.Load()
	return phase(word & 0xff), word >> 8
}

// enter begins p at tick. It reports false if the session has been ended: then a
// deadline in the past is set, or about to be, on its connections.
func (w *watch) enter(p phase, tick uint64) bool {
	for {
		old := w.word.Load()
		if phase(old&0xff) >= phaseEnding {
			return false
		}
		if w.word.CompareAndSwap(old, tick<<8|uint64(p)) {
			return true
		}
	}
}

// turn makes to of from, begun at tick, unless that is over.
func (w *watch) turn(from, to phase, tick uint64) bool {
	return w.word.CompareAndSwap(tick<<8|uint64(from), tick<<8|uint64(to))
}

// end ends the wait that was seen as p since tick, unless it is over already. The
// warden and whoever cuts the session may both try: the first one's reason, one of
// endings, holds. Who succeeds then wakes the session, and calls settle.
func (w *watch) end(p phase, tick uint64, why error) bool {
	reason := uint64(slices.Index(endings[:], why))
	return w.word.CompareAndSwap(tick<<8|uint64(p), reason<<8|uint64(phaseEnding))
}

// settle says that all who wait have been woken: deadlines are the session's own
// from now on.
func (w *watch) settle() {
	if p, reason := w.load(); p == phaseEnding {
		w.word.Store(reason<<8 | uint64(phaseEnded))
	}
}

// revive has a session go on that has ended and knows of it.
func (w *watch) revive(tick uint64) { w.word.Store(tick<<8 | uint64(phaseBusy)) }

// ended reports whether the session was ended, and if so, why. It waits for whoever
// is about to wake it.
func (w *watch) ended() (why error, is bool) {
	for {
		switch p, reason := w.load(); p {
		case phaseEnding:
			runtime.Gosched()
		case phaseEnded:
			return endings[reason], true
		default:
			return nil, false
		}
	}
}

// why is why the session was ended; nil if it was not.
func (w *watch) why() error {
	why, _ := w.ended()
	return why
}

// limits are how long each phase may last, in ticks; zero: for ever.
type limits struct {
	idle, head, response uint64
	walk                 time.Duration // how often the warden walks past, for which they are reckoned
}

// stall is how long an upload that its backend does not take may stand still: the
// response's limit, and a while in which a slow one's window may open again; zero: for
// ever.
func (l limits) stall() uint64 {
	if l.response == 0 {
		return 0
	}
	return l.response + max(l.response, 3000)
}

// shortest is the first limit that a wait in p may come to; zero: none.
func (l limits) shortest(p phase) uint64 {
	if p == phaseResponse && l.response > 0 && (l.idle == 0 || l.response < l.idle) {
		return l.response
	}
	return l.idle
}

// overdue says why a wait that was seen as p since tick is to be ended at now, or
// nil.
func (l limits) overdue(p phase, since, moved, now uint64, upload uint32) error {
	over := func(limit, since uint64) bool { return limit > 0 && now > since+limit }
	switch p {
	case phaseIdle, phaseParked, phaseResting:
		if over(l.idle, since) {
			return errIdle
		}
	case phaseHead:
		if over(l.head, since) {
			return errHeadSlow
		}
	case phaseResponse:
		// Until the backend has the whole request, its silence is no wonder.
		switch since = max(since, moved); {
		case upload == nobody && over(l.response, since):
			return errNoResponse
		case upload > forClient && over(l.stall(), since):
			return errNoResponse
		case !over(l.idle, since):
			return nil
		case upload == forClient:
			return errBodySlow
		}
		return errNoResponse
	case phaseBody:
		if over(l.idle, max(since, moved)) {
			return errIdle
		}
	}
	return nil
}

// tickFor is how often to walk past for limits to be kept to a tenth, within
// reason.
func tickFor(t Timeouts) time.Duration {
	shortest := 10 * maxTick
	for _, d := range []time.Duration{t.Idle, t.Head, t.Response} {
		if d > 0 {
			shortest = min(shortest, d)
		}
	}
	return max(shortest/10, minTick)
}

const (
	// maxTick also bounds how late it is noticed that a waiting client has left.
	maxTick = 250 * time.Millisecond
	minTick = 5 * time.Millisecond
)

// ticks is the limit, in ticks, for what may last d; none for no limit. The clock
// that since is read off may be behind by one walk.
func ticks(d, walk time.Duration) uint64 {
	if d <= 0 {
		return 0
	}
	return uint64((d+walk-1)/time.Millisecond) + 1
}

// lookEvery is how often it is looked whether a client that waits is still there,
// in ticks.
const lookEvery = 200

// dueToLook reports whether such a look became due between two walks, at before
// and now.
func dueToLook(since, before, now uint64) bool {
	return before >= since && (now-since)/lookEvery != (before-since)/lookEvery
}
