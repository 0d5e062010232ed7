package http2

import (
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"portside/proxy/socket"
)

// ServerConfig says how a client's connection is served.
type ServerConfig struct {
	Streams int                    // at a time
	Window  int64                  // of each stream's body, in bytes
	All     int64                  // of all bodies, in bytes
	Head    int                    // the largest head, in bytes
	InTime  time.Duration          // that a head may take to come
	Trails  func(name string) bool // reports whether a field may come behind a body
	Idle    time.Duration          // of a connection without streams, and of a client that takes nothing; zero: for ever
}

// Server is a client's connection.
type Server struct {
	conn
	cfg    ServerConfig
	accept func(*ServerStream, *Batch)

	// Under mu.
	streams map[uint32]*ServerStream
	most    uint32 // the last stream that the client began
	coming  bool   // which is about to be accepted
	shut    bool   // the client has been told to go, and for good: streams behind most are not looked at
	told    bool   // it has been told to go
	asked   time.Time
	quiet   time.Time // since when there is no stream; zero: there are some
	closeBy time.Time // when a client that has nothing more is cut
	headAt  time.Time // since when a head is coming; zero: none is
	wasted  int       // requests, within a second
	wasteAt time.Time // when that began

	ready bool // the client's settings are there; of whoever reads
}

// NewServer is the connection of a client whose preface has begun to come: early is what
// was read of it. It adds to sent what is sent.
func NewServer(sock *socket.Conn, early []byte, sent *atomic.Int64, cfg ServerConfig) *Server {
	c := &Server{cfg: cfg, streams: map[uint32]*ServerStream{}, quiet: time.Now()}
	c.init(sock, sent, early, cfg.Head, cfg.All)
	c.in.pause = c.pause
	c.out = appendSettings(c.out, setting{settingStreams, uint32(cfg.Streams)},
		setting{settingWindow, uint32(cfg.Window)}, setting{settingListSize, uint32(cfg.Head)})
	c.out = appendWord(c.out, kindWindowUpdate, 0, uint32(cfg.All-65535))
	return c
}

// Serve reads the connection until it ends, and hands each request to accept, which owns
// or refuses it and must not wait. When it returns all its streams are over, and the connection is closed.
func (c *Server) Serve(accept func(*ServerStream, *Batch)) error {
	c.accept = accept
	err := c.serve()
	c.end(c.last(), err)
	c.mu.Lock()
	streams := c.streams
	c.streams = nil
	c.mu.Unlock()
	for _, st := range streams {
		st.over(ErrGone, nil)
	}
	return err
}

func (c *Server) last() uint32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.most
}

func (c *Server) serve() error {
	preface, err := c.in.need(len(Preface))
	if err != nil {
		return err
	}
	if string(preface) != Preface {
		return fault(ProtocolError, "the preface is not HTTP/2's")
	}
	c.in.r += len(Preface)
	for {
		f, err := c.in.next()
		if err == nil {
			err = c.handle(&f)
		}
		if err != nil {
			return err
		}
	}
}

// pause is before it is waited for the client.
func (c *Server) pause() {
	c.conn.pause()
	slow := !c.ready || c.block.stream != 0 || c.in.awaits()
	c.mu.Lock()
	if !slow {
		c.headAt = time.Time{}
	} else if c.headAt.IsZero() {
		c.headAt = time.Now()
	}
	c.mu.Unlock()
}

func (c *Server) handle(f *frame) error {
	if err := c.order(f); err != nil {
		return err
	}
	if !c.ready {
		if f.kind != kindSettings || f.has(flagAck) {
			return fault(ProtocolError, "no settings behind the preface")
		}
		c.ready = true
	}
	switch f.kind {
	case kindData:
		return c.data(f)
	case kindHeaders, kindContinuation:
		done, err := c.head(f)
		if done && err == nil {
			c.mu.Lock()
			c.headAt = time.Time{} // another one may be behind it
			c.mu.Unlock()
			err = c.headed(f.stream)
		}
		return err
	case kindReset:
		return c.reset(f)
	case kindSettings:
		return c.set(f)
	case kindPing:
		c.mu.Lock()
		defer c.mu.Unlock()
		if f.has(flagAck) && !c.asked.IsZero() {
			c.part(NoError)
		}
		return c.ping(f)
	case kindWindowUpdate:
		return c.widen(f)
	case kindPushPromise:
		return fault(ProtocolError, "a client that pushes")
	}
	return nil // priorities, a client's farewell, and what is not known
}

