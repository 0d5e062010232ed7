package proxy

import (
	"sync"
	"time"

	"portside/proxy/http2"
)

// h2cClient is a client's connection.
type h2cClient struct {
	*http2.Server
	address string
	key     uint64 // of the client, for policies with affinity
	streams crowd

	shared sync.Map // *trunks to the *trunk there that is another client's and has streams of this one
}

// remember notes that t's connection shared has streams of this client, and forgets
// those that are closed: backends come and go while a client stays.
func (c *h2cClient) remember(t *trunks, shared *trunk) {
	c.shared.Range(func(t, shared any) bool {
		if shared.(*trunk).Closed() {
			c.shared.Delete(t)
		}
		return true
	})
	c.shared.Store(t, shared)
}

// check looks whether something takes too long, as the warden does now and then.
func (c *h2cClient) check(now time.Time, tick uint64) {
	c.Check(now)
	c.Each(func(st *http2.ServerStream) { st.Owner().(*stream).check(now, tick) })
}

// crowd counts who has come in and not left. Unlike a [sync.WaitGroup], it may be
// entered while somebody waits for it to be empty; after that it is shut.
type crowd struct {
	mu    sync.Mutex
	n     int
	shut  bool
	empty chan struct{} // closed by the last to leave, once somebody waits
}

// enter reports whether one more is let in, of most.
func (c *crowd) enter(most int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.shut || c.n >= most {
		return false
	}
	c.n++
	return true
}

// none reports whether nobody is in.
func (c *crowd) none() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n == 0
}

func (c *crowd) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n--
	if c.n == 0 && c.shut {
		close(c.empty)
	}
}

// wait lets nobody in any more and returns when all have left.
func (c *crowd) wait() {
	c.mu.Lock()
	c.shut = true
	if c.n == 0 {
		c.mu.Unlock()
		return
	}
	c.empty = make(chan struct{})
	c.mu.Unlock()
	<-c.empty
}
