package pool

import (
	"errors"
	"maps"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"portside/discovery"
)

// What Acquire may answer instead of a backend.
var (
	ErrSyncing = errors.New("pool: the first list of backends is not in yet")
	ErrEmpty   = errors.New("pool: no backends")
	ErrTried   = errors.New("pool: every backend has been tried")
)

// ErrNotFound is the answer to [Pool.Drain], [Pool.Undrain] and [Pool.Forget] for an address
// that is not there.
var ErrNotFound = errors.New("pool: no such backend")

// Pool keeps the backends of one service. Its methods are safe for concurrent
// use.
type Pool struct {
	view      atomic.Pointer[view]
	latency   average // of all backends, for policies that have to guess one's
	leastConn *leastConn
	cores     int           // how many pick at once, at most
	synced    chan struct{} // closed when the first set is in
	wake      chan struct{} // has Run look again at what is due

	mu         sync.Mutex
	cfg        *Config
	backends   []*Backend // sorted by address
	listed     listing    // what discovery said last
	rotation   rotation   // those to choose among
	timed      []*Backend // change with time, or did when last looked at
	departures departures
	tally      *tally              // the one that has columns left; nil: none
	columns    uint32              // used of it
	inherited  map[string]bool     // addresses to be drained by hand as soon as they join
	away       map[string]*Backend // left a moment ago, or with work in flight; by address
	ejections  map[string]uint64   // by reason
	events     []Event             // not told yet
	restored   time.Time           // when the registry had what Restore was given; zero once there was an Update
	updates    uint64              // how many lists have come

	telling sync.Mutex // held while OnEvent is called
}

// New returns a pool that knows no backends yet. Trials, probes and health checks
// need [Pool.Run].
func New(cfg Config) *Pool {
	cores := min(runtime.GOMAXPROCS(0), maxStripes)
	p := &Pool{
		leastConn: newLeastConn(cores),
		cores:     cores,
		cfg:       cfg.withDefaults(),
		synced:    make(chan struct{}),
		wake:      make(chan struct{}, 1),
		ejections: map[string]uint64{},
		away:      map[string]*Backend{},
	}
	for o := range Outcome(len(outcomeLabel)) {
		if o.failure(On5xx) {
			p.ejections[o.label()] = 0 // so that the counter is there, at zero, before the first
		}
	}
	p.ejections[byCheck] = 0
	p.publish()
	return p
}

// Reconfigure replaces the pool's configuration and keeps everything else.
func (p *Pool) Reconfigure(cfg Config) {
	p.mu.Lock()
	defer p.unlock()
	now := time.Now()
	was := p.cfg.Health.Interval
	p.cfg = cfg.withDefaults()
	if p.cfg.Health.Interval < was {
		p.hastenChecks(p.cfg.Health.Interval, now)
	}
	for _, b := range slices.Clone(p.backends) {
		if b.doubted && p.cfg.Guard.Off {
			p.remove(b, "the guard is off", now)
			continue
		}
		if next := p.nextTrial(b, now); b.triable() && next.Before(b.until) {
			b.until = next // the backoff is shorter now
		}
		p.assignCell(b)
	}
	if p.cfg.Health.Interval == 0 {
		p.forgetChecks()
	}
	if p.cfg.Eject.Consecutive < 0 {
		p.readmitEjected(now)
	}
	p.publish()
	p.wakeRun()
}

// Synced is closed when the first set is in.
func (p *Pool) Synced() <-chan struct{} { return p.synced }

// Acquire chooses a backend that is not in tried and counts the work on it, in
// one step. The key is the client's, for policies with affinity. Acquire takes no
// longer with 10,000 backends than with ten, does not block and does not
// allocate; but under [Hash] a key not seen lately costs a look at every backend.
// The caller releases the lease. Errors: [ErrSyncing], [ErrEmpty], [ErrTried].
func (p *Pool) Acquire(key uint64, tried []*Backend) (Lease, error) {
	for {
		v := p.view.Load()
		if len(tried) == 0 { // a second try is not spent on a backend that failed before
			if b := v.dueTrial(); b != nil {
				return Lease{pool: p, backend: b, life: b.life.Load(), trial: true}, nil
			}
		}
		if b, c := v.picker.pick(key, tried); b != nil {
			return Lease{pool: p, backend: b, cell: c, life: b.life.Load()}, nil
		}
		if b := v.lastResort(tried); b != nil {
			return Lease{pool: p, backend: b, life: b.life.Load(), trial: true}, nil
		}
		// The first list publishes its view before it closes synced: without another look
		// at the view, none could say that a pool is empty which is not.
		if err := p.none(v); p.view.Load() == v {
			return Lease{}, err
		}
	}
}

