package etcd

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// KeeperState is where a registration stands.
type KeeperState string

// The states of a registration.
const (
	Waiting    KeeperState = "waiting"    // not to be in etcd now, or not yet tried
	Registered KeeperState = "registered" // in etcd, under a lease that is kept alive
	Retrying   KeeperState = "retrying"   // to be in etcd, and not known to be; tried again for ever
	Taken      KeeperState = "taken"      // another holder has the key; waiting until it is free
	Left       KeeperState = "left"       // removed for good
)

// KeeperStatus is what a keeper knows about its registration.
type KeeperStatus struct {
	Name, Key string
	State     KeeperState
	Reason    string    // why it is not registered, in plain words
	Since     time.Time // when State began
	Losses    uint64    // how often a registration that stood was found gone or changed
	TTL       time.Duration
	LeaseID   int64
}

// A Keeper keeps one key in etcd while its holder lives and is to be found
// there:
//
//	keeper := client.Keeper(registration)
//	go keeper.Run(ctx)
//	…
//	keeper.Present(healthy)   // as often as a check likes
//	…
//	keeper.Leave(ctx)         // marked as draining, where the record can say so
//	keeper.Remove(ctx)        // gone; Run returns nil
//
// It works by comparing what shall be with what is, so it does not matter how
// the two came apart: a lease that lapsed, a key deleted or overwritten by
// hand, an etcd that was killed, restored or emptied. A key that another holder
// took is not fought over. Its methods are safe for concurrent use.
type Keeper struct {
	client *Client
	key    string
	log    *slog.Logger

	mu      sync.Mutex
	want    wanted
	wrote   bool   // etcd may have it by us
	asked   uint64 // counts changes of want
	settled uint64 // the last of them that etcd has, or cannot while the key is another's
	status  KeeperStatus
	wake    chan struct{} // want changed
	moved   chan struct{} // closed, and replaced, when settled or status changes
}

// wanted is what shall be in etcd.
type wanted struct {
	reg      Registration
	absent   bool   // for now
	why      string // it is absent
	draining bool
	handedOn bool // to another keeper of the same key: that it takes it is no loss
	removed  bool // for good
}

// Keeper is a keeper of reg. It does nothing until its Run.
func (c *Client) Keeper(reg Registration) *Keeper {
	return &Keeper{
		client: c,
		key:    reg.Key,
		log:    c.log.With("name", reg.Name, "key", reg.Key),
		want:   wanted{reg: reg},
		status: KeeperStatus{Name: reg.Name, Key: reg.Key, State: Waiting, Reason: "not tried yet", Since: time.Now()},
		wake:   make(chan struct{}, 1),
		moved:  make(chan struct{}),
	}
}

// Run keeps the registration until Remove, and then returns nil, or until ctx
// ends, and then returns its error and leaves the key to its lease. It blocks. While
// another keeper of the same Client has the key, it waits for that one's end.
func (k *Keeper) Run(ctx context.Context) error {
	release, err := k.client.claims.take(ctx, k.key)
	if err != nil {
		return err
	}
	defer release()
	wait := backoff{first: 50 * time.Millisecond, most: k.patience()}
	want, _ := k.wanted()
	r := &keeping{Keeper: k, newcomer: !want.reg.Yields, ours: map[int64]bool{}, pause: wait, repairs: wait}
	defer r.stop()
	return r.run(ctx)
}

// patience is the longest wait between tries: a third of a lease, at most 5 s.
func (k *Keeper) patience() time.Duration {
	want, _ := k.wanted()
	return min(want.reg.ttl()/3, 5*time.Second)
}

// Change puts reg in the place of what was to be in etcd, under the same key,
// which is written anew and never gone meanwhile. It returns at once.
func (k *Keeper) Change(reg Registration) {
	k.ask(func(w *wanted) {
		reg.Key = k.key
		w.reg = reg
	})
}

// Present says whether the key shall be in etcd now. It is, until told
// otherwise. It returns at once.
func (k *Keeper) Present(yes bool) {
	if !yes {
		k.Withhold("not to be in etcd now")
		return
	}
	k.ask(func(w *wanted) { w.absent = false })
}

// Withhold is Present(false) that says why. It returns at once.
func (k *Keeper) Withhold(why string) {
	k.ask(func(w *wanted) { w.absent, w.why = true, why })
}

// Leave announces the departure: it puts Registration.Draining in the place of
// the value, where there is one, and returns once etcd has it.
func (k *Keeper) Leave(ctx context.Context) error {
	return k.settle(ctx, k.ask(func(w *wanted) { w.draining = w.reg.Draining != "" }))
}

// Remove deletes the key, if it is still ours, and gives its lease back. It
// returns once that is done; if ctx ends before, the key goes with its lease.
func (k *Keeper) Remove(ctx context.Context) error {
	return k.settle(ctx, k.ask(func(w *wanted) { w.removed = true }))
}

// HandOn says that another keeper is to have the key, such as one of another Client in
// its place: when it has taken it, nothing is lost. It returns at once.
func (k *Keeper) HandOn() {
	k.ask(func(w *wanted) { w.handedOn = true })
}

// Wrote reports whether the key may be in etcd by this keeper: where it is not, there is
// nothing to leave.
func (k *Keeper) Wrote() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.wrote
}

// Stands waits until the registration is in etcd as has been asked for so far, or
// another holder has its key, or it has left for good.
func (k *Keeper) Stands(ctx context.Context) error {
	_, turn := k.wanted()
	return k.until(ctx, func() bool {
		state := k.status.State
		return state == Registered && k.settled >= turn || state == Taken || state == Left
	})
}

// Status is a snapshot, safe to take at any time.
func (k *Keeper) Status() KeeperStatus {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.status
}

func (k *Keeper) ask(change func(*wanted)) (turn uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	was := k.want
	change(&k.want)
	if k.want == was {
		return k.asked
	}
	k.asked++
	select {
	case k.wake <- struct{}{}:
	default:
	}
	return k.asked
}

func (k *Keeper) wanted() (wanted, uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.want, k.asked
}

// settle waits until etcd has what was asked for with turn.
func (k *Keeper) settle(ctx context.Context, turn uint64) error {
	return k.until(ctx, func() bool { return k.settled >= turn })
}

// until waits until so, which is asked under k.mu, or ctx ends.
func (k *Keeper) until(ctx context.Context, so func() bool) error {
	for {
		k.mu.Lock()
		done, moved := so(), k.moved
		k.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-moved:
		}
	}
}

// note changes the status, and wakes who waits for it.
func (k *Keeper) note(change func(*KeeperStatus)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	change(&k.status)
	close(k.moved)
	k.moved = make(chan struct{})
}

// become logs a change of state, once.
func (k *Keeper) become(state KeeperState, reason string) {
	was := k.Status()
	want, _ := k.wanted()
	if was.State == state && was.Reason == reason {
		return
	}
	k.note(func(s *KeeperStatus) {
		if s.State != state {
			s.State, s.Since = state, time.Now()
		}
		s.Reason = reason
	})
	if was.State == state {
		return
	}
	level := slog.LevelInfo
	if state == Retrying || state == Taken && !want.handedOn {
		level = slog.LevelWarn
	}
	message := "etcd: registration is " + string(state)
	if state == Left {
		message = "etcd: deregistered"
	}
	k.log.Log(context.Background(), level, message, "was", was.State, "reason", reason, "losses", k.Status().Losses)
}
