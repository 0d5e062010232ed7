package proxy

import (
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"portside/proxy/http2"
	"portside/proxy/socket"
)

// h2cClient is a client's connection as net/http serves it.
type h2cClient struct {
	*socket.Conn
	early   []byte // read before it was known what the client speaks
	sent    *atomic.Int64
	address string
	key     uint64 // of the client, for policies with affinity
	streams crowd
	heads   *http2.HeadClock // of whoever reads

	shared sync.Map // *trunks to the *trunk there that is another client's and has streams of this one

	began  sync.Once
	ready  chan struct{} // closed when the preface and settings are through
	ended  sync.Once
	closed chan struct{} // closed with the connection
}

var _ net.Conn = (*h2cClient)(nil)

// remember notes that t's connection shared has streams of this client, and forgets
// those that are closed: backends come and go while a client stays.
func (c *h2cClient) remember(t *trunks, shared *trunk) {
	c.shared.Range(func(t, shared any) bool {
		if shared.(*trunk).isClosed() {
			c.shared.Delete(t)
		}
		return true
	})
	c.shared.Store(t, shared)
}

func (c *h2cClient) Read(p []byte) (n int, err error) {
	switch {
	case len(c.early) > 0:
		n = copy(p, c.early)
		c.early = c.early[n:]
	case len(p) > 0:
		n, err = c.Conn.Read(p)
	}
	c.heads.See(p[:n])
	return n, err
}

func (c *h2cClient) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.sent.Add(int64(n))
	return n, err
}

func (c *h2cClient) Close() error {
	err := c.Conn.Close()
	c.ended.Do(func() { close(c.closed) })
	return err
}

// state is told by net/http how the connection comes on.
func (c *h2cClient) state(_ net.Conn, state http.ConnState) {
	if state == http.StateActive {
		c.began.Do(func() { close(c.ready) })
	}
}

// crowd counts who has come in and not left. Unlike a [sync.WaitGroup], it may be
// entered while somebody waits for it to be empty; after that it is shut.
type crowd struct {
	mu    sync.Mutex
	n     int
	shut  bool
	empty chan struct{} // closed by the last to leave, once somebody waits
}

// enter reports whether one more is let in.
func (c *crowd) enter() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.shut {
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
