package relay

import (
	"sync/atomic"
	"syscall"
	"time"
)

// A relay in which nothing moves costs two goroutines with their stacks, and all
// that moving bytes needs. It can rest instead: both directions leave, and what is
// kept is what to go on with. The clock begins that, by waking the readers; each
// leaves with nothing in hand. As long as one has not left, it can call it off,
// and does so before it waits for anything but its source: then the other is
// started again.

// Rested is a relay at rest: its conns are open, and it can go on. Nothing runs.
type Rested struct {
	client, backend rest
	idle, rest      time.Duration
	firstByte       func()
	counters        *Counters
	since           time.Time // no byte moved, since then
	toBackend       kept
	toClient        kept
	backendFirst    bool
	taken           bool

	crowded func() bool

	// See step.go.
	earlyUntil time.Time
	early      error // has come
}

// dozing is how far a direction is on its way to rest.
type dozing struct {
	busy, doze atomic.Bool
	left       bool // the relay's mu guards it
}

// rest is what is kept of a side.
type rest struct {
	conn Conn
	raw  syscall.RawConn // nil: no socket
	lost error           // why it is gone, if it is
}

// kept is what is kept of a direction.
type kept struct {
	moved           int64
	pending         []byte // read, and not delivered yet
	admitted, ended bool
}

func newRested(client, backend Conn, c *Config) *Rested {
	return &Rested{
		client: rest{conn: client, raw: rawOf(client)}, backend: rest{conn: backend, raw: rawOf(backend)},
		idle: c.Idle, rest: c.Rest, firstByte: c.FirstByte, counters: c.Counters, crowded: c.Crowded,
	}
}

// Sources are the conns whose news the relay cannot go on without. The client's is one
// also when its stream has ended: the backend still works for it, until it is lost. The
// backend's is nil then.
func (q *Rested) Sources() (client, backend syscall.RawConn) {
	if !q.toClient.ended {
		backend = q.backend.raw
	}
	return q.client.raw, backend
}

// Until is when Config.Idle ends the relay, which has to be resumed for it; zero:
// never.
func (q *Rested) Until() time.Time {
	if q.idle <= 0 {
		return time.Time{}
	}
	return q.since.Add(q.idle)
}

// Resume goes on as [Run] does, once. It may rest again, unless it is told to stay
// awake.
func (q *Rested) Resume(awake bool) Result {
	cfg := Config{Idle: q.idle, Rest: q.rest, FirstByte: q.firstByte, Counters: q.counters, Crowded: q.crowded}
	if awake {
		cfg.Rest = 0
	}
	if !q.moved() {
		cfg.Early = max(time.Until(q.earlyUntil), 0)
	}
	return q.relay(&cfg).run()
}

// relay is what q was before it rested.
func (q *Rested) relay(cfg *Config) *relay {
	r := newRelay(q.client.conn, q.backend.conn, cfg)
	r.rested, r.backendFirst, r.taken = q, q.backendFirst, q.taken
	r.moved = r.moved || q.toClient.admitted
	r.up.resume(&q.toBackend)
	r.down.resume(&q.toClient)
	if err := q.client.lost; err != nil {
		r.down.sinkFailed(err)
	}
	if err := q.backend.lost; err != nil {
		r.up.sinkFailed(err)
	}
	return r
}

// of are the sides between which a direction's bytes move.
func (q *Rested) of(k *kept) (src, dst *rest) {
	if k == &q.toBackend {
		return &q.client, &q.backend
	}
	return &q.backend, &q.client
}

func (q *Rested) count(k *kept, n int) {
	k.moved += int64(n)
	switch {
	case q.counters == nil:
	case k == &q.toBackend:
		q.counters.ToBackend.Add(int64(n))
	default:
		q.counters.ToClient.Add(int64(n))
	}
}

func (d *direction) resume(k *kept) {
	d.seen = k.moved
	d.moved.Store(k.moved)
	d.pending, d.admitted, d.clean = k.pending, k.admitted, k.ended
	d.ended.Store(k.ended)
}

// mayRest reports whether to rest: both sides are sockets, nothing has been lost,
// and an early end cannot come any more. Its caller holds mu.
func (r *relay) mayRest() bool {
	return r.client.raw != nil && r.backend.raw != nil && r.end == 0 &&
		(r.moved && r.down.moved.Load() > 0 || r.cfg.Early <= 0 || time.Since(r.start) > r.cfg.Early)
}

// layDown asks both directions to leave. It reports false if one is at work. Its
// caller holds mu.
func (r *relay) layDown() bool {
	r.resting.Store(true)
	if r.up.busy.Load() || r.down.busy.Load() {
		r.resting.Store(false)
		return false
	}
	for _, d := range [...]*direction{&r.up, &r.down} {
		if !d.ended.Load() {
			d.doze.Store(true)
			d.src.SetReadDeadline(past)
		}
	}
	return true
}

// dozes reports whether a reader was woken to rest, and if so, whether it leaves.
func (d *direction) dozes() (woken, leaves bool) {
	if !d.doze.Swap(false) {
		return false, false
	}
	d.relay.mu.Lock()
	defer d.relay.mu.Unlock()
	d.left = d.relay.resting.Load()
	return true, d.left
}

// working notes that d has something to deliver, for which it may have to wait:
// the relay does not rest.
func (d *direction) working() {
	d.busy.Store(true)
	if d.relay.resting.Load() {
		d.relay.mu.Lock()
		d.relay.rouse()
		d.relay.mu.Unlock()
	}
}

// rouse calls the rest off. Its caller holds mu.
func (r *relay) rouse() {
	if !r.resting.Swap(false) {
		return
	}
	for _, d := range [...]*direction{&r.up, &r.down} {
		if !d.ask.Load() {
			d.src.SetReadDeadline(time.Time{})
		}
		if d.left {
			d.left = false
			r.other.Go(d.run)
		}
	}
	r.clock.again()
}

// rests reports whether the relay is at rest, now that both directions have left.
func (r *relay) rests() bool {
	return r.resting.Load() && !(r.up.ended.Load() && r.down.ended.Load())
}

// keep makes of r what is kept while it rests.
func (r *relay) keep() *Rested {
	since := r.clock.since
	if r.up.moved.Load() != r.up.seen || r.down.moved.Load() != r.down.seen {
		since = time.Now()
	}
	r.client.SetReadDeadline(time.Time{})
	r.backend.SetReadDeadline(time.Time{})
	q := r.rested
	if q == nil {
		q = newRested(r.client.Conn, r.backend.Conn, &r.cfg)
	}
	q.since, q.toBackend, q.toClient = since, r.up.kept(), r.down.kept()
	q.backendFirst, q.taken = r.backendFirst, r.taken
	return q
}

func (d *direction) kept() kept {
	return kept{moved: d.moved.Load(), admitted: d.admitted, ended: d.ended.Load()}
}

func rawOf(c Conn) syscall.RawConn {
	if sc, ok := c.(syscall.Conn); ok {
		raw, _ := sc.SyscallConn()
		return raw
	}
	return nil
}
