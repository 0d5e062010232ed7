package http2

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// What a client may not do ends its stream, or its connection, and is told by its code
// (RFC 9113 5, 6).
func TestServerHoldsItsClientToTheProtocol(t *testing.T) {
	const stream, connection = true, false
	open := func(f *http2.Framer) { headers(f, 1, ask(), false) }
	for name, c := range map[string]struct {
		do    func(f *http2.Framer, c net.Conn)
		which bool
		code  http2.ErrCode
	}{
		"even number":          {func(f *http2.Framer, _ net.Conn) { headers(f, 2, ask(), true) }, connection, http2.ErrCodeProtocol},
		"data before a head":   {func(f *http2.Framer, _ net.Conn) { _ = f.WriteData(1, true, nil) }, connection, http2.ErrCodeProtocol},
		"reset before a head":  {func(f *http2.Framer, _ net.Conn) { _ = f.WriteRSTStream(1, 0) }, connection, http2.ErrCodeProtocol},
		"window before a head": {func(f *http2.Framer, _ net.Conn) { _ = f.WriteWindowUpdate(1, 1) }, connection, http2.ErrCodeProtocol},
		"window of nothing":    {func(_ *http2.Framer, c net.Conn) { _, _ = c.Write(appendWord(nil, kindWindowUpdate, 0, 0)) }, connection, http2.ErrCodeProtocol},
		"window too wide":      {func(f *http2.Framer, _ net.Conn) { _ = f.WriteWindowUpdate(0, lastID) }, connection, http2.ErrCodeFlowControl},
		"stream's too wide":    {func(f *http2.Framer, _ net.Conn) { open(f); _ = f.WriteWindowUpdate(1, lastID) }, stream, http2.ErrCodeFlowControl},
		"behind the end":       {func(f *http2.Framer, _ net.Conn) { headers(f, 1, ask(), true); _ = f.WriteData(1, false, []byte("x")) }, stream, http2.ErrCodeStreamClosed},
		"head behind the end":  {func(f *http2.Framer, _ net.Conn) { headers(f, 1, ask(), true); headers(f, 1, ask(), true) }, stream, http2.ErrCodeStreamClosed},
		"trailers without end": {func(f *http2.Framer, _ net.Conn) {
			open(f)
			headers(f, 1, Block(nil, []Field{{Name: "a", Value: "b"}}), false)
		}, stream, http2.ErrCodeProtocol},
		"pseudo in trailers": {func(f *http2.Framer, _ net.Conn) {
			open(f)
			headers(f, 1, Block(nil, []Field{{Name: ":path", Value: "b"}}), true)
		}, stream, http2.ErrCodeProtocol},
		"capitals":        {func(f *http2.Framer, _ net.Conn) { headers(f, 1, ask(Field{Name: "A", Value: "b"}), true) }, stream, http2.ErrCodeProtocol},
		"line in a value": {func(f *http2.Framer, _ net.Conn) { headers(f, 1, ask(Field{Name: "a", Value: "b\r\nc: d"}), true) }, stream, http2.ErrCodeProtocol},
		"pseudo behind fields": {func(f *http2.Framer, _ net.Conn) {
			headers(f, 1, ask(Field{Name: "a", Value: "b"}, Field{Name: ":path", Value: "/"}), true)
		}, stream, http2.ErrCodeProtocol},
		"pseudo twice":   {func(f *http2.Framer, _ net.Conn) { headers(f, 1, ask(Field{Name: ":path", Value: "/x"}), true) }, stream, http2.ErrCodeProtocol},
		"unknown pseudo": {func(f *http2.Framer, _ net.Conn) { headers(f, 1, ask(Field{Name: ":status", Value: "200"}), true) }, stream, http2.ErrCodeProtocol},
		"no path": {func(f *http2.Framer, _ net.Conn) {
			headers(f, 1, Block(nil, []Field{{Name: ":method", Value: "GET"}, {Name: ":scheme", Value: "http"}}), true)
		}, stream, http2.ErrCodeProtocol},
		"fields that are none": {func(f *http2.Framer, _ net.Conn) { headers(f, 1, []byte{0xff, 0xff, 0xff, 0xff, 0xff}, true) }, connection, http2.ErrCodeCompression},
		"another's frame": {func(f *http2.Framer, _ net.Conn) {
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: ask()})
			_ = f.WritePing(false, [8]byte{})
		}, connection, http2.ErrCodeProtocol},
		"continued from none": {func(_ *http2.Framer, c net.Conn) {
			_, _ = c.Write(appendHead(nil, 0, kindContinuation, flagEndHeaders, 1))
		}, connection, http2.ErrCodeProtocol},
		"a push": {func(_ *http2.Framer, c net.Conn) {
			_, _ = c.Write(append(appendHead(nil, 4, kindPushPromise, flagEndHeaders, 1), 0, 0, 0, 2))
		}, connection, http2.ErrCodeProtocol},
		"long frame": {func(_ *http2.Framer, c net.Conn) { _, _ = c.Write(appendHead(nil, largest+1, kindData, 0, 1)) }, connection, http2.ErrCodeFrameSize},
		"short ping": {func(_ *http2.Framer, c net.Conn) {
			_, _ = c.Write(append(appendHead(nil, 4, kindPing, 0, 0), 1, 2, 3, 4))
		}, connection, http2.ErrCodeFrameSize},
		"settings on a stream": {func(_ *http2.Framer, c net.Conn) { _, _ = c.Write(appendHead(nil, 0, kindSettings, 0, 1)) }, connection, http2.ErrCodeProtocol},
		"settings of no window": {func(f *http2.Framer, _ net.Conn) {
			_ = f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 31})
		}, connection, http2.ErrCodeFlowControl},
		"padding over all": {func(_ *http2.Framer, c net.Conn) {
			_, _ = c.Write(append(appendHead(nil, 2, kindHeaders, flagPadded|flagEndHeaders, 1), 9, 9))
		}, connection, http2.ErrCodeProtocol},
		"too much at once": {func(f *http2.Framer, _ net.Conn) {
			open(f)
			for range 5 {
				_ = f.WriteData(1, false, make([]byte, largest))
			}
		}, stream, http2.ErrCodeFlowControl},
		"head without an end": {func(f *http2.Framer, _ net.Conn) {
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: make([]byte, 1)})
			for range 3 {
				_ = f.WriteContinuation(1, false, bytes.Repeat([]byte{0x88}, 10_000))
			}
		}, connection, http2.ErrCodeEnhanceYourCalm},
		"head of nothing without an end": {func(f *http2.Framer, _ net.Conn) {
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: ask()})
			for range 2000 {
				_ = f.WriteContinuation(1, false, nil)
			}
		}, connection, http2.ErrCodeEnhanceYourCalm},
	} {
		t.Run(name, func(t *testing.T) {
			_, f, conn, _ := server(t, usual, nil)
			f.AllowIllegalWrites = true
			c.do(f, conn)
			until(t, f, func(got http2.Frame) bool {
				switch got := got.(type) {
				case *http2.RSTStreamFrame:
					if c.which != stream || got.ErrCode != c.code {
						t.Errorf("the stream is reset with %v, want %v (of the stream: %t)", got.ErrCode, c.code, c.which)
					}
					return true
				case *http2.GoAwayFrame:
					if c.which != connection || got.ErrCode != c.code {
						t.Errorf("the connection is ended with %v, want %v (of the stream: %t)", got.ErrCode, c.code, c.which)
					}
					return true
				}
				return false
			})
		})
	}
}

