package proxy

import (
	"sync"
	"time"

	"portside/pool"
)

// claim is one attempt's hold on its backend: a lease, on which a timer may report
// too.
type claim struct {
	mu    sync.Mutex
	lease pool.Lease
	stays *time.Timer // nil: no trial
	said  bool
	ended bool
}

// begin begins an attempt with lease.
func (c *claim) begin(lease pool.Lease) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lease, c.said, c.ended = lease, false, false
}

// connected says that there is a connection to the backend. Of a gRPC call nobody
// can tell whether it is one in which the backend will be silent for hours; where
// it decides whether an ejected backend comes back, the backend passes by staying.
func (c *claim) connected(grpc bool, response time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if grpc && c.lease.Trial() && c.stays == nil {
		b := c.lease.Backend()
		c.stays = time.AfterFunc(max(early, response), func() { c.staysOn(b) })
	}
}

// goesOn says that the response has begun, and may go on for long: a trial is not to
// wait for its end.
func (c *claim) goesOn() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lease.Trial() {
		c.lease.Stays()
	}
}

// report says how the attempt went; what is said first counts.
func (c *claim) report(o pool.Outcome) { c.reportOn(c.lease.Backend(), o) }

// reportOn is report, unless b is not that of the attempt any more.
func (c *claim) reportOn(b *pool.Backend, o pool.Outcome) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ended && c.lease.Backend() == b {
		c.lease.Report(o)
		c.said = c.said || o != pool.Unknown
	}
}

// staysOn says that the attempt goes on, unless b is not its backend any more.
func (c *claim) staysOn(b *pool.Backend) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ended && c.lease.Backend() == b {
		c.lease.Stays()
	}
}

// judged reports whether something has been said of the attempt.
func (c *claim) judged() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.said
}

// end ends the attempt.
func (c *claim) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	c.lease.Release()
	if c.stays != nil {
		c.stays.Stop()
		c.stays = nil
	}
}
