package http2

import (
	"sync"
	"time"
)

// outBuffers are what bodies are put down in: room for them and for some heads.
var outBuffers = sync.Pool{New: func() any { return new([outSize]byte) }}

const outSize = room + 8<<10

// widenOut has out take n bytes more, in a buffer that is lent. The caller holds mu.
func (c *conn) widenOut(n int) {
	if n += len(c.out); n > cap(c.out) && n > restMost && n <= outSize {
		c.out = append(outBuffers.Get().(*[outSize]byte)[:0], c.out...)
	}
}

// shed gives the buffers back, as there is nothing to send: a connection may rest for
// hours. The caller holds mu.
func (c *conn) shed() {
	for _, b := range [...]*[]byte{&c.out, &c.spare} {
		if cap(*b) == outSize {
			outBuffers.Put((*[outSize]byte)((*b)[:outSize]))
		}
		if cap(*b) > restMost {
			*b = nil
		}
	}
}

// heap ends the connection if too much lies about for its peer. The caller holds mu.
func (c *conn) heap() {
	if len(c.out) > heaped && c.err == nil {
		c.err = errHeaped
		_ = c.sock.Close()
	}
}

// blocks appends a block of fields. The caller holds mu.
func (c *conn) blocks(block []byte, end bool, stream uint32) {
	if c.resized {
		c.resized = false
		block = append([]byte{noTable}, block...)
	}
	c.widenOut(frameHead + len(block)) // a long one may take more
	c.out = appendBlock(c.out, block, end, stream, c.frames)
	c.heap()
}

// flush has what was put down sent. It does not wait.
func (c *conn) flush() {
	c.mu.Lock()
	if c.sending || len(c.out) == 0 {
		c.mu.Unlock()
		return
	}
	c.sending = true
	c.mu.Unlock()
	c.send()
}

// send sends until there is nothing more. The caller has set sending.
func (c *conn) send() {
	for {
		p := c.next()
		if p == nil {
			return
		}
		n, err := c.sock.Offer(p)
		c.sent.Add(int64(n))
		if err == nil && n < len(p) {
			c.mu.Lock()
			over := c.err != nil
			if !over { // nobody waits for it yet
				c.draining.Go(func() { c.drain(p, n) })
			}
			c.mu.Unlock()
			if !over {
				return
			}
		}
		c.took(p, err)
	}
}

// drain sends what the kernel did not take at once, waiting for it.
func (c *conn) drain(p []byte, from int) {
	for p != nil {
		var err error
		for from < len(p) && err == nil {
			c.mu.Lock()
			c.stuck, c.moved = true, time.Now()
			c.mu.Unlock()
			var n int
			n, err = c.sock.Write(p[from:min(len(p), from+largest)])
			c.sent.Add(int64(n))
			from += n
		}
		c.mu.Lock()
		c.stuck = false
		c.mu.Unlock()
		c.took(p, err)
		p, from = c.next(), 0
	}
}

// next is what is to be sent now; nil: nothing, and nobody sends any more.
func (c *conn) next() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.out) == 0 || c.err != nil {
		c.sending, c.out = false, c.out[:0]
		c.shed()
		c.close()
		return nil
	}
	p := c.out
	c.out, c.spare = c.spare[:0], nil
	return p
}

// close ends our side of the connection, if that is due. The caller holds mu.
func (c *conn) close() {
	if c.closing && !c.sending && len(c.out) == 0 && c.err == nil {
		c.err = ErrClosed
		_ = c.sock.CloseWrite()
	}
}

// took says that p is out, or what became of it.
func (c *conn) took(p []byte, err error) {
	c.mu.Lock()
	if cap(p) <= spareMost {
		c.spare = p[:0]
	}
	if err != nil && c.err == nil {
		c.err = err
	}
	if len(c.blocked) > 0 && c.window > 0 && c.err == nil && !c.calling {
		c.calling = true
		// Not here: it may be one of those who wait that sends.
		c.draining.Go(func() {
			c.mu.Lock()
			c.calling = false
			c.mu.Unlock()
			c.unblock(nil)
		})
	}
	c.mu.Unlock()
	if err != nil {
		_ = c.sock.Close() // who reads tells everybody
	}
}

// creep takes in whether a peer that is waited for takes what the kernel has, which says
// that there is room only when a good part of megabytes has gone. The caller holds mu.
func (c *conn) creep(now time.Time) {
	if !c.stuck {
		return
	}
	if n := c.sock.Unsent(); n != c.left {
		c.left, c.moved = n, now
	}
}

// stuckSince is since when the peer has taken nothing of what there is; zero: it takes it.
func (c *conn) stuckSince(now time.Time) (since time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.creep(now)
	if c.stuck {
		since = c.moved
	}
	return since
}

// unsent is how much the peer has not acknowledged yet, in bytes.
func (c *conn) unsent() int {
	c.mu.Lock()
	n := len(c.out)
	c.mu.Unlock()
	return n + c.sock.Unsent()
}
