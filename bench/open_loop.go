package main

import (
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// openLoop sends requests on a schedule, whatever has become of those before.
// Latency counts from when a request was due: one that had to wait for a
// connection, because those before it were slow, has waited.
type openLoop struct {
	conns   int
	perSec  float64
	request []byte
	// many gives each connection a client's address of its own.
	many bool
	// seen, when set, is shown each response's body.
	seen func(body []byte)
}

// schedule is an open loop at work.
type schedule struct {
	openLoop
	recording, ended atomic.Bool
	ops, faults      atomic.Int64
	wait, opened     sync.WaitGroup
	done             chan struct{} // closed when nothing is sent any more

	mu    sync.Mutex
	due   []time.Time // requests that found no free connection, oldest first
	free  []*lane
	lanes []*lane
	delay *hdrhistogram.Histogram
}

// lane is one connection: at most one request is under way on it.
type lane struct {
	client
	due  time.Time     // when the request under way should have left
	sent chan struct{} // tells the reader that one is under way
}

func (o openLoop) start(addr string) *schedule {
	s := &schedule{openLoop: o, delay: newHistogram(), done: make(chan struct{})}
	for i := range o.conns {
		l := &lane{sent: make(chan struct{}, 1)}
		if o.many {
			l.from = &net.TCPAddr{IP: net.IPv4(127, 2, byte(i/250), byte(i%250+1))}
		}
		l.addr, l.buf = addr, make([]byte, 16<<10)
		s.lanes = append(s.lanes, l)
		s.opened.Add(1)
		s.wait.Go(func() { s.read(l) })
	}
	s.wait.Go(s.pace)
	return s
}

// pace lets requests go when they are due.
func (s *schedule) pace() {
	s.opened.Wait()
	pace()
	gap := time.Duration(float64(time.Second) / s.perSec)
	for due := time.Now(); !s.ended.Load(); due = due.Add(gap) {
		sleepUntil(due)
		s.mu.Lock()
		if len(s.free) == 0 {
			s.due = append(s.due, due)
			s.mu.Unlock()
			continue
		}
		l := s.free[0] // the one that rested longest, so that all clients are heard
		s.free = s.free[1:]
		s.mu.Unlock()
		s.send(l, due)
	}
	close(s.done)
	for _, l := range s.lanes {
		l.close()
	}
}

// send is called by whoever took l: the pacer, or l's own reader.
func (s *schedule) send(l *lane, due time.Time) {
	l.due = due
	if conn := l.conn.Load(); conn != nil {
		_, _ = conn.Write(s.request) // the reader sees the fault
	}
	l.sent <- struct{}{}
}

func (s *schedule) read(l *lane) {
	err := l.dial()
	s.opened.Done()
	s.release(l)
	for {
		select {
		case <-l.sent:
		case <-s.done:
			return
		}
		if err == nil {
			err = s.response(l)
		}
		if err != nil {
			if s.ended.Load() {
				return
			}
			s.faults.Add(1)
			l.close()
			err = l.dial()
		}
		s.release(l)
	}
}

func (s *schedule) response(l *lane) error {
	body, err := l.receive()
	if err != nil {
		return err
	}
	s.ops.Add(1)
	if !s.recording.Load() {
		return nil
	}
	s.mu.Lock()
	observe(s.delay, time.Since(l.due))
	s.mu.Unlock()
	if s.seen != nil {
		s.seen(body)
	}
	return nil
}

// release gives l the oldest request that waits, or makes it free.
func (s *schedule) release(l *lane) {
	if s.ended.Load() {
		return
	}
	s.mu.Lock()
	if len(s.due) == 0 {
		s.free = append(s.free, l)
		s.mu.Unlock()
		return
	}
	due := s.due[0]
	s.due = s.due[1:]
	s.mu.Unlock()
	s.send(l, due)
}

func (s *schedule) connected() { s.opened.Wait() }

func (s *schedule) counts() totals {
	return totals{ops: float64(s.ops.Load()), faults: float64(s.faults.Load())}
}

func (s *schedule) record(on bool) { s.recording.Store(on) }

func (s *schedule) stop() {
	s.ended.Store(true)
	s.wait.Wait()
}

func (s *schedule) delays() *hdrhistogram.Histogram { return s.delay }
