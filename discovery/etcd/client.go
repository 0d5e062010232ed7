package etcd

import (
	"context"
	"log/slog"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
)

const (
	// callTimeout bounds every single call. A call that takes longer is made again,
	// perhaps to another member.
	callTimeout = 3 * time.Second
	// dialTimeout bounds the first contact and the opening of a stream.
	dialTimeout = 5 * time.Second
	// listsAtOnce bounds how many prefixes are listed together, so that a
	// thousand sources coming back do not ask for everything in one moment.
	listsAtOnce = 8
)

// A Client is one connection to etcd, shared by every source and keeper made
// from it. Its methods are safe for concurrent use.
type Client struct {
	cfg      Config
	log      *slog.Logger
	lists    chan struct{} // holds a token for each list under way
	extra    []grpc.DialOption
	hedger   hedger
	leases   *leases
	keyLocks keyLocks
	chorus   chorus // what sources say of their state
	bare     chorus // and of prefixes without keys, lest a mistyped name is lost among those in sync

	mu          sync.Mutex
	now         link
	changed     chan struct{} // closed, and replaced, when now changes
	failures    int           // of the connection, since it last worked
	toldRefused bool          // that etcd refuses, since then
}

// link is what a Client knows of its connection.
type link struct {
	etcd   *clientv3.Client // nil until the first contact
	stream *stream          // nil while down
	since  time.Time        // no answer since; of no meaning while up
	err    error            // why down
}

// New returns a client that is not connected: Run connects it. A nil log writes nothing.
func New(cfg Config, log *slog.Logger) *Client {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	c := &Client{
		cfg:     cfg,
		log:     log,
		lists:   make(chan struct{}, listsAtOnce),
		now:     link{since: time.Now()},
		changed: make(chan struct{}),
		chorus:  newChorus(),
		bare:    newChorus(),
	}
	c.leases = newLeases(&c.hedger)
	return c
}

// Run keeps the connection until ctx ends, then closes it and returns ctx's error. No
// fault of etcd ends it. Sources and keepers work only while it runs; a keeper that is to
// leave must have left before ctx ends.
func (c *Client) Run(ctx context.Context) error {
	etcd, err := c.connect(ctx)
	if err != nil {
		return err
	}
	defer c.leases.renewing.Wait()
	defer etcd.Close()
	tries := newTries(50*time.Millisecond, 2*time.Second)
	for ctx.Err() == nil {
		began := time.Now()
		err := c.serve(ctx, etcd)
		if time.Since(began) > c.cfg.liveness() {
			tries.reset()
		}
		c.down(ctx, etcd, err)
		c.leases.connectionBroke()
		waitReady(ctx, etcd.ActiveConnection(), tries.next(err))
	}
	c.down(ctx, nil, context.Cause(ctx))
	return ctx.Err()
}

// connect makes the etcd client. Where a user name is configured that takes an
// answer from etcd, so it is tried until there is one.
func (c *Client) connect(ctx context.Context) (*clientv3.Client, error) {
	tries := newTries(100*time.Millisecond, 5*time.Second)
	for {
		etcd, err := c.dial(ctx)
		if err == nil {
			return etcd, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		c.down(ctx, nil, err)
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(tries.next(err)):
		}
	}
}

// serve opens one watch stream and returns why it ended.
func (c *Client) serve(ctx context.Context, etcd *clientv3.Client) error {
	s, err := openStream(ctx, etcd.ActiveConnection(), c.cfg.liveness())
	if err != nil {
		return err
	}
	s.first = c.reached
	c.up(etcd, s)
	return s.run()
}

// waitReady waits for d, or until the connection becomes ready: a wait that is meant for an
// etcd that is down is over when it is back.
func waitReady(ctx context.Context, conn *grpc.ClientConn, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	began := conn.GetState()
	if began == connectivity.Ready {
		<-ctx.Done()
		return
	}
	for state := began; state != connectivity.Ready; state = conn.GetState() {
		if !conn.WaitForStateChange(ctx, state) {
			return
		}
	}
}

// link is the present state of the connection, and a channel that is closed
// when it changes.
func (c *Client) link() (link, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now, c.changed
}

func (c *Client) up(etcd *clientv3.Client, s *stream) {
	c.set(func(l *link) { l.etcd, l.stream, l.err = etcd, s, nil })
}

// down notes that there is no stream, and why. An outage counts from when etcd last said
// anything: a stream that was opened and never heard from does not interrupt it.
func (c *Client) down(ctx context.Context, etcd *clientv3.Client, err error) {
	c.set(func(l *link) {
		if l.stream != nil {
			if at, spoke := l.stream.last(); spoke {
				l.since = at
			}
		}
		if refused(l.err) && brokenOff(err) {
			// An etcd that refuses our certificate says why, but its alert and our next
			// message cross, and we see most often a connection that breaks. The reason
			// that was seen before stands.
			err = l.err
		}
		l.etcd, l.stream, l.err = etcd, nil, err
	})
	if ctx.Err() == nil {
		c.log.Debug("etcd: no connection", "err", err)
		c.tell(err)
	}
}

// tell logs an outage once, and once more if it turns out that etcd refuses. The first
// failure is not logged: another member may answer.
func (c *Client) tell(err error) {
	c.mu.Lock()
	l := c.now
	c.failures++
	due := !c.toldRefused && (c.failures == 2 || refused(err))
	c.toldRefused = c.toldRefused || refused(err)
	c.mu.Unlock()
	if due {
		c.log.Warn("etcd: no connection, retrying", "reason", plain(err, "the connection", c.cfg.Username, l.since), "endpoints", c.cfg.Endpoints)
	}
}

// reached ends an outage: etcd has said something on a stream.
func (c *Client) reached() {
	c.mu.Lock()
	told := c.failures > 1 || c.toldRefused
	c.failures, c.toldRefused = 0, false
	c.mu.Unlock()
	if told {
		c.log.Info("etcd: connected again")
	}
}

func (c *Client) set(change func(*link)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.now)
	close(c.changed)
	c.changed = make(chan struct{})
}
