package http2

import "time"

// HeadClock bounds how long a client may take to send the head of one request, which
// net/http does not: other streams' frames, or none, may come meanwhile. It follows
// the frames as far as that needs (RFC 9113 4.1, 6.2, 6.10). It belongs to whoever
// reads the connection.
type HeadClock struct {
	limit time.Duration
	late  func()
	pass  int // bytes of what is passed over: at first the preface, then payloads

	frame [frameHead]byte
	got   int // bytes of it

	open  bool // a head has begun
	last  bool // the frame under way is its last
	heads int  // that have ended
	slow  *time.Timer
	timed int // heads, when slow was started
}

// NewHeadClock is the clock of a client's connection from its preface on, whose heads
// may take limit each. When one takes longer, late is called, on a goroutine of its own.
func NewHeadClock(limit time.Duration, late func()) *HeadClock {
	return &HeadClock{limit: limit, late: late, pass: len(Preface)}
}

// See takes in what has come, however it is cut.
func (h *HeadClock) See(p []byte) {
	for len(p) > 0 {
		if h.pass > 0 {
			n := min(h.pass, len(p))
			h.pass -= n
			p = p[n:]
		} else {
			n := copy(h.frame[h.got:], p)
			h.got += n
			p = p[n:]
			if h.got < frameHead {
				break
			}
			h.got = 0
			h.begin()
		}
		if h.pass == 0 && h.last {
			h.open, h.last = false, false
			h.heads++
		}
	}
	if h.slow != nil && (!h.open || h.timed != h.heads) {
		h.slow.Stop()
		h.slow = nil
	}
	if h.open && h.slow == nil {
		h.slow, h.timed = time.AfterFunc(h.limit, h.late), h.heads
	}
}

// begin takes in the head of a frame.
func (h *HeadClock) begin() {
	h.pass = int(h.frame[0])<<16 | int(h.frame[1])<<8 | int(h.frame[2])
	switch kind := h.frame[3]; {
	case kind == typeHeaders:
		h.open = true
		fallthrough
	case kind == typeContinuation && h.open:
		h.last = h.frame[4]&flagEndHeaders != 0
	}
}
