package pool

import (
	"sync/atomic"
	"time"

	"portside/discovery"
)

// State is whether a backend gets work, and why.
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
	// The fields up to record are one cache line, and all that least_conn and
	// round_robin read and write: with thousands of backends it is cache misses that a
	// pick's time goes to.
	place  ladderPlace
	ladder atomic.Pointer[ladder] // where it stands, or nil; changes under that ladder's lock
	streak atomic.Int32           // failures since the last success
	proven atomic.Bool            // has answered since it was last in doubt
	column uint32                 // its column in tally
	life   atomic.Uint32          // counts its lives; see clearFailures
	tally  atomic.Pointer[tally]
	*record

	started atomic.Int64 // leases counted neither on a ladder nor in a tally; see work
	ended   atomic.Int64 // of those
	latency average
}

// record is what the pool knows of a backend besides. The atomic fields are for everybody;
// address never changes; pool.mu guards the rest.
type record struct {
	address  string
	left     atomic.Bool // it is gone; see Pool.join for what becomes of it if its address returns
	trial    atomic.Bool // its one trial is under way
	failures atomic.Uint64

	endpoint discovery.Endpoint // as last listed
	weight   float64
	joined   uint64 // the update with which it joined, or came back; see Pool.updates
	state    State
	reason   string // of state
	since    time.Time
	drained  bool     // by hand
	timed    bool     // it is in Pool.timed
	touched  bool     // it is in rotation.touched
	counted  standing // as the rotation has counted it
	ejection
	suspicion
	probes
}

// ejection is what becomes of a backend that fails.
type ejection struct {
	kept      bool      // in rotation all the same, because too many others are out
	trouble   trouble   // why it is kept or ejected
	unhealthy bool      // ejected by health checks, which alone bring it back
	staying   bool      // readmitted because its trial goes on; see trialStays
	level     int       // trials failed in a row
	until     time.Time // when its next trial is due
}

// suspicion is what is known of a backend that has left the registry in a mass.
type suspicion struct {
	doubted   bool // it has; unless it is ejected or draining, it is [Suspect]
	doubt     string
	suspected time.Time // since when
}

// probes are the state of a backend's probes: health checks, or those of a suspect.
type probes struct {
	probing bool      // one is under way
	probeAt time.Time // when the next one is due
	checks  int       // health checks in a row: passed > 0, failed < 0
}

// trouble is why a backend is ejected, or kept in rotation though it fails.
type trouble uint8

const (
	badAnswers    trouble = iota // its answers, or the lack of them
	cannotConnect                // it could not even be reached
	failsChecks                  // it fails health checks, whatever traffic has shown
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

// work is the number of leases ever, and of those not yet released. A lease is counted in
// one of three places, whichever is cheapest for the policy that acquires it, and perhaps
// in another when it is released: on a ladder, in a tally, or in started and ended. Only
// the sums over the three mean something.
func (b *Backend) work() (leases, inFlight int64) {
	for {
		d := b.lockLadder()
		started, ended := b.workOffLadder()
		if d != nil {
			leases, inFlight = b.place.leases, int64(b.place.inFlight)
			d.mu.Unlock()
		} else if b.ladder.Load() != nil {
			continue // it came to stand on one meanwhile, which took over some of the counts
		}
		return leases + started, inFlight + started - ended
	}
}

// workOffLadder is the work that is counted in the tally, or in started and ended.
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

// Left reports whether the backend has left the pool. If its address returns while it has
// work in flight, it is in the pool again, and Left is false.
func (b *Backend) Left() bool { return b.left.Load() }

// Proven reports whether the backend has answered since it was last in doubt.
// A caller that cannot try again once it has sent something may want to wait a
// moment for signs of life of one that is not.
func (b *Backend) Proven() bool { return b.proven.Load() }

// Failing reports whether the last work on the backend that is known of has failed.
func (b *Backend) Failing() bool { return b.streak.Load() > 0 }
