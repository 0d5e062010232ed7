package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// calls has each connection carry that many unary calls at a time, as a channel of
// gRPC does.
func calls(conns, streams int) loop {
	return loop{
		conns: conns,
		open:  func(c *client) error { return c.openChannel(streams) },
		step:  (*client).call,
	}
}

// channel is a connection that carries calls.
type channel struct {
	conn   net.Conn
	in     *bufio.Reader
	out    *bufio.Writer
	framer *http2.Framer
	block  bytes.Buffer
	enc    *hpack.Encoder
	next   uint32
	began  map[uint32]time.Time // calls under way
	credit uint32               // bytes to give back to the connection's window
}

// openChannel connects, and begins all calls but one.
func (c *client) openChannel(streams int) error {
	if err := c.dial(); err != nil {
		return err
	}
	conn := c.conn.Load()
	ch := &channel{
		conn: conn, in: bufio.NewReaderSize(conn, 32<<10), out: bufio.NewWriterSize(conn, 32<<10),
		next: 1, began: map[uint32]time.Time{},
	}
	ch.enc = hpack.NewEncoder(&ch.block)
	ch.framer = http2.NewFramer(ch.out, ch.in)
	ch.framer.SetReuseFrames()
	ch.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	_, _ = ch.out.WriteString(http2.ClientPreface)
	_ = ch.framer.WriteSettings()
	c.channel = ch
	for range streams - 1 {
		ch.begin()
	}
	return ch.out.Flush()
}

func (ch *channel) begin() {
	head := fields(ch.enc, &ch.block, ":method", "POST", ":scheme", "http", ":path", "/orders.Orders/Get", ":authority", "orders",
		"content-type", "application/grpc", "te", "trailers", "user-agent", "bench", "grpc-timeout", "60S")
	_ = ch.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: ch.next, BlockFragment: head, EndHeaders: true})
	_ = ch.framer.WriteData(ch.next, true, grpcMessage)
	ch.began[ch.next] = time.Now()
	ch.next += 2
}

// call begins a call and waits for the end of any. What it took is told in c.began.
func (c *client) call() error {
	ch := c.channel
	ch.begin()
	for {
		if ch.in.Buffered() == 0 {
			if err := ch.out.Flush(); err != nil {
				return err
			}
		}
		id, err := ch.read()
		if err != nil {
			return err
		}
		if began, ok := ch.began[id]; ok {
			c.began = began
			delete(ch.began, id)
			return nil
		}
	}
}

// read takes in one frame, and reports the call that it ended.
func (ch *channel) read() (ended uint32, err error) {
	frame, err := ch.framer.ReadFrame()
	if err != nil {
		return 0, err
	}
	switch frame := frame.(type) {
	case *http2.SettingsFrame:
		if !frame.IsAck() {
			heed(ch.enc, frame)
			return 0, ch.framer.WriteSettingsAck()
		}
	case *http2.PingFrame:
		if !frame.IsAck() {
			return 0, ch.framer.WritePing(true, frame.Data)
		}
	case *http2.DataFrame:
		if ch.credit += frame.Length; ch.credit > 16<<10 {
			_ = ch.framer.WriteWindowUpdate(0, ch.credit)
			ch.credit = 0
		}
	case *http2.RSTStreamFrame:
		return 0, fmt.Errorf("call reset: %v", frame.ErrCode)
	case *http2.GoAwayFrame:
		return 0, fmt.Errorf("told to go: %v", frame.ErrCode)
	case *http2.MetaHeadersFrame:
		if !frame.StreamEnded() {
			return 0, nil
		}
		for _, f := range frame.Fields {
			if f.Name == "grpc-status" && f.Value == "0" {
				return frame.StreamID, nil
			}
		}
		return 0, fmt.Errorf("call ended with %v", frame.Fields)
	}
	return 0, nil
}
