package main

import (
	"net"
	"slices"
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
	// many gives each connection another client address.
	many bool
	// seen, when set, is called with the body of each response while delays are recorded.
	// It is called concurrently.
	seen func(body []byte)
}

// schedule is an open loop at work.
type schedule struct {
	openLoop
	recording, ended atomic.Bool
	ops, faults      atomic.Int64
	wait, opened     sync.WaitGroup

	mu    sync.Mutex
	due   []time.Time // requests that found no free connection, oldest first
	free  []*lane
	lanes []*lane
}

// lane is one connection: at most one request is under way on it. Its reader always waits for
// a response, so that sending a request need not wake a goroutine first.
type lane struct {
	client
	mu  sync.Mutex // is taken after the schedule's
	due time.Time  // when the request under way should have left; zero: none is
}

func (o openLoop) start(addr string) *schedule {
	s := &schedule{openLoop: o}
	for i := range o.conns {
		l := &lane{}
		if o.many {
			l.from = &net.TCPAddr{IP: net.IPv4(127, 2, byte(i/250), byte(i%250+1))}
		}
		l.addr, l.buf, l.delay = addr, make([]byte, 16<<10), newHistogram()
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
		if l := s.take(due); l != nil {
			s.send(l, due)
		}
	}
	for _, l := range s.lanes {
		l.close()
	}
}

// take returns a free connection, locked, or notes that a request waits for one.
func (s *schedule) take(due time.Time) *lane {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.free) == 0 {
		s.due = append(s.due, due)
		return nil
	}
	l := s.free[0] // the one that has been free longest, so that all connections are used
	s.free = s.free[1:]
	l.mu.Lock()
	return l
}

// send is called with l locked, and unlocks it.
func (s *schedule) send(l *lane, due time.Time) {
	defer l.mu.Unlock()
	l.due = due
	if conn := l.conn.Load(); conn != nil {
		_, _ = conn.Write(s.request) // an error is the reader's, too
	}
}

func (s *schedule) read(l *lane) {
	err := l.dial()
	s.opened.Done()
	for s.release(l); !s.ended.Load(); {
		if err == nil {
			err = s.response(l)
		}
		if err != nil && !s.ended.Load() {
			err = s.redial(l)
		}
	}
}

// response waits for one and makes l free.
func (s *schedule) response(l *lane) error {
	body, err := l.receive()
	if err != nil {
		return err
	}
	now := time.Now()
	l.mu.Lock()
	due := l.due
	l.due = time.Time{}
	l.mu.Unlock()
	s.ops.Add(1)
	if s.recording.Load() {
		observe(l.delay, now.Sub(due))
		if s.seen != nil {
			s.seen(body)
		}
	}
	s.release(l)
	return nil
}

// redial gives l a new connection. The request under way, if any, is lost.
func (s *schedule) redial(l *lane) error {
	s.mu.Lock()
	s.free = slices.DeleteFunc(s.free, func(f *lane) bool { return f == l })
	s.mu.Unlock()
	l.mu.Lock() // whoever took l before has sent its request by then
	lost := !l.due.IsZero()
	l.due = time.Time{}
	l.close()
	err := l.dial()
	l.mu.Unlock()
	if lost || err != nil {
		s.faults.Add(1)
	}
	s.release(l)
	return err
}

// release gives l the oldest request that waits, or makes it free.
func (s *schedule) release(l *lane) {
	s.mu.Lock()
	if len(s.due) == 0 {
		s.free = append(s.free, l)
		s.mu.Unlock()
		return
	}
	due := s.due[0]
	s.due = s.due[1:]
	l.mu.Lock()
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

// delays are those of all connections. It is called after stop.
func (s *schedule) delays() *hdrhistogram.Histogram {
	sum := newHistogram()
	for _, l := range s.lanes {
		sum.Merge(l.delay)
	}
	return sum
}