// What is only odd is taken, and requests behind it are served.
func TestServerTakesWhatItMayTake(t *testing.T) {
	_, f, conn, _ := server(t, usual, well)
	f.AllowIllegalWrites = true
	_, _ = conn.Write(append(appendHead(nil, 3, 0xbe, 0xff, 7), 1, 2, 3)) // a kind of frame that nobody knows
	_ = f.WritePriority(1, http2.PriorityParam{StreamDep: 3})
	headers(f, 1, ask(), false)
	_ = f.WriteRSTStream(1, http2.ErrCodeCancel)
	_ = f.WriteData(1, true, make([]byte, 1000)) // on its way when the stream was reset
	_ = f.WriteWindowUpdate(1, 1)
	_ = f.WriteDataPadded(1, true, []byte("x"), make([]byte, 200))
	_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: ask()[:1], EndStream: true, PadLength: 9, Priority: http2.PriorityParam{Weight: 3}})
	_ = f.WriteContinuation(3, false, ask()[1:2])
	_ = f.WriteContinuation(3, true, ask()[2:])
	until(t, f, func(got http2.Frame) bool {
		d, ok := got.(*http2.DataFrame)
		return ok && d.StreamID == 3 && d.StreamEnded() && string(d.Data()) == "well"
	})
}

// A table that the client sets smaller is heeded: strict decoders want to be told.
func TestServerTellsThatItKeepsNoTable(t *testing.T) {
	_, f, _, _ := server(t, usual, well)
	_ = f.WriteSettings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: 0})
	for _, id := range []uint32{1, 3} {
		headers(f, id, ask(), true)
		until(t, f, func(got http2.Frame) bool {
			h, ok := got.(*http2.HeadersFrame)
			if ok && (h.HeaderBlockFragment()[0] == noTable) != (id == 1) {
				t.Errorf("stream %d begins with %x", id, h.HeaderBlockFragment()[0])
			}
			return ok
		})
	}
}