// none says why v yielded no backend.
func (p *Pool) none(v *view) error {
	if len(v.ready) > 0 {
		return ErrTried
	}
	select {
	case <-p.synced:
		return ErrEmpty
	default:
		return ErrSyncing
	}
}

// Others reports whether there is a backend to choose that is not in tried.
func (p *Pool) Others(tried []*Backend) bool {
	return firstUntried(p.view.Load().ready, tried) != nil
}

// FailingOpen reports whether every backend that is left to choose from fails, and is
// kept only so that the pool is not empty. Second tries would then only add to the load.
func (p *Pool) FailingOpen() bool { return p.view.Load().failOpen }

// Update makes endpoints the pool's own: all that discovery knows, not a difference. A
// backend whose address stays keeps its counts, its health and its connections. The slice
// stays the caller's. A mass that leaves is doubted, see [Guard].
func (p *Pool) Update(endpoints []discovery.Endpoint) { p.update(endpoints, false) }

// Replace is [Pool.Update] for endpoints of another origin than those before: whatever is
// not among them leaves undoubted.
func (p *Pool) Replace(endpoints []discovery.Endpoint) { p.update(endpoints, true) }

func (p *Pool) update(endpoints []discovery.Endpoint, undoubted bool) {
	p.mu.Lock()
	defer p.unlock()
	now := time.Now()
	maps.DeleteFunc(p.away, func(_ string, b *Backend) bool { return now.Sub(b.since) > straggling && b.InFlight() == 0 })
	p.updates++
	was, since := len(p.listed), p.lostSince(endpoints, now)
	p.restored = time.Time{}
	gone, changed := p.match(endpoints, now)
	switch {
	case p.cfg.Guard.Off:
		changed = p.removeUndoubted(gone, deleted, now) || changed
	case undoubted:
		changed = p.removeUndoubted(gone, replaced, now) || changed
	default:
		changed = p.depart(gone, was, since, now) || changed
	}
	p.listArrived(changed)
}

// lostSince is the last moment at which the registry had, for sure, what is missing from
// endpoints, which come at now. After Restore that may be long ago, and what left long ago
// is not doubted. An empty list is the exception: most likely etcd has lost everything, so
// it is doubted as if nothing had been missed.
func (p *Pool) lostSince(endpoints []discovery.Endpoint, now time.Time) time.Time {
	switch {
	case p.restored.IsZero(), !p.restored.Before(now):
		return now
	case len(endpoints) == 0 && now.Sub(p.restored) >= p.cfg.Guard.SuspectMax:
		return now
	}
	return p.restored
}

// listArrived ends the arrival of a list: it publishes what has changed, and the first list
// ends the waiting.
func (p *Pool) listArrived(changed bool) {
	first := false
	select {
	case <-p.synced:
	default:
		first = true
	}
	if changed || first {
		p.publish()
		p.wakeRun()
	}
	if first {
		close(p.synced)
	}
}

// match brings the backends in line with endpoints. Gone are those that are not listed any
// more; they are no longer among p.backends. It reports whether a new view is needed.
func (p *Pool) match(endpoints []discovery.Endpoint, now time.Time) (gone []*Backend, changed bool) {
	aligned := len(p.backends) == len(p.listed) // each backend is listed: none is doubted
	was, is, from := p.listed.update(endpoints)
	if !aligned {
		was, is, from = len(p.backends), p.listed, 0
	}
	if was == 0 && len(is) == 0 {
		return nil, false
	}
	next, gone, changed := p.merge(p.backends[from:from+was], is, now)
	p.backends = slices.Replace(p.backends, from, from+was, next...)
	return gone, changed
}

// merge matches some backends to the endpoints that now stand in their place, both in order
// of address.
func (p *Pool) merge(old []*Backend, endpoints []discovery.Endpoint, now time.Time) (next, gone []*Backend, changed bool) {
	next = make([]*Backend, 0, len(endpoints))
	i := 0
	for _, e := range endpoints {
		for ; i < len(old) && old[i].address < e.Address; i++ {
			gone = append(gone, old[i])
		}
		if i < len(old) && old[i].address == e.Address {
			changed = p.describe(old[i], e, now) || changed
			next = append(next, old[i])
			i++
			continue
		}
		changed = true
		next = append(next, p.join(e, now))
	}
	return next, append(gone, old[i:]...), changed
}

