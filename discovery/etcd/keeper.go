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
	Waiting    KeeperState = "waiting"    // not wanted in etcd now, or not tried yet
	Registered KeeperState = "registered" // in etcd, under a lease that is kept alive
	Retrying   KeeperState = "retrying"   // wanted in etcd, and not known to be there; tried again for ever
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
// It works by comparing what is to be in etcd with what is there, so it does not matter
// how the two came to differ: a lease that expired, a key deleted or overwritten by hand,
// an etcd that was killed, restored or emptied. A key that another holder has taken is not
// fought over. Its methods are safe for concurrent use.
type Keeper struct {
	client *Client
	key    string
	log    *slog.Logger

	mu      sync.Mutex
	want    wanted
	wrote   bool   // we may have the key in etcd
	turn    uint64 // counts changes of want
	settled uint64 // the last turn that etcd has, or cannot have while the key is another's
	status  KeeperStatus
	wake    chan struct{} // want changed
	moved   chan struct{} // closed, and replaced, when settled or status changes
}

// wanted is what is to be in etcd.
type wanted struct {
	reg      Registration
	absent   bool   // there is to be no key for now
	why      string // it is absent
	draining bool
	handedOn bool // another keeper may take the key, which is then no loss
	removed  bool // there is to be no key any more
}

// Keeper returns a keeper of reg. It does nothing until its Run.
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
	release, err := k.client.keyLocks.take(ctx, k.key)
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

// Change replaces the registration by reg, but for its key. The key is written again and
// never gone meanwhile. It returns at once.
func (k *Keeper) Change(reg Registration) {
	k.changeWanted(func(w *wanted) {
		reg.Key = k.key
		w.reg = reg
	})
}

// Present says whether the key is to be in etcd now. At first it is. It returns at once.
func (k *Keeper) Present(yes bool) {
	if !yes {
		k.Withhold("not to be in etcd now")
		return
	}
	k.changeWanted(func(w *wanted) { w.absent = false })
}

// Withhold is Present(false) with a reason, for Status. It returns at once.
func (k *Keeper) Withhold(why string) {
	k.changeWanted(func(w *wanted) { w.absent, w.why = true, why })
}

// Leave announces the departure: it puts Registration.Draining in the place of
// the value, where there is one, and returns once etcd has it.
func (k *Keeper) Leave(ctx context.Context) error {
	return k.settle(ctx, k.changeWanted(func(w *wanted) { w.draining = w.reg.Draining != "" }))
}

// Remove deletes the key, if it is still ours, and gives its lease back. It
// returns once that is done; if ctx ends before, the key goes with its lease.
func (k *Keeper) Remove(ctx context.Context) error {
	return k.settle(ctx, k.changeWanted(func(w *wanted) { w.removed = true }))
}

// HandOn says that another keeper is to take the key, such as one of a Client that replaces
// this one's: when it has, that does not count as a loss. It returns at once.
func (k *Keeper) HandOn() {
	k.changeWanted(func(w *wanted) { w.handedOn = true })
}

// Wrote reports whether this keeper may have the key in etcd; if not, there is nothing to
// leave.
func (k *Keeper) Wrote() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.wrote
}

// Stands waits until the registration is in etcd as asked for so far, or another holder has
// its key, or it has left for good. Its error is why ctx has ended before.
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

func (k *Keeper) changeWanted(change func(*wanted)) (turn uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	was := k.want
	change(&k.want)
	if k.want == was {
		return k.turn
	}
	k.turn++
	select {
	case k.wake <- struct{}{}:
	default:
	}
	return k.turn
}

func (k *Keeper) wanted() (wanted, uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.want, k.turn
}

// settle waits until etcd has what was wanted at turn.
func (k *Keeper) settle(ctx context.Context, turn uint64) error {
	return k.until(ctx, func() bool { return k.settled >= turn })
}

// until waits until so, which is called with k.mu held, is true or ctx ends.
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

// note changes the status, and wakes those that wait for it.
func (k *Keeper) note(change func(*KeeperStatus)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	change(&k.status)
	close(k.moved)
	k.moved = make(chan struct{})
}

// become sets the state, and logs it if it is another one than before.
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
