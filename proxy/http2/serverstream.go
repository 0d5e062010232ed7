package http2

import "time"

// ServerStream is a request of a client's, and the response to it. Its methods may be
// called at any time, and do not wait.
type ServerStream struct {
	Request
	Body Body

	c      *Server
	events Events
	sender
	receiver

	// Under c's mu.
	ended  bool  // the client has ended its side
	headed bool  // the response's head is put down
	gone   error // why nothing can be put down any more
}

// Events are told to the owner of a stream, who must not wait. What is put down
// meanwhile is to be sent by way of the batch.
type Events interface {
	// Gone: the client has left.
	Gone(*Batch)
	// Moved: bytes have moved.
	Moved()
	// News: the body turned out to be broken, or there may be room for more of the response.
	News(*Batch)
}

// NewStream is a stream of a request alone, whose client nobody can answer.
func NewStream(r Request) *ServerStream {
	st := &ServerStream{Request: r, c: &Server{}}
	st.Body.init(st)
	return st
}

// Own accepts the stream: it is one of its connection's from now on, and e is told of
// events.
func (st *ServerStream) Own(e Events) {
	st.events = e
	c := st.c
	c.mu.Lock()
	st.sender.window = c.initial
	c.streams[st.id], c.quiet = st, time.Time{}
	c.mu.Unlock()
}

// Refuse has the client know that the stream, which is nobody's, is not served.
func (st *ServerStream) Refuse(code Code) { st.c.say(st.id, code) }

// Owner is who was given to Own.
func (st *ServerStream) Owner() Events { return st.events }

func (st *ServerStream) resume(by *Batch) { st.events.News(by) }

// over ends the stream for a reason of the client's.
func (st *ServerStream) over(why error, by *Batch) {
	if st.leave(why) {
		st.events.Gone(by)
	}
}

// refuse resets the stream for what the client has done.
func (st *ServerStream) refuse(code Code, by *Batch) {
	st.spoil()
	st.Reset(code)
	st.events.Gone(by)
}

// spoil takes in that the client has undone the request by what it sent.
func (st *ServerStream) spoil() {
	st.c.mu.Lock()
	st.c.waste(st)
	st.c.mu.Unlock()
}

// leave takes the stream out of its connection. It reports false if it was already.
func (st *ServerStream) leave(why error) bool {
	c := st.c
	c.mu.Lock()
	defer c.mu.Unlock()
	return st.forget(why)
}

// forget is leave for who holds mu.
func (st *ServerStream) forget(why error) bool {
	if st.gone != nil {
		return false
	}
	c := st.c
	st.gone = why
	c.conn.leave(&st.sender)
	if c.streams == nil {
		return true
	}
	delete(c.streams, st.id)
	if len(c.streams) == 0 {
		c.quiet = time.Now()
		c.closing = c.closing || c.shut && !c.coming
	}
	return true
}

// Carried reports whether something of the stream is on its way, to a client or a backend
// that takes what there is, be it slowly: it has within d.
func (st *ServerStream) Carried(now time.Time, d time.Duration) bool {
	return st.c.carries(&st.sender, now, d) || st.Body.carried(now, d)
}

// Reset has the client know that nothing more will come.
func (st *ServerStream) Reset(code Code) {
	c := st.c
	c.mu.Lock()
	if st.forget(ErrClosed) && c.err == nil {
		c.out = appendWord(c.out, kindReset, st.id, uint32(code))
		c.heap()
	}
	c.mu.Unlock()
}

// Head puts down the head of the response; with it the response ends, if told.
func (st *ServerStream) Head(block []byte, end bool) error {
	c := st.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if st.gone != nil {
		return st.gone
	}
	st.headed = true
	st.sender.ended = end
	c.blocks(block, end, st.id)
	return nil
}

// Interim puts down a response before the response (1xx), unless that has begun.
func (st *ServerStream) Interim(block []byte, by *Batch) {
	c := st.c
	c.mu.Lock()
	if st.gone == nil && !st.headed && len(c.out) < room {
		c.blocks(block, false, st.id)
	}
	c.mu.Unlock()
	by.add(&c.conn)
}

// Put puts down as much of p as may be sent now, and with the last of it the end of the
// response, if told. If all is not, there is news when there may be more.
func (st *ServerStream) Put(p []byte, end bool) (n int, all bool, err error) {
	c := st.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if st.gone != nil {
		return 0, false, st.gone
	}
	n, all = c.put(&st.sender, p, end)
	return n, all, nil
}

// Answer is a short response that is all there, whatever else is to be sent. It goes without
// its text where the client has no window for it.
func (st *ServerStream) Answer(block []byte, text string) {
	c := st.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if st.gone != nil {
		return
	}
	n := int64(len(text))
	if n > min(c.window, st.window) {
		n = 0
	}
	st.headed, st.sender.ended = true, true
	c.blocks(block, n == 0, st.id)
	if n > 0 {
		c.out = append(appendHead(c.out, len(text), kindData, flagEndStream, st.id), text...)
		c.window -= n
		st.window -= n
	}
}

// Trail ends the response with trailers.
func (st *ServerStream) Trail(block []byte) error {
	c := st.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if st.gone != nil {
		return st.gone
	}
	st.sender.ended = true
	c.blocks(block, true, st.id)
	return nil
}

// Finish ends the stream with its response: what the client has still to say is not
// wanted (RFC 9113 8.1).
func (st *ServerStream) Finish(by *Batch) {
	st.Body.End()
	c := st.c
	c.mu.Lock()
	if st.forget(ErrClosed) && c.err == nil {
		switch {
		case !st.sender.ended:
			c.out = appendWord(c.out, kindReset, st.id, uint32(InternalError))
		case !st.ended:
			c.out = appendWord(c.out, kindReset, st.id, uint32(NoError))
		}
	}
	c.close()
	c.mu.Unlock()
	by.add(&c.conn)
}

// Flush has what was put down sent.
func (st *ServerStream) Flush(by *Batch) { by.add(&st.c.conn) }

// back gives n bytes of the request's body back to the client, who may send as many more.
func (st *ServerStream) back(n int) {
	c := st.c
	c.mu.Lock()
	r := &st.receiver
	if st.ended || st.gone != nil {
		r = nil
	}
	c.giveBack(r, st.id, int64(n))
	c.mu.Unlock()
}