// straggling is how long after a backend has left it may still be chosen, by an Acquire that
// had loaded the view from before.
const straggling = time.Second

// join makes the backend of a new address, with a clean record whatever a former holder of
// the address had done. If that one still has work in flight, it is called back instead,
// with its record cleared: its connections are the address's as much as new ones are.
func (p *Pool) join(e discovery.Endpoint, now time.Time) *Backend {
	b := p.away[e.Address]
	delete(p.away, e.Address)
	if b != nil && b.InFlight() > 0 {
		b.reset(weight(e))
	} else {
		b = newBackend(e.Address, weight(e))
	}
	p.assignCell(b)
	b.endpoint, b.joined = e, p.updates
	state, reason := Active, ""
	if p.inherited[e.Address] {
		delete(p.inherited, e.Address)
		b.drained, state, reason = true, Draining, byHand
	}
	if e.Draining {
		state, reason = Draining, announced
	}
	p.moved(b, state, reason, now)
	return b
}

const (
	announced = "its record says that it is leaving"
	byHand    = "drained by hand"
)

// describe applies what discovery now says of b. It reports whether a new view is needed.
func (p *Pool) describe(b *Backend, e discovery.Endpoint, now time.Time) (changed bool) {
	if !b.doubted && b.endpoint.Equal(e) {
		return false
	}
	returned := e.Returns > b.endpoint.Returns
	anew := b.doubted || returned
	if b.doubted {
		b.joined = p.updates // it was not listed meanwhile
	}
	b.endpoint, b.doubted = e, false
	if anew { // whatever state it is in
		b.clearFailures()
	}
	if returned {
		b.drained = false // which holds until it leaves, and it had
	}
	if w := weight(e); w != b.weight {
		b.weight, changed = w, true
		p.rotation.touch(b)
	}
	switch {
	case e.Draining && b.state != Draining:
		p.moved(b, Draining, announced, now)
	case !e.Draining && b.state == Draining && !b.drained:
		p.moved(b, Active, "", now)
	case anew:
		return p.readmitReturned(b, now) || changed
	default:
		return changed
	}
	return true
}

// readmitReturned makes b active again, which left the registry and is back. It reports
// whether a new view is needed.
func (p *Pool) readmitReturned(b *Backend, now time.Time) (changed bool) {
	if !b.kept && b.state != Ejected && b.state != Suspect {
		return false
	}
	p.moved(b, Active, "registered again", now)
	return true
}

func weight(e discovery.Endpoint) float64 {
	if e.Weight > 0 {
		return e.Weight
	}
	return 1
}

// Drain takes the backend at address out of rotation until [Pool.Undrain] or
// until it leaves. Its connections go on. Error: [ErrNotFound].
func (p *Pool) Drain(address string) error {
	p.mu.Lock()
	defer p.unlock()
	b := p.find(address)
	if b == nil {
		return ErrNotFound
	}
	b.drained = true
	if b.state != Draining {
		p.moved(b, Draining, byHand, time.Now())
		p.publish()
	}
	return nil
}

// Inherit prepares p, which is new, to take the place of former: a backend that is drained
// by hand there will be drained here as soon as it joins.
func (p *Pool) Inherit(former *Pool) {
	drained := map[string]bool{}
	former.mu.Lock()
	for _, b := range former.backends {
		if b.drained {
			drained[b.address] = true
		}
	}
	former.mu.Unlock()
	p.mu.Lock()
	defer p.unlock()
	p.inherited = drained
}

// Undrain undoes [Pool.Drain]. Error: [ErrNotFound].
func (p *Pool) Undrain(address string) error {
	p.mu.Lock()
	defer p.unlock()
	b := p.find(address)
	if b == nil {
		return ErrNotFound
	}
	b.drained = false
	if b.state == Draining && !b.endpoint.Draining {
		p.moved(b, b.stateInRotation(), "undrained by hand", time.Now())
		b.reason = b.doubtReason() // "undrained by hand" is for the event alone
		p.publish()
	}
	return nil
}

// find returns the backend at address, or nil. The caller holds p.mu.
func (p *Pool) find(address string) *Backend {
	i, ok := indexOf(p.backends, address)
	if !ok {
		return nil
	}
	return p.backends[i]
}
