package http2

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"portside/proxy/socket"
)

// conn is what both sides share: what is put down to be sent, and how much may be
// (RFC 9113 5.2).
//
// Whoever has something to say appends it to out, under mu, and then has it sent: flush
// writes as much as the kernel takes at once, and leaves the rest to a goroutine that
// waits. Only one at a time sends.
type conn struct {
	sock  *socket.Conn
	sent  *atomic.Int64 // bytes
	in    reader
	batch Batch // of whoever reads
	dec   *decoder

	mu       sync.Mutex
	out      []byte
	spare    []byte
	sending  bool           // somebody sends, or is about to
	stuck    bool           // and waits for the kernel
	closing  bool           // when all is sent, our side is over
	err      error          // why nothing can be sent any more
	moved    time.Time      // when the peer last took some of it
	left     int            // what the kernel had of it then, as creep saw it
	draining sync.WaitGroup // goroutines that wait

	window  int64 // what may be sent of bodies
	initial int64 // the window that a stream begins with, as the peer has it
	frames  int   // the longest payload that the peer takes
	list    int64 // the largest head that it takes; 0: any
	resized bool  // it has set the size of our table: the next block is to say that we have none
	blocked []*sender
	calling bool // somebody is about to have those go on
	// Of what comes: how much the peer may still send, and what of it has gone on and is
	// to be given back.
	credit, due, credits int64

	// Of whoever reads.
	block struct {
		stream uint32 // whose fields are coming; 0: none
		end    bool   // with them the stream ends
	}
}

const (
	// room is how much is put down of bodies before it is waited for the kernel.
	room = 64 << 10
	// spareMost is the largest buffer that is kept for the next time.
	spareMost = 128 << 10
	// restMost is the largest that a connection keeps while it has nothing to send.
	restMost = 4 << 10
	// heaped is how much may lie about for a peer that takes nothing: heads, answers to
	// pings and settings, resets. Whoever has more made is after our memory (CVE-2019-9512,
	// 9514, 9515).
	heaped = 4 << 20
)

// outBuffers are what bodies are put down in: room for them and for some heads.
var outBuffers = sync.Pool{New: func() any { return new([outSize]byte) }}

const outSize = room + 8<<10

func (c *conn) init(sock *socket.Conn, sent *atomic.Int64, early []byte, headMost int, window int64) {
	c.sock, c.sent = sock, sent
	c.window, c.initial, c.frames = 65535, 65535, largest
	c.credit, c.credits = window, window
	c.dec = newDecoder(headMost)
	c.in.init(sock, early, c.pause)
}

// sender is a stream's body on its way out. The connection's mu guards it.
type sender struct {
	id      uint32
	window  int64
	ended   bool // all is put down
	waiting bool // for its own window
	queued  bool // in blocked: for the connection's window, or for room
	more    resumer
}

// resumer is told that more may be sent. It is called without any lock held, and must
// not wait.
type resumer interface{ resume(*Batch) }

// put puts down as much of p as may be sent now, and with the last of it the end. What is
// left is to be put again when s.more is told. It reports how much, and whether all is
// out. The caller holds mu.
func (c *conn) put(s *sender, p []byte, end bool) (n int, all bool) {
	for c.err == nil {
		left := len(p) - n
		if left == 0 && !end {
			return n, true
		}
		m := int(min(int64(left), c.window, s.window, int64(c.frames), int64(room-len(c.out))))
		if left == 0 {
			m = 0
		} else if m <= 0 {
			break
		}
		flags := byte(0)
		if end && m == left {
			flags = flagEndStream
		}
		c.widenOut(frameHead + m)
		c.out = append(appendHead(c.out, m, kindData, flags, s.id), p[n:n+m]...)
		n += m
		c.window -= int64(m)
		s.window -= int64(m)
		if m == left {
			s.ended = end
			return n, true
		}
	}
	switch {
	case c.err != nil:
	case s.window <= 0:
		s.waiting = true
	case !s.queued:
		s.queued = true
		c.blocked = append(c.blocked, s)
	}
	return n, false
}

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

// leave forgets a stream that may be waiting. The caller holds mu.
func (c *conn) leave(s *sender) {
	s.waiting = false
	if !s.queued {
		return
	}
	s.queued = false
	for i, b := range c.blocked {
		if b == s {
			c.blocked = append(c.blocked[:i], c.blocked[i+1:]...)
			return
		}
	}
}

// unblock has those go on, in turn, who wait for room or the connection's window, as long
// as there is some.
func (c *conn) unblock(by *Batch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for n := len(c.blocked); n > 0 && len(c.blocked) > 0 && c.window > 0 && len(c.out) < room; n-- {
		s := c.blocked[0]
		c.blocked = c.blocked[1:]
		s.queued = false
		c.mu.Unlock()
		s.more.resume(by)
		c.mu.Lock()
	}
}

