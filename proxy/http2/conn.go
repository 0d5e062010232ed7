package http2

import (
	"fmt"
	"iter"
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

func (c *conn) init(sock *socket.Conn, sent *atomic.Int64, early []byte, headMost int, window int64) {
	c.sock, c.sent = sock, sent
	c.window, c.initial, c.frames = 65535, 65535, largest
	c.credit, c.credits = window, window
	c.dec = newDecoder(headMost)
	c.in.init(sock, early, c.pause)
}

// pause is before it is waited for the peer.
func (c *conn) pause() {
	c.batch.flush()
	c.flush()
	c.mu.Lock()
	c.heap()
	c.mu.Unlock()
}

// resize takes in the peer's settings, and what they change for all streams, whose are
// yielded with mu held (RFC 9113 6.9.2).
func (c *conn) resize(f *frame, streams *uint32, all iter.Seq[*sender]) error {
	c.mu.Lock()
	widen, err := c.settings(f, streams)
	var wider []*sender
	for s := range all {
		if s.window += widen; s.window > lastID {
			err = fault(FlowControlError, "a window that is too wide")
		}
		if widen > 0 {
			wider = append(wider, s)
		}
	}
	c.mu.Unlock()
	c.wider(wider, &c.batch)
	return err
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