// More streams than there may be are refused, as not looked at.
func TestServerRefusesMoreStreams(t *testing.T) {
	_, f, _, owners := server(t, usual, nil)
	for i := range uint32(11) {
		headers(f, 2*i+1, ask(), true)
	}
	until(t, f, func(got http2.Frame) bool {
		r, ok := got.(*http2.RSTStreamFrame)
		return ok && r.StreamID == 21 && r.ErrCode == http2.ErrCodeRefusedStream
	})
	_ = f.WriteRSTStream(5, http2.ErrCodeCancel) // which makes room
	headers(f, 23, ask(), true)
	for i := range 11 {
		select {
		case o := <-owners:
			if i == 10 && o.st.id != 23 {
				t.Errorf("stream %d is served, want 23", o.st.id)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("a stream within the limit is not served")
		}
	}
}

// A head that is larger than it may be is told so: the table stays in step.
func TestServerKnowsLargeHeads(t *testing.T) {
	_, f, _, owners := server(t, usual, well)
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for i, want := range []bool{false, true, false} {
		block.Reset()
		for _, p := range [][2]string{{":method", "GET"}, {":scheme", "http"}, {":path", "/"}, {":authority", "x"}, {"mine", fmt.Sprint("value", i%2)}} {
			_ = enc.WriteField(hpack.HeaderField{Name: p[0], Value: p[1]})
		}
		if want {
			_ = enc.WriteField(hpack.HeaderField{Name: "large", Value: strings.Repeat("x", 5000)})
		}
		headers(f, uint32(2*i+1), block.Bytes(), true)
		o := <-owners
		if o.st.Large != want || !want && o.st.Authority != "x" {
			t.Errorf("request %d: large: %t, for %q", i, o.st.Large, o.st.Authority)
		}
	}
}

// A client that is told to go has what it has begun served, and what is on its way.
func TestServerDrains(t *testing.T) {
	c, f, conn, owners := server(t, usual, nil)
	headers(f, 1, ask(), true)
	first := <-owners
	c.Drain()
	headers(f, 3, ask(), true) // before it knows
	second := <-owners
	last := uint32(0)
	var ping *http2.PingFrame
	until(t, f, func(got http2.Frame) bool {
		switch got := got.(type) {
		case *http2.GoAwayFrame:
			last = got.LastStreamID
		case *http2.PingFrame:
			ping = got
		}
		return ping != nil
	})
	if last != lastID {
		t.Fatalf("the first farewell has %d as the last stream, want all", last)
	}
	_ = f.WritePing(true, ping.Data)
	until(t, f, func(got http2.Frame) bool {
		g, ok := got.(*http2.GoAwayFrame)
		return ok && g.LastStreamID == 3
	})
	for _, o := range []*owner{first, second} {
		well(o.st, nil)
	}
	ended := 0
	for {
		got, err := f.ReadFrame()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if d, ok := got.(*http2.DataFrame); ok && d.StreamEnded() {
			ended++
		}
	}
	if ended != 2 {
		t.Errorf("%d of two requests were answered before the end", ended)
	}
	_ = conn.Close()
}

// An idle client is let go, and one whose head does not come is cut off.
func TestServerChecks(t *testing.T) {
	c, f, _, _ := server(t, usual, well)
	headers(f, 1, ask(), true)
	until(t, f, func(got http2.Frame) bool { _, ok := got.(*http2.DataFrame); return ok })
	c.Check(time.Now().Add(usual.Idle / 2))
	if _, _, shut := c.state(); shut {
		t.Error("a client is told to go before its time")
	}
	c.Check(time.Now().Add(2 * usual.Idle))
	until(t, f, func(got http2.Frame) bool { _, ok := got.(*http2.GoAwayFrame); return ok })

	c, f, conn, _ := server(t, usual, well)
	_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: ask()[:2]})
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if at, _, _ := c.state(); !at.IsZero() {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("nobody noticed that a head has begun")
		}
	}
	c.Check(time.Now().Add(2 * usual.InTime))
	if _, err := io.Copy(io.Discard, conn); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Errorf("a client whose head does not come: %v, want it cut off", err)
	}
}

