package main

import (
	"io"
	"sync"
	"time"
)

// outlet writes behind its writers' backs, so that nobody waits for whoever should
// be reading: a full pipe must not hold up a service. What there is no room for is
// lost, and counted. It may be used by many at once.
type outlet struct {
	out  io.Writer
	lost func(bytes int64, err error) // is told once writing fails, and how much once it goes again; it may write to the outlet

	mu      sync.Mutex
	waiting []byte
	spare   []byte        // what waiting was
	writing chan struct{} // closed when nothing waits any more; nil: nothing does
	missing int64

	// Of whoever is in write.
	failing bool
	owed    int64 // is missing, and was not told
}

const (
	// outletRoom is how many bytes may wait to be written.
	outletRoom = 1 << 20
	// outletSpare is how large a buffer is kept for what comes next.
	outletSpare = 64 << 10
)

func newOutlet(out io.Writer, lost func(bytes int64, err error)) *outlet {
	return &outlet{out: out, lost: lost}
}

// Write takes all of p, or, for want of room, nothing. It reports no error.
func (o *outlet) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.waiting)+len(p) > outletRoom {
		o.missing += int64(len(p))
		return len(p), nil
	}
	o.waiting = append(o.waiting, p...)
	if o.writing == nil {
		o.writing = make(chan struct{})
		go o.write()
	}
	return len(p), nil
}

// write writes until nothing waits.
func (o *outlet) write() {
	for {
		o.mu.Lock()
		if len(o.waiting) == 0 && o.missing == 0 {
			close(o.writing)
			o.writing = nil
			o.mu.Unlock()
			return
		}
		now, missing := o.waiting, o.missing
		o.waiting, o.spare, o.missing = o.spare[:0], nil, 0
		o.mu.Unlock()
		n, err := o.out.Write(now)
		o.account(missing+int64(len(now)-n), err)
		if cap(now) <= outletSpare {
			o.mu.Lock()
			o.spare = now
			o.mu.Unlock()
		}
	}
}

// account tells when writing begins to fail, and, when it goes again, how much was
// not written.
func (o *outlet) account(missing int64, err error) {
	o.owed += missing
	if err != nil {
		if !o.failing {
			o.failing = true
			o.lost(0, err)
		}
		return
	}
	o.failing = false
	if o.owed > 0 {
		o.lost(o.owed, nil)
		o.owed = 0
	}
}

// flush waits until all is written, but not for long.
func (o *outlet) flush() {
	o.mu.Lock()
	written := o.writing
	o.mu.Unlock()
	if written == nil {
		return
	}
	timer := time.NewTimer(time.Second)
	defer timer.Stop()
	select {
	case <-written:
	case <-timer.C:
	}
}
