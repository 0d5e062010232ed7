package main

import (
	"io"
	"sync"
	"time"
)

// asyncWriter writes in the background, so that no caller waits for a slow reader: a full
// pipe must not hold up a service. What there is no room for is lost, and counted. It is
// safe for concurrent use.
type asyncWriter struct {
	out io.Writer
	// lost is called with err when writing begins to fail, and with how many bytes were
	// lost when it works again. It may write to the asyncWriter.
	lost func(bytes int64, err error)

	mu      sync.Mutex
	waiting []byte
	spare   []byte        // an empty buffer for what comes next
	writing chan struct{} // closed when nothing waits any more; nil: nothing does
	missing int64         // bytes that there was no room for

	// Only the goroutine in write uses these.
	failing bool
	owed    int64 // bytes lost that lost was not told of
}

const (
	// asyncRoom is how many bytes may wait to be written.
	asyncRoom = 1 << 20
	// asyncSpare is how large a buffer is kept for what comes next.
	asyncSpare = 64 << 10
)

func newAsyncWriter(out io.Writer, lost func(bytes int64, err error)) *asyncWriter {
	return &asyncWriter{out: out, lost: lost}
}

// Write takes all of p, or, for want of room, nothing. It reports no error.
func (o *asyncWriter) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.waiting)+len(p) > asyncRoom {
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
func (o *asyncWriter) write() {
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
		if cap(now) <= asyncSpare {
			o.mu.Lock()
			o.spare = now
			o.mu.Unlock()
		}
	}
}

// account calls lost when writing begins to fail, and when it works again after bytes were
// lost.
func (o *asyncWriter) account(missing int64, err error) {
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
func (o *asyncWriter) flush() {
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