func (c *Server) state() (headAt, quiet time.Time, shut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.headAt, c.quiet, c.shut
}

// A client that makes answers, and takes none, is cut off before it has our memory.
func TestServerIsNotHeapedUp(t *testing.T) {
	c, f, conn, _ := server(t, usual, nil)
	_ = conn.SetReadBuffer(4 << 10)
	most := 0
	for range 4000 {
		var pings []byte
		for range 1000 {
			pings = append(appendHead(pings, 8, kindPing, 0, 0), "12345678"...)
		}
		if _, err := conn.Write(pings); err != nil {
			break
		}
		c.mu.Lock()
		most = max(most, len(c.out))
		c.mu.Unlock()
	}
	_ = f
	if most > heaped+1<<20 {
		t.Errorf("%d bytes were kept for a client that reads nothing, want %d at most", most, heaped)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		c.mu.Lock()
		over := c.err != nil
		c.mu.Unlock()
		if over {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the connection lives on")
		}
		if _, err := conn.Write(appendHead(nil, 0, kindSettings, 0, 0)); err != nil {
			return
		}
	}
}

// What comes before a response waits for no client, and does not heap up for one that
// reads nothing.
func TestInterimResponsesWaitForNobody(t *testing.T) {
	c, f, conn, owners := server(t, usual, nil)
	_ = conn.SetReadBuffer(4 << 10)
	headers(f, 1, ask(), true)
	o := <-owners
	block := Block(nil, []Field{{Name: ":status", Value: "103"}, {Name: "link", Value: strings.Repeat("x", 8000)}})
	for range 2000 {
		o.st.Interim(block, nil)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.out) > room+len(block)+100 {
		t.Errorf("%d bytes are kept for a client that reads nothing, want %d at most", len(c.out), room)
	}
}

// A client that rests holds no memory for what it was sent.
func TestServerAtRestKeepsNoBuffers(t *testing.T) {
	c, f, _, owners := server(t, usual, nil)
	_ = f.WriteWindowUpdate(0, 1<<30)
	_ = f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30})
	headers(f, 1, ask(), true)
	o := <-owners
	_ = o.st.Head(Block(nil, []Field{{Name: ":status", Value: "200"}}), false)
	served := make(chan struct{})
	go func() {
		defer close(served)
		for p := make([]byte, 4<<20); ; <-o.news {
			n, all, _ := o.st.Put(p, true)
			o.st.Flush(nil)
			if p = p[n:]; all {
				o.st.Finish(nil)
				return
			}
		}
	}()
	until(t, f, func(got http2.Frame) bool { d, ok := got.(*http2.DataFrame); return ok && d.StreamEnded() })
	<-served
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		c.mu.Lock()
		held := cap(c.out) + cap(c.spare)
		c.mu.Unlock()
		if held <= 2*restMost {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d bytes are held for a client that has had its response", held)
		}
	}
}