// find is a stream that goes on; nil: it is over. The caller holds mu.
func (c *Server) find(id uint32) (*ServerStream, error) {
	if st := c.streams[id]; st != nil {
		return st, nil
	}
	if id > c.most && !(c.shut && id%2 == 1) {
		return nil, fault(ProtocolError, fmt.Sprintf("stream %d has not begun", id))
	}
	return nil, nil
}

func (c *Server) data(f *frame) error {
	all := int64(len(f.payload))
	if err := f.unpad(); err != nil {
		return err
	}
	n := int64(len(f.payload))
	c.mu.Lock()
	st, err := c.find(f.stream)
	if err != nil || st == nil {
		err = errors.Join(err, c.received(nil, all))
		c.mu.Unlock()
		return err
	}
	if err = c.received(&st.receiver, all); err == nil {
		c.giveBack(&st.receiver, f.stream, all-n) // the padding
	}
	if st.ended && !errors.Is(err, errOverflow) && err == nil {
		c.giveBack(nil, 0, n)
		c.mu.Unlock()
		st.refuse(StreamClosed, &c.batch)
		return nil
	}
	st.ended = f.has(flagEndStream)
	c.mu.Unlock()
	switch {
	case errors.Is(err, errOverflow):
		st.refuse(FlowControlError, &c.batch)
		return nil
	case err != nil:
		return err
	}
	st.Body.push(f.payload, f.has(flagEndStream), nil, &c.batch)
	return nil
}

// headed takes in a whole block of fields.
func (c *Server) headed(id uint32) error {
	if id%2 == 0 {
		return fault(ProtocolError, "a client's stream with an even number")
	}
	c.mu.Lock()
	st, most, shut, n := c.streams[id], c.most, c.shut, len(c.streams)
	if id > most && !shut {
		c.most, c.coming = id, true
	}
	c.mu.Unlock()
	switch {
	case st != nil:
		return c.trailed(st)
	case id <= most:
		c.say(id, StreamClosed)
		return nil
	case shut:
		return nil // none of ours any more
	}
	defer c.come()
	if n >= c.cfg.Streams {
		c.say(id, RefusedStream)
		return nil
	}
	st = &ServerStream{c: c, sender: sender{id: id}}
	if err := c.dec.request(&st.Request, c.block.end); err != nil {
		c.say(id, ProtocolError)
		return nil
	}
	st.sender.more = st
	st.receiver = receiver{credit: c.cfg.Window, credits: c.cfg.Window}
	st.ended = st.Request.Ended
	st.Body.init(st)
	c.accept(st, &c.batch)
	return nil
}

// come says that the last stream has been accepted, or will not be.
func (c *Server) come() {
	c.mu.Lock()
	c.coming = false
	c.closing = c.closing || c.shut && len(c.streams) == 0
	c.mu.Unlock()
}

// trailed takes in a request's trailers.
func (c *Server) trailed(st *ServerStream) error {
	c.mu.Lock()
	ended := st.ended
	st.ended = true
	c.mu.Unlock()
	fields, err := c.dec.trailers(c.cfg.Trails)
	switch {
	case ended:
		st.refuse(StreamClosed, &c.batch)
	case err != nil, !c.block.end:
		st.refuse(ProtocolError, &c.batch)
	default:
		st.Body.push(nil, true, fields, &c.batch)
	}
	return nil
}

func (c *Server) reset(f *frame) error {
	c.mu.Lock()
	st, err := c.find(f.stream)
	if st != nil {
		c.waste(st)
	}
	c.mu.Unlock()
	if st != nil {
		st.over(ErrGone, &c.batch)
	}
	return err
}

// wasteMost is how many times as many requests as there may be at a time a client may
// waste within a second.
const wasteMost = 4

