package proxy

import (
	"sync"
	"sync/atomic"
	"time"

	"portside/pool"
	"portside/proxy/socket"
)

// backendConn is a connection to a backend, used by one request at a time.
type backendConn struct {
	socket.Conn
	backend *pool.Backend
	stock   *stock
	uses    int       // how often it was taken again after a request
	bare    bool      // the last response had no body; one may come all the same
	since   time.Time // idle since
}

// stock is what is kept of one backend: its idle connections, the most recently
// used last, and what it has answered.
type stock struct {
	classes [6]atomic.Uint64 // answers by class; [1] of 1xx to [5] of 5xx

	answers atomic.Bool // it has answered over HTTP/1

	// It has sent bytes that nobody had asked for: each of its connections is
	// looked at before it is used again.
	untidy atomic.Bool
	// How many connections in a row had ended by when they were to be used again,
	// soon after their last response.
	spent atomic.Int32

	mu       sync.Mutex
	idle     []*backendConn
	away     int           // taken out of idle by sweep, and maybe put back
	patience time.Duration // how long it keeps an idle connection, as far as we know; zero: not known
	learned  time.Time     // when that was last seen
	wary     time.Time     // until then nothing is kept
}

const (
	// maxAge is how long an idle connection is kept of a backend that has not
	// shown how long it keeps them. Servers' defaults start at 5 s (Node.js).
	maxAge = 30 * time.Second
	// settled is how long a connection is idle before it is looked after.
	settled = time.Second
	// recall is for how long it is remembered that a backend ended an idle
	// connection: it may have been restarting.
	recall = 10 * time.Minute
	// freshFor is how long a connection is taken to be alive after use: a look
	// costs a system call, and a backend that ends a connection does so at once
	// or after seconds.
	freshFor = 5 * time.Millisecond
	// hasty is how many spent connections in a row show that the backend ends each
	// after a response, without a word; then none is kept for waryFor.
	hasty   = 8
	waryFor = 10 * time.Second
)

// stockOf returns b's stock.
func (h *HTTP) stockOf(b *pool.Backend) *stock {
	if s, ok := h.stocks.Load(b); ok {
		return s.(*stock)
	}
	s, _ := h.stocks.LoadOrStore(b, &stock{})
	return s.(*stock)
}

// take returns the most recently used idle connection that is still alive, or
// nil. A request that cannot be sent twice has every one looked at.
func (s *stock) take(once bool, now time.Time) *backendConn {
	for {
		c, limit := s.pop(now)
		if c == nil {
			return nil
		}
		age := now.Sub(c.since)
		fresh := age < freshFor && !once && !c.bare && !s.untidy.Load()
		if age < limit && (fresh || s.sound(c, age)) {
			c.uses++
			return c
		}
		_ = c.Close()
	}
}

// pop takes out the most recently used idle connection, and says how old it may be.
func (s *stock) pop(now time.Time) (*backendConn, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := len(s.idle) - 1
	if last < 0 {
		return nil, 0
	}
	c := s.idle[last]
	s.idle[last] = nil
	s.idle = s.idle[:last]
	return c, s.age(now)
}

// sound looks whether c can be used: nothing may have come, not even an end. One
// that the backend ended tells how long it keeps them.
func (s *stock) sound(c *backendConn, age time.Duration) bool {
	bytes, err := c.Alive()
	switch {
	case err != nil:
		s.learn(age, c.uses == 0)
	case bytes:
		s.untidy.Store(true)
	}
	return err == nil && !bytes
}

// overlooked looks, when an answer has been waited for in vain, for bytes that came
// while c was idle, and too fresh to be looked at: the poller tells nobody of those.
func (c *backendConn) overlooked() {
	if bytes, _ := c.Alive(); bytes && c.uses > 0 {
		c.stock.untidy.Store(true)
	}
}

// learn takes in that the backend ended a connection that was idle for age.
func (s *stock) learn(age time.Duration, first bool) {
	if age >= time.Second {
		s.expect(age)
		return
	}
	// Not for being idle.
	if first && s.spent.Add(1) >= hasty {
		s.spent.Store(0)
		s.mu.Lock()
		s.wary = time.Now().Add(waryFor)
		s.mu.Unlock()
	}
}

// answered takes in that the backend has answered over HTTP/1.
func (s *stock) answered() {
	if !s.answers.Load() {
		s.answers.Store(true)
	}
}

// lasted takes in that a connection could be used again.
func (s *stock) lasted() {
	if s.spent.Load() != 0 {
		s.spent.Store(0)
	}
}

// expect takes in that the backend keeps idle connections for d.
func (s *stock) expect(d time.Duration) {
	// Under the limit by a tenth and a second, so that ours ends first.
	d = max(d*9/10-time.Second, d/2)
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.patience == 0 || d <= s.patience || now.Sub(s.learned) > recall {
		s.patience, s.learned = d, now
	}
}

// age is how old an idle connection may be. The caller holds mu.
func (s *stock) age(now time.Time) time.Duration {
	if s.patience > 0 && now.Sub(s.learned) <= recall {
		return min(s.patience, maxAge)
	}
	return maxAge
}

// put keeps c for another request, if there is room and its backend stays.
func (s *stock) put(c *backendConn, most int, now time.Time) {
	c.since = now
	s.mu.Lock()
	if len(s.idle)+s.away >= most || c.backend.Left() || now.Before(s.wary) {
		s.mu.Unlock()
		_ = c.Close()
		return
	}
	s.idle = append(s.idle, c)
	s.mu.Unlock()
}

// sweep closes idle connections that are too old or have ended; all, when told.
// Those it looks at are out of the stock for that moment, the oldest ones: takers
// find the others.
func (s *stock) sweep(now time.Time, all bool) {
	s.mu.Lock()
	limit := s.age(now)
	n := 0
	for n < len(s.idle) && (all || now.Sub(s.idle[n].since) >= settled) {
		n++
	}
	old := append([]*backendConn(nil), s.idle[:n]...)
	rest := copy(s.idle, s.idle[n:])
	clear(s.idle[rest:])
	s.idle, s.away = s.idle[:rest], s.away+n
	s.mu.Unlock()
	kept := old[:0]
	for _, c := range old {
		if age := now.Sub(c.since); !all && age < limit && s.sound(c, age) {
			kept = append(kept, c)
			continue
		}
		_ = c.Close()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away -= n
	if len(kept) > 0 {
		s.idle = append(kept, s.idle...)
	}
}

// sweepAll sweeps every backend's stock, and forgets those of backends that left.
func (h *HTTP) sweepAll(now time.Time, all bool) {
	h.stocks.Range(func(b, s any) bool {
		left := b.(*pool.Backend).Left()
		s.(*stock).sweep(now, all || left)
		if left && b.(*pool.Backend).InFlight() == 0 {
			h.stocks.Delete(b)
		}
		return true
	})
	h.h2c.sweep(now, all)
}