// A client that makes requests only to undo them is told to go, however it does so; what it
// means is still answered.
func TestServerTellsWastefulClientsToGo(t *testing.T) {
	for name, undo := range map[string]func(f *http2.Framer, id uint32){
		"resets": func(f *http2.Framer, id uint32) {
			headers(f, id, ask(), true)
			_ = f.WriteRSTStream(id, http2.ErrCodeCancel)
		},
		"windows that are too wide": func(f *http2.Framer, id uint32) {
			headers(f, id, ask(), true)
			_ = f.WriteWindowUpdate(id, lastID)
		},
		"data behind the end": func(f *http2.Framer, id uint32) {
			headers(f, id, ask(), true)
			_ = f.WriteData(id, true, nil)
		},
		"bodies that are too short": func(f *http2.Framer, id uint32) {
			headers(f, id, ask(Field{Name: "content-length", Value: "5"}), false)
			_ = f.WriteData(id, true, nil)
			_ = f.WriteRSTStream(id, http2.ErrCodeCancel)
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, f, _, owners := server(t, usual, nil)
			headers(f, 1, ask(), true)
			meant := <-owners
			id := uint32(1)
			for range wasteMost*usual.Streams + 1 {
				id += 2
				undo(f, id)
			}
			until(t, f, func(got http2.Frame) bool {
				g, ok := got.(*http2.GoAwayFrame)
				if ok && g.ErrCode != http2.ErrCodeEnhanceYourCalm {
					t.Errorf("it is told to go with %v, want ENHANCE_YOUR_CALM", g.ErrCode)
				}
				return ok
			})
			headers(f, id+2, ask(), true)
			c.Drain()
			well(meant.st, nil)
			until(t, f, func(got http2.Frame) bool {
				if g, ok := got.(*http2.GoAwayFrame); ok {
					t.Errorf("a second farewell has %d as the last stream, want no later one: gRPC's clients leave at that", g.LastStreamID)
				}
				d, ok := got.(*http2.DataFrame)
				return ok && d.StreamID == 1 && d.StreamEnded()
			})
			for len(owners) > 0 {
				if o := <-owners; o.st.id == id+2 {
					t.Error("a request behind the farewell is served")
				}
			}
		})
	}
}

// Requests that are given up once they are answered, or in their own time, are no waste.
func TestServerBearsClientsThatGiveUp(t *testing.T) {
	c, f, _, owners := server(t, usual, func(st *ServerStream, by *Batch) {
		_ = st.Head(Block(nil, []Field{{Name: ":status", Value: "200"}}), false)
		st.Flush(by)
	})
	id := uint32(1)
	for range 3 * wasteMost * usual.Streams {
		headers(f, id, ask(), true)
		<-owners
		_ = f.WriteRSTStream(id, http2.ErrCodeCancel)
		id += 2
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.shut || c.wasted > 0 {
		t.Errorf("%d requests that were being answered count as waste", c.wasted)
	}
}

// What a client's frames made us say to backends is sent though a fault is behind them,
// and the client's connection ends: who waits there waits for it.
func TestWhatIsBeforeAFaultIsSent(t *testing.T) {
	backend, seen, _ := greeted(t)
	_ = seen.WritePing(false, [8]byte{1})
	until(t, seen, func(got http2.Frame) bool { p, pong := got.(*http2.PingFrame); return pong && p.IsAck() }) // from here on it sends nothing by itself
	_, _, conn, _ := server(t, usual, func(st *ServerStream, by *Batch) {
		if _, err := backend.Open(Out{Block: ask(), Body: &st.Body}, newListener(), by); err != nil {
			t.Errorf("open = %v", err)
		}
	})
	var both bytes.Buffer // in one piece
	headers(http2.NewFramer(&both, nil), 1, ask(), true)
	both.Write(appendHead(nil, 0, kindSettings, 0, 1))
	_, _ = conn.Write(both.Bytes())
	_ = conn.CloseWrite()
	until(t, seen, func(got http2.Frame) bool { _, head := got.(*http2.HeadersFrame); return head })
}