// waste counts a request that its client has undone, by resetting it or by having it reset
// (CVE-2023-44487, CVE-2025-8671), before it was answered: it has cost its client nothing,
// and its backend all but the answer. Of too many the client is told to go. That costs one
// who means well, such as a gRPC client all of whose deadlines pass, no more than another
// connection: what it has under way is served. The caller holds mu.
func (c *Server) waste(st *ServerStream) {
	if st.headed || c.shut {
		return
	}
	if now := time.Now(); now.Sub(c.wasteAt) > time.Second {
		c.wasteAt, c.wasted = now, 0
	}
	if c.wasted++; c.wasted > wasteMost*c.cfg.Streams {
		c.part(EnhanceYourCalm)
	}
}

func (c *Server) set(f *frame) error {
	if f.has(flagAck) {
		return nil
	}
	var streams uint32 // of ours there are none
	return c.resize(f, &streams, func(yield func(*sender) bool) {
		for _, st := range c.streams {
			if !yield(&st.sender) {
				return
			}
		}
	})
}

func (c *Server) widen(f *frame) error {
	c.mu.Lock()
	var s *sender
	if f.stream != 0 {
		st, err := c.find(f.stream)
		if st == nil {
			c.mu.Unlock()
			return err
		}
		s = &st.sender
	}
	err := c.widened(f, s)
	c.mu.Unlock()
	switch {
	case s == nil:
		c.unblock(&c.batch)
		return err
	case err != nil:
		s.more.(*ServerStream).refuse(codeOf(err), &c.batch)
	default:
		c.wider([]*sender{s}, &c.batch)
	}
	return nil
}

// say resets a stream that is none.
func (c *Server) say(id uint32, code Code) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out = appendWord(c.out, kindReset, id, uint32(code))
	c.heap()
}

// Drain tells the client to go (RFC 9113 6.8): its streams may finish, and those that are
// on their way.
func (c *Server) Drain() {
	c.mu.Lock()
	if !c.told && !c.shut && c.err == nil { // the last stream must not become a later one (RFC 9113 6.8)
		c.told, c.asked = true, time.Now()
		c.out = appendGoAway(c.out, lastID, NoError)
		// What it has sent before it answers, it has sent before it knew.
		c.out = append(appendHead(c.out, 8, kindPing, 0, 0), "portside"...)
	}
	c.mu.Unlock()
	c.flush()
}

// part says which stream is the last, and why. The caller holds mu.
func (c *Server) part(why Code) {
	if !c.shut {
		c.shut = true
		c.out = appendGoAway(c.out, c.most, why)
		c.closing = c.closing || len(c.streams) == 0 && !c.coming
	}
}

// partIn is how long a client that was told to go may take to answer.
const partIn = time.Second

// Check looks, every now and then, whether something has taken too long.
func (c *Server) Check(now time.Time) {
	c.mu.Lock()
	if c.closing && !c.sending && len(c.out) == 0 && c.closeBy.IsZero() && c.sock.Unsent() == 0 {
		c.closeBy = now.Add(partIn)
	}
	c.creep(now)
	late := !c.headAt.IsZero() && now.Sub(c.headAt) > c.cfg.InTime
	idle := c.cfg.Idle > 0 && !c.quiet.IsZero() && !c.coming && now.Sub(c.quiet) > c.cfg.Idle
	if c.cfg.Idle > 0 && c.stuck && now.Sub(c.moved) > c.cfg.Idle {
		late = true
	}
	if idle || !c.asked.IsZero() && now.Sub(c.asked) > partIn {
		c.part(NoError)
	}
	over := !c.closeBy.IsZero() && now.After(c.closeBy)
	c.mu.Unlock()
	c.flush()
	if late || over {
		_ = c.Close()
	}
}

// Each calls f for each stream.
func (c *Server) Each(f func(*ServerStream)) {
	c.mu.Lock()
	all := make([]*ServerStream, 0, len(c.streams))
	for _, st := range c.streams {
		all = append(all, st)
	}
	c.mu.Unlock()
	for _, st := range all {
		f(st)
	}
}

// Streams is how many there are.
func (c *Server) Streams() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.streams)
}

// Close ends the connection, and with it its streams.
func (c *Server) Close() error { return c.sock.Close() }

var _ io.Closer = (*Server)(nil)
