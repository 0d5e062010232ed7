package pool

import (
	"sync/atomic"
	"time"

	"portside/discovery"
)

// State is where a backend stands.
type State string

// The states of a backend.
const (
	Active   State = "active"   // takes its share
	Ejected  State = "ejected"  // set aside for failing, one trial at a time
	Draining State = "draining" // leaving, or taken out by hand: no new work
	Suspect  State = "suspect"  // gone from the registry in a mass, still answering
)

// Backend is one address: what discovery says of it and what we have seen.
// As long as the address stays, the *Backend does. Its methods are safe for
// concurrent use.
type Backend struct {
	// One cache line, and all that least_conn and round_robin read and write. With
	// thousands of them side by side it is misses that a pick's time goes to.
	place  ladderPlace
	ladder atomic.Pointer[ladder] // where it stands; changes under the lock of that
	streak atomic.Int32           // failures since the last success
	proven atomic.Bool            // has answered since it was last in doubt
	column uint32                 // of the tally
	life   atomic.Uint32          // how often it was back from having left
	tally  atomic.Pointer[tally]
	*record

	started atomic.Int64 // leases counted here, ever; see work
	ended   atomic.Int64 // of those
	latency average
}

// record is what the pool knows of a backend's life. Where nothing else is said
// pool.mu guards it.
type record struct {
	address  string      // never changes
	left     atomic.Bool // gone: should the address return a new *Backend takes over, unless this one still has work
	trial    atomic.Bool // an ejected backend's one trial is under way
	failures atomic.Uint64

	endpoint  discovery.Endpoint
	weight    float64
	joined    uint64 // with which update, or back; see Pool.updates
	state     State
	drained   bool     // by hand
	kept      bool     // fails, but too many others are out
	trouble   trouble  // kept or ejected: for what
	doubted   bool     // gone from the registry in a mass: what is not out is suspect
	unhealthy bool     // set aside by health checks, which alone bring it back
	probing   bool     // a probe is under way
	timed     bool     // among Pool.timed
	touched   bool     // among rotation.touched
	counted   standing // by rotation

	reason    string
	since     time.Time
	level     int       // trials failed in a row
	until     time.Time // ejected: the next trial
	suspected time.Time // doubted: since when
	doubt     string    // doubted: why
	staying   bool      // back because its trial went on
	probeAt   time.Time // the next probe
	checks    int       // health checks in a row: passed > 0, failed < 0
}

// trouble is why a backend is ejected, or kept in rotation though it fails.
type trouble uint8

const (
	badAnswers    trouble = iota // its answers, or their lack
	cannotConnect                // it could not even be reached
	failsChecks                  // health checks, not what traffic has shown
)

func newBackend(address string, weight float64) *Backend {
	return &Backend{record: &record{address: address, weight: weight}}
}

// clearFailures begins another of b's lives: past failures no longer count, and leases that
// began before it teach nothing. The caller holds pool.mu.
func (b *Backend) clearFailures() {
	b.life.Add(1)
	b.trial.Store(false)
	b.streak.Store(0)
	b.level, b.checks = 0, 0
}

// reset makes b as good as new, but for the work it still has. The caller holds pool.mu.
func (b *Backend) reset(weight float64) {
	b.clearFailures()
	b.weight = weight
	b.latency.bits.Store(0)
	b.latency.stamp.Store(0)
	b.failures.Store(0)
	b.proven.Store(false)
	b.drained, b.doubted = false, false
	b.until = time.Time{}
}

// Address is host:port, to be dialled.
func (b *Backend) Address() string { return b.address }

// InFlight is the number of leases not yet released.
func (b *Backend) InFlight() int64 {
	_, inFlight := b.work()
	return inFlight
}

// work is the number of leases ever, and of those not yet released. A lease is
// counted where its policy found it cheapest, on its way in and on its way out,
// which may differ; only the sums mean something.
func (b *Backend) work() (leases, inFlight int64) {
	for {
		d := b.lockLadder()
		started, ended := b.workOffLadder()
		if d != nil {
			leases, inFlight = b.place.leases, int64(b.place.inFlight)
			d.mu.Unlock()
		} else if b.ladder.Load() != nil {
			continue // some of it went there meanwhile
		}
		return leases + started, inFlight + started - ended
	}
}

// workOffLadder is the work that is not counted on the ladder.
func (b *Backend) workOffLadder() (started, ended int64) {
	ended = b.ended.Load() // before started: what has ended had started
	t := b.tally.Load()
	if t != nil {
		ended += t.done(b.column)
	}
	started = b.started.Load()
	if t != nil {
		started += t.begun(b.column)
	}
	return started, ended
}

// Left reports whether the backend has left the pool. It may be called back.
func (b *Backend) Left() bool { return b.left.Load() }

// Proven reports whether the backend has answered since it was last in doubt.
// A caller that cannot try again once it has sent something may want to wait a
// moment for signs of life of one that is not.
func (b *Backend) Proven() bool { return b.proven.Load() }

// Failing reports whether the last that was heard of the backend is failures.
func (b *Backend) Failing() bool { return b.streak.Load() > 0 }
