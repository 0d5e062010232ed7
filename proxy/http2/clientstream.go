package http2

import (
	"fmt"
	"sync"
)

// bufferMost is the largest buffer that a stream keeps while it is empty.
const bufferMost = 32 << 10

// ClientStream is a request to a backend, and its response. Its methods may be called
// at any time.
type ClientStream struct {
	c    *Client
	body *Body                  // nil: there is none
	on   Listener               // told of what comes
	may  func(name string) bool // as Out's Trails
	mute bool                   // the response has no body, whatever its head says: HEAD
	sender
	receiver

	mu       sync.Mutex
	head     *Response // first; nil: not yet
	first    Response
	data     []byte // what has come, and was not taken
	got      int64
	trailers []Field
	ended    bool
	closed   bool // nobody will take more
	err      error
}

// Listener is told of what a backend answers, and must not wait: it may be on the
// goroutine that reads the connection.
type Listener interface {
	// Interim is a response before the response (1xx). An error gives the stream up.
	Interim(*Response, *Batch) error
	// News: there is more to take.
	News(*Batch)
}

// Out is what is sent to a backend.
type Out struct {
	Block []byte // the head's fields
	Size  int    // as SizeOf has it
	Mute  bool   // it is a HEAD
	Body  *Body

	Trails func(name string) bool // reports whether a field may come behind the response's body
}

// Open sends a request, for which there is a place reserved.
func (c *Client) Open(out Out, on Listener, by *Batch) (*ClientStream, error) {
	cs := &ClientStream{c: c, on: on, mute: out.Mute, may: out.Trails}
	cs.sender.more = cs
	cs.receiver = receiver{credit: c.cfg.Window, credits: c.cfg.Window}
	if !out.Body.None() {
		cs.body = out.Body
	}
	c.mu.Lock()
	c.reserved--
	switch {
	case c.err != nil, c.going, c.streams == nil:
		c.rest()
		c.mu.Unlock()
		return nil, ErrClosed
	case c.list > 0 && int64(out.Size) > c.list:
		c.rest()
		c.mu.Unlock()
		return nil, ErrTooLarge
	}
	cs.id, cs.sender.window = c.next, c.initial
	c.next += 2
	c.streams[cs.id] = cs
	cs.sender.ended = cs.body == nil
	c.blocks(out.Block, cs.body == nil, cs.id)
	c.mu.Unlock()
	if cs.body != nil {
		cs.body.attach(cs, by)
	}
	by.add(&c.conn)
	return cs, nil
}

func (cs *ClientStream) resume(by *Batch) { cs.body.resume(cs, by) }

// put puts down a part of the request's body.
func (cs *ClientStream) put(p []byte, end bool, trailers []Field) (n int, all bool, err error) {
	c := cs.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.streams[cs.id] != cs {
		return 0, false, nil
	}
	n, all = c.conn.put(&cs.sender, p, end && len(trailers) == 0)
	if !all || !end || len(trailers) == 0 {
		return n, all, nil
	}
	size := 0
	for _, f := range trailers {
		size += SizeOf(f)
	}
	if c.list > 0 && int64(size) > c.list {
		return n, false, ErrTooLarge
	}
	c.blocks(Block(nil, trailers), true, cs.id)
	cs.sender.ended = true
	return n, true, nil
}

// headed takes in a block of fields.
func (cs *ClientStream) headed(d *decoder, end bool, by *Batch) {
	cs.mu.Lock()
	behind, over := cs.head != nil, cs.ended
	cs.mu.Unlock()
	if behind {
		fields, err := d.trailers(cs.may)
		if err == nil && (!end || over) {
			err = &malformedError{"there is something behind its trailers"}
		}
		if err != nil {
			cs.fail(err, ProtocolError, by)
			return
		}
		cs.finish(fields, by)
		return
	}
	r := &cs.first
	err := d.response(r, end)
	switch {
	case err != nil:
	case r.Status < 200 && (end || r.Status == 101):
		err = &malformedError{"it ends before it has begun"}
	case r.Status < 200:
		if err = cs.on.Interim(r, by); err == nil {
			return
		}
	}
	if err != nil {
		cs.fail(err, ProtocolError, by)
		return
	}
	cs.mute = cs.mute || r.Status == 304
	cs.mu.Lock()
	cs.head = r
	cs.mu.Unlock()
	if end {
		cs.finish(nil, by)
		return
	}
	cs.on.News(by)
}

