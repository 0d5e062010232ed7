// Package relay moves bytes both ways between a client and a backend until both
// directions have ended. Whoever moves bytes without a look at what they are does it
// here.
//
//	result := relay.Run(client, backend, relay.Config{Idle: 5 * time.Minute})
//
// What one side does, the other sees: an end of stream becomes an end of stream
// while the other direction goes on, a reset becomes a reset, and neither
// overtakes the bytes before it.
//
// There are two ways to move bytes, a goroutine for each direction (direction.go) and,
// for a relay at rest, steps on whichever goroutine finds something to do (step.go).
// What holds for ends holds in both; the tests run one body over both.
//
// The package does not choose, dial or judge backends, and knows nothing of what the
// bytes mean.
package relay

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Conn is one side of a relay: [net.TCPConn], [net.UnixConn], or anything that
// can end its own direction alone. A relay owns its conns' deadlines while it
// runs, and expects them clear at the start. Deadlines must work. One that is a
// [syscall.Conn] is read and written through its descriptor: a wrapper that
// changes what Read or Write do must not be one.
type Conn interface {
	net.Conn
	// CloseWrite ends what is written, as FIN does; reading goes on.
	CloseWrite() error
}

// Config says how a relay behaves. The zero value relays with no idle limit and
// without early ends.
type Config struct {
	// Idle ends a relay in which no byte moved in either direction for this
	// long, half-closed ones included. It may be late by a tenth. Zero: never.
	Idle time.Duration
	// Rest lets a relay of two sockets rest in which no byte moved for this
	// long: Run returns with [Resting]. It takes up to twice as long, and longer
	// while an early end may still come. Zero: it never does.
	Rest time.Duration
	// Crowded, when set, is asked now and then, and lets the relay rest though
	// bytes move. It must not block.
	Crowded func() bool
	// Brief lets a relay of two sockets rest at once: Run returns with [Resting]
	// when what the client has sent already, if anything, is with the backend.
	Brief bool
	// Early is how long after the start a backend that ends without having
	// sent a byte is reported as [Early], provided no byte of the client's had
	// been delivered to it and the client has not ended either. Zero: never.
	Early time.Duration
	// FirstByte, when set, is called once, before the backend's first bytes
	// are passed on. It must not block.
	FirstByte func()
	// Head was read from the client before, and goes to the backend first.
	Head []byte
	// BackendHead was read from the backend before, and goes to the client first.
	BackendHead []byte
	// Counters, when set, also count every byte moved.
	Counters *Counters
}

// Counters count bytes while relays move them. One may serve many relays; read
// them at any time.
type Counters struct {
	ToBackend atomic.Int64
	_         [56]byte // the two directions of a relay run on two cores
	ToClient  atomic.Int64
}

// Result is how a relay went.
type Result struct {
	// ToBackend and ToClient are the bytes handed to each side's kernel.
	ToBackend, ToClient int64
	// End is why the relay ended.
	End End
	// Err is the error that ended it; nil after [Done] and [Idle].
	Err error
	// BackendFirst says that the backend ended its stream, and not the client's
	// end before it.
	BackendFirst bool
	// Taken says that the backend, before it ended its stream first, had acknowledged
	// all that it was sent, and that this was something.
	Taken bool
	// Unsent is, after [Early], what had been read from the client and not
	// delivered: the Head of the next attempt.
	Unsent []byte
	// Rested is, after [Resting], the relay to go on with.
	Rested *Rested
}

// Run relays until both directions have ended, and returns when nothing of it
// runs any more. It works on the calling goroutine and exactly one other. Both
// conns are closed on return, except that after [Early] the client is open and
// as it was, and after [Resting] both are. To cancel, close both conns from
// outside: Run then returns at once with [Closed].
func Run(client, backend Conn, cfg Config) Result {
	if cfg.Brief && len(cfg.Head)+len(cfg.BackendHead) == 0 {
		return begin(client, backend, &cfg)
	}
	return newRelay(client, backend, &cfg).run()
}

func (r *relay) run() Result {
	r.startClock()
	r.other.Go(r.up.run)
	r.down.run()
	r.other.Wait()
	r.stopClock()
	if r.rests() {
		return Result{End: Resting, Rested: r.keep()}
	}
	return r.finish()
}

// relay is one pair of conns and what is known about both.
type relay struct {
	cfg             Config
	start           time.Time // set only when an early end is looked for
	client, backend side
	up, down        direction // to the backend, to the client
	other           sync.WaitGroup

	stopped atomic.Bool // idle or cancelled: both directions leave
	resting atomic.Bool // both directions leave for now; see rest.go
	rested  *Rested     // it has rested before

	backendFirst, taken bool // see Result; the down direction's

	mu    sync.Mutex // guards what follows; taken at the ends, never per chunk
	end   End
	err   error
	clock *clock // nil: no idle limit
	moved bool   // a byte or an end has reached the other side: too late to be early
}

func newRelay(client, backend Conn, cfg *Config) *relay {
	r := &relay{cfg: *cfg, moved: cfg.Early <= 0 || len(cfg.BackendHead) > 0}
	if !r.moved {
		r.start = time.Now()
	}
	r.client.set(client)
	r.backend.set(backend)
	r.up.between(r, &r.client, &r.backend)
	r.down.between(r, &r.backend, &r.client)
	r.up.back, r.down.back = &r.down, &r.up
	r.up.pending, r.down.pending = cfg.Head, cfg.BackendHead
	if cfg.Counters != nil {
		r.up.shared, r.down.shared = &cfg.Counters.ToBackend, &cfg.Counters.ToClient
	}
	return r
}
