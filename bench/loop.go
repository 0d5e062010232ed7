package main

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// loop is a closed loop: each of its connections asks, waits for the whole
// answer, and asks again.
type loop struct {
	conns int
	// open readies a client. It runs again after an error.
	open func(c *client) error
	// step is one unit of work.
	step func(c *client) error
}

// client is one connection of a loop, with all it needs allocated.
type client struct {
	addr     string
	from     net.Addr      // nil: whichever the kernel picks
	limit    time.Duration // of a connection's life; zero: none
	conn     atomic.Pointer[net.TCPConn]
	buf      []byte
	have     int // bytes in buf
	delay    *hdrhistogram.Histogram
	began    time.Time // when the unit of work that ends next began
	*channel           // of a loop of gRPC calls; else nil

	ops, bytes, faults atomic.Int64
	_                  [64]byte // counters of two clients share no cache line
}

// tick is the unit of histograms: 100 ns. They keep two digits, so 512 of them fit.
const tick = 100 * time.Nanosecond

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, int64(time.Minute/tick), 2)
}

func observe(h *hdrhistogram.Histogram, d time.Duration) {
	_ = h.RecordValue(min(max(int64(d/tick), 1), int64(time.Minute/tick)))
}

// crowd are a loop's clients at work.
type crowd struct {
	loop      loop
	clients   []*client
	recording atomic.Bool
	ended     atomic.Bool
	wait      sync.WaitGroup
	opened    sync.WaitGroup
}

func (l loop) start(addr string) *crowd {
	cr := &crowd{loop: l}
	for range l.conns {
		c := &client{addr: addr, buf: make([]byte, 16<<10), delay: newHistogram()}
		cr.clients = append(cr.clients, c)
		cr.opened.Add(1)
		cr.wait.Go(func() { cr.work(c) })
	}
	return cr
}

// connected waits until each client had its chance to open.
func (cr *crowd) connected() { cr.opened.Wait() }

func (cr *crowd) work(c *client) {
	open := cr.loop.open
	err := open(c)
	cr.opened.Done()
	for !cr.ended.Load() {
		if err != nil {
			c.faults.Add(1)
			c.close()
			time.Sleep(time.Millisecond)
			err = open(c)
			continue
		}
		c.began = time.Now()
		if err = cr.loop.step(c); err != nil {
			continue
		}
		if cr.recording.Load() {
			observe(c.delay, time.Since(c.began))
		}
		c.ops.Add(1)
	}
	c.close()
}

// stop ends all clients, those that wait for an answer included.
func (cr *crowd) stop() {
	cr.ended.Store(true)
	done := make(chan struct{})
	go func() { cr.wait.Wait(); close(done) }()
	for {
		select {
		case <-done:
			return
		case <-time.After(50 * time.Millisecond):
			for _, c := range cr.clients {
				c.close()
			}
		}
	}
}

func (cr *crowd) counts() (t totals) {
	for _, c := range cr.clients {
		t.ops += float64(c.ops.Load())
		t.bytes += float64(c.bytes.Load())
		t.faults += float64(c.faults.Load())
	}
	return t
}

func (cr *crowd) record(on bool) { cr.recording.Store(on) }

// delays are those of all clients. It is called after stop.
func (cr *crowd) delays() *hdrhistogram.Histogram {
	sum := newHistogram()
	for _, c := range cr.clients {
		sum.Merge(c.delay)
	}
	return sum
}

// dial connects c, and forgets what it had read.
func (c *client) dial() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	d := net.Dialer{LocalAddr: c.from}
	conn, err := d.DialContext(ctx, "tcp", c.addr)
	if err != nil {
		return err
	}
	if c.limit > 0 {
		_ = conn.SetDeadline(time.Now().Add(c.limit))
	}
	c.have = 0
	c.conn.Store(conn.(*net.TCPConn))
	return nil
}

func (c *client) close() {
	if conn := c.conn.Swap(nil); conn != nil {
		_ = conn.Close()
	}
}