// push takes in a piece of the response's body.
func (cs *ClientStream) push(p []byte, end bool, by *Batch) {
	cs.mu.Lock()
	early := cs.head == nil || cs.ended
	long := !early && !cs.mute && cs.head.Length >= 0 && cs.got+int64(len(p)) > cs.head.Length
	taken := !early && !long && !cs.mute && !cs.closed
	if taken {
		cs.got += int64(len(p))
		cs.data = append(cs.data, p...)
	}
	cs.mu.Unlock()
	if !taken && len(p) > 0 {
		cs.GiveBack(len(p), by)
	}
	switch {
	case early:
		cs.fail(&malformedError{"a body where none may be"}, ProtocolError, by)
	case long:
		cs.fail(&malformedError{"its body is longer than it was to be"}, ProtocolError, by)
	case end:
		cs.finish(nil, by)
	default:
		cs.on.News(by)
	}
}

// finish takes in that the response is whole.
func (cs *ClientStream) finish(trailers []Field, by *Batch) {
	cs.mu.Lock()
	short := cs.head.Length >= 0 && !cs.mute && !cs.closed && cs.got < cs.head.Length
	if !short {
		cs.ended, cs.trailers = true, trailers
	}
	cs.mu.Unlock()
	if short {
		cs.fail(&malformedError{fmt.Sprintf("%d bytes of its body are missing", cs.head.Length-cs.got)}, ProtocolError, by)
		return
	}
	c := cs.c
	c.mu.Lock()
	if cs.sender.ended {
		cs.forget()
	}
	c.mu.Unlock()
	cs.on.News(by)
}

// forget takes the stream out of its connection. It reports false if it was already. The
// caller holds c's mu.
func (cs *ClientStream) forget() bool {
	c := cs.c
	if c.streams[cs.id] != cs {
		return false
	}
	delete(c.streams, cs.id)
	c.leave(&cs.sender)
	c.rest()
	return true
}

// ends ends the stream for a reason of the backend's.
func (cs *ClientStream) ends(err error, by *Batch) {
	cs.c.mu.Lock()
	cs.forget()
	cs.c.mu.Unlock()
	cs.mu.Lock()
	if cs.err == nil && !cs.ended {
		cs.err = err
	}
	cs.mu.Unlock()
	cs.on.News(by)
}

// fail resets the stream for what the backend has done.
func (cs *ClientStream) fail(err error, code Code, by *Batch) {
	cs.reset(code)
	by.add(&cs.c.conn)
	cs.ends(err, by)
}

func (cs *ClientStream) reset(code Code) {
	c := cs.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if cs.forget() && c.err == nil {
		c.out = appendWord(c.out, kindReset, cs.id, uint32(code))
	}
}

// Head is the head of the response, if it has come, or why it will not.
func (cs *ClientStream) Head() (*Response, error) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.head != nil {
		return cs.head, nil
	}
	return nil, cs.err
}

// Take is what has come of the response's body since the last call, whose buffer is
// given in exchange. With the last of it the response has ended, with trailers, or is
// broken off, with an error.
func (cs *ClientStream) Take(former []byte) (data []byte, ended bool, trailers []Field, err error) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	data = cs.data
	cs.data = nil
	if cap(former) <= bufferMost {
		cs.data = former[:0]
	}
	return data, cs.ended, cs.trailers, cs.err
}

// GiveBack has the backend send n bytes more, which were taken and have gone on.
func (cs *ClientStream) GiveBack(n int, by *Batch) {
	c := cs.c
	c.mu.Lock()
	r := &cs.receiver
	if c.streams[cs.id] != cs {
		r = nil
	}
	c.giveBack(r, cs.id, int64(n))
	c.mu.Unlock()
	by.add(&c.conn)
}

// Close ends the stream: what was not taken is not wanted. If it is not over, the
// backend is told so.
func (cs *ClientStream) Close(by *Batch) {
	if cs.body != nil {
		cs.body.detach(cs)
	}
	cs.mu.Lock()
	cs.closed = true
	code, rest := Cancel, len(cs.data)
	if cs.ended {
		code = NoError // all has been said (RFC 9113 8.1)
	}
	cs.data = nil
	cs.mu.Unlock()
	cs.reset(code)
	if rest > 0 {
		cs.GiveBack(rest, by)
	}
	by.add(&cs.c.conn)
}
