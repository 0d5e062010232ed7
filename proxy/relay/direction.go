package relay

import "sync/atomic"

// direction moves what one side sends to the other, until the source ends.
type direction struct {
	relay    *relay
	src, dst *side
	moved    atomic.Int64  // bytes that dst has taken
	shared   *atomic.Int64 // the same for a whole service; nil: not counted

	buf      *buffer     // held only while there is something to move
	pending  []byte      // read and not yet taken by dst
	splice   splice      // instead of the two, for long flows
	admitted bool        // the first bytes were allowed to pass
	draining bool        // src is gone: nothing follows what has already come
	ended    atomic.Bool // the end of src's stream is being passed on
	clean    bool        // the end of src's stream was passed on to dst

	back *direction // the other one
	dialogue
	dozing

	readErr, writeErr error        // set by the callbacks
	writing           atomic.Int32 // calls under way or failed; the other direction asks

	// The callbacks given to the sockets, made once so that no chunk allocates.
	onReadable, onWritable, onWritableOnce func(fd uintptr) (done bool)
}

func (d *direction) between(r *relay, src, dst *side) {
	d.relay, d.src, d.dst = r, src, dst
	d.splice.after = spliceAfter
	d.onReadable, d.onWritable, d.onWritableOnce = d.pump, d.push, d.pushOnce
}

// run moves bytes until the direction has ended, and passes its end on. What
// stays pending then could not be delivered.
func (d *direction) run() {
	for !d.ended.Load() && d.deliver() && d.read() {
	}
}

// read waits until bytes are pending; false means that no more will be.
func (d *direction) read() bool {
	for d.waiting() == 0 {
		if err := d.fetch(); err != nil && !d.sourceFailed(err) {
			return false
		}
	}
	return true
}

// deliver waits until dst has taken what is pending; false means that it won't.
func (d *direction) deliver() bool {
	if d.waiting() == 0 {
		return true
	}
	d.working()
	if !d.admitted {
		d.admitted = d.admit()
	}
	for d.admitted && d.writeErr == nil && d.waiting() > 0 {
		d.write()
	}
	if d.writeErr != nil {
		d.sinkFailed(d.writeErr)
	}
	if d.writeErr != nil || !d.admitted {
		return false
	}
	d.drop()
	d.busy.Store(false)
	return true
}

// waiting is how many bytes were read and not yet taken by dst.
func (d *direction) waiting() int { return len(d.pending) + d.splice.held }

// fetch waits for bytes from src.
func (d *direction) fetch() error {
	if d.src.raw != nil {
		return d.fetchSocket()
	}
	d.take()
	n, err := d.src.Read(d.buf[:])
	if n > 0 {
		d.pending = d.buf[:n]
		return nil // the error, if any, comes again
	}
	d.drop()
	return err
}

// write writes what is pending to dst, waiting where dst makes it wait.
func (d *direction) write() {
	switch {
	case d.splice.held > 0:
		d.writeSocket(d.splice.onWritable)
		return
	case d.dst.raw != nil:
		d.writeSocket(d.onWritable)
		return
	}
	n, err := d.dst.Write(d.pending)
	d.took(n)
	d.writeErr = err
}

// took notes that dst has taken n of the pending bytes.
func (d *direction) took(n int) {
	d.pending = d.pending[n:]
	d.count(n)
}

func (d *direction) count(n int) {
	d.moved.Add(int64(n))
	if d.shared != nil {
		d.shared.Add(int64(n))
	}
}

func (d *direction) take() {
	if d.buf == nil {
		d.buf = buffers.Get().(*buffer)
	}
}

func (d *direction) drop() {
	d.pending = nil
	if d.buf != nil {
		buffers.Put(d.buf)
		d.buf = nil
	}
	d.splice.drop()
}