// wider has those of streams go on who waited for their windows.
func (c *conn) wider(streams []*sender, by *Batch) {
	for _, s := range streams {
		c.mu.Lock()
		waits := s.waiting && s.window > 0
		s.waiting = s.waiting && !waits
		c.mu.Unlock()
		if waits {
			s.more.resume(by)
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

// pause is before it is waited for the peer.
func (c *conn) pause() {
	c.batch.flush()
	c.flush()
	c.mu.Lock()
	c.heap()
	c.mu.Unlock()
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

// carries reports whether s waits for room on a connection whose peer takes what there is,
// be it slowly: it has within d.
func (c *conn) carries(s *sender, now time.Time, d time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.creep(now)
	return s.queued && c.stuck && now.Sub(c.moved) < d
}

// unsent is how much the peer has not acknowledged yet, in bytes.
func (c *conn) unsent() int {
	c.mu.Lock()
	n := len(c.out)
	c.mu.Unlock()
	return n + c.sock.Unsent()
}

// receiver is a stream's body on its way in. The connection's mu guards it.
type receiver struct {
	credit, due, credits int64 // as the connection's
}

// received takes in that n bytes of a body have come. The caller holds mu.
func (c *conn) received(r *receiver, n int64) error {
	if c.credit -= n; c.credit < 0 {
		return fault(FlowControlError, "more than the connection's window")
	}
	if r == nil {
		c.giveBack(nil, 0, n)
		return nil
	}
	if r.credit -= n; r.credit < 0 {
		c.giveBack(nil, 0, n)
		return errOverflow
	}
	return nil
}

// errOverflow is more than a stream's window.
var errOverflow = &malformedError{"more than the stream's window"}

// giveBack has the peer send n bytes more, on the stream, if it goes on, and on the
// connection. It does so when there is something to it. The caller holds mu.
func (c *conn) giveBack(r *receiver, stream uint32, n int64) {
	if c.due += n; c.due >= min(c.credits/2, 64<<10) {
		c.out = appendWord(c.out, kindWindowUpdate, 0, uint32(c.due))
		c.credit, c.due = c.credit+c.due, 0
	}
	if r == nil {
		return
	}
	if r.due += n; r.due >= r.credits/2 {
		c.out = appendWord(c.out, kindWindowUpdate, stream, uint32(r.due))
		r.credit, r.due = r.credit+r.due, 0
	}
}

// settings takes in the peer's. The caller holds mu, and has the streams' windows changed
// by what is returned.
func (c *conn) settings(f *frame, streams *uint32) (widen int64, err error) {
	for p := f.payload; len(p) >= 6; p = p[6:] {
		id, v := uint16(p[0])<<8|uint16(p[1]), uint32(p[2])<<24|uint32(p[3])<<16|uint32(p[4])<<8|uint32(p[5])
		switch id {
		case settingTableSize:
			c.resized = true
		case settingPush:
			if v > 1 {
				return 0, fault(ProtocolError, "SETTINGS_ENABLE_PUSH is neither 0 nor 1")
			}
		case settingStreams:
			*streams = v
		case settingWindow:
			if v > lastID {
				return 0, fault(FlowControlError, "SETTINGS_INITIAL_WINDOW_SIZE is too large")
			}
			widen += int64(v) - c.initial
			c.initial = int64(v)
		case settingFrameSize:
			if v < largest || v > 1<<24-1 {
				return 0, fault(ProtocolError, "SETTINGS_MAX_FRAME_SIZE is out of bounds")
			}
			c.frames = largest // it need not be more
		case settingListSize:
			c.list = int64(v)
		}
	}
	c.out = appendHead(c.out, 0, kindSettings, flagAck, 0)
	return widen, nil
}

// ping answers a ping. The caller holds mu.
func (c *conn) ping(f *frame) error {
	if f.has(flagAck) {
		return nil
	}
	c.out = append(appendHead(c.out, 8, kindPing, flagAck, 0), f.payload...)
	return nil
}

// widened takes in that more may be sent on the connection, or, if it is not nil, on s.
// The caller holds mu.
func (c *conn) widened(f *frame, s *sender) error {
	n := int64(f.word(0) & lastID)
	if n == 0 {
		return fault(ProtocolError, "a window of nothing")
	}
	window := &c.window
	if s != nil {
		window = &s.window
	}
	if *window += n; *window > lastID {
		return fault(FlowControlError, "a window that is too wide")
	}
	return nil
}

// head takes in a part of a block of fields. Done says that the block is whole: then
// it is in dec.
func (c *conn) head(f *frame) (done bool, err error) {
	if f.kind == kindHeaders {
		if err := f.unpad(); err != nil {
			return false, err
		}
		c.dec.begin()
		c.block.stream, c.block.end = f.stream, f.has(flagEndStream)
	}
	done = f.has(flagEndHeaders)
	if err := c.dec.take(f.payload, done); err != nil {
		return false, err
	}
	if done {
		c.block.stream = 0
	}
	return done, nil
}

// order holds frames to the order that they may come in (RFC 9113 6.10).
func (c *conn) order(f *frame) error {
	open := c.block.stream
	if open != 0 && (f.kind != kindContinuation || f.stream != open) || open == 0 && f.kind == kindContinuation {
		return fault(ProtocolError, fmt.Sprintf("a frame of kind %d where none may be", f.kind))
	}
	return nil
}

// end has the peer told why the connection ends, if there is a reason, and ends it.
func (c *conn) end(last uint32, err error) {
	c.in.release()
	c.batch.flush()
	c.mu.Lock()
	if code := codeOf(err); code != NoError && c.err == nil {
		c.out = appendGoAway(c.out, last, code)
	}
	c.mu.Unlock()
	c.flush()
	c.mu.Lock()
	if c.err == nil {
		c.err = err
	}
	c.mu.Unlock()
	_ = c.sock.Close()
	c.draining.Wait()
}
