package etcd

import (
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A cutter is the network between a client and etcd, and can be unkind.
type cutter struct {
	net.Listener
	scheme, to string

	rate  atomic.Int64 // bytes a second towards the client; 0: as many as there are
	delay atomic.Int64 // nanoseconds that everything takes, each way

	mu    sync.Mutex
	mode  cutMode
	conns map[net.Conn]struct{}
	wg    sync.WaitGroup
	cond  *sync.Cond
}

type cutMode int

const (
	passing cutMode = iota
	cutting         // every connection is reset, new ones too
	mute            // everything stays open, and no byte moves
)

func newCutter(t testing.TB, endpoint string) *cutter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	scheme, to, _ := strings.Cut(endpoint, "://")
	c := &cutter{Listener: l, scheme: scheme, to: to, conns: map[net.Conn]struct{}{}}
	c.cond = sync.NewCond(&c.mu)
	c.wg.Go(c.accept)
	t.Cleanup(func() {
		l.Close()
		c.set(cutting)
		c.wg.Wait()
	})
	return c
}

func (c *cutter) url() string { return c.scheme + "://" + c.Addr().String() }

// set changes the network's mood.
func (c *cutter) set(m cutMode) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mode = m
	if m == cutting {
		for conn := range c.conns {
			conn.(*net.TCPConn).SetLinger(0)
			conn.Close()
		}
		clear(c.conns)
	}
	c.cond.Broadcast()
}

// blink cuts for a moment.
func (c *cutter) blink() {
	c.set(cutting)
	time.Sleep(50 * time.Millisecond)
	c.set(passing)
}

func (c *cutter) accept() {
	for {
		conn, err := c.Accept()
		if err != nil {
			return
		}
		if !c.admit(conn) {
			continue
		}
		back, err := net.DialTimeout("tcp", c.to, time.Second)
		if err != nil || !c.admit(back) {
			conn.Close()
			continue
		}
		c.wg.Go(func() { c.copy(back, conn, 0) })
		c.wg.Go(func() { c.copy(conn, back, c.rate.Load()) })
	}
}

func (c *cutter) admit(conn net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mode == cutting {
		conn.(*net.TCPConn).SetLinger(0)
		conn.Close()
		return false
	}
	c.conns[conn] = struct{}{}
	return true
}

func (c *cutter) copy(to, from net.Conn, rate int64) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		c.mu.Lock()
		for c.mode == mute {
			c.cond.Wait()
		}
		c.mu.Unlock()
		time.Sleep(time.Duration(c.delay.Load()))
		if rate > 0 {
			time.Sleep(time.Duration(n) * time.Second / time.Duration(rate))
		}
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
