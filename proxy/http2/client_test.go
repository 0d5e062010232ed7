package http2

import (
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"portside/proxy/socket"
)

// listener keeps what a stream to a backend is told.
type listener struct {
	news     chan struct{}
	interims atomic.Int64
}

func newListener() *listener { return &listener{news: make(chan struct{}, 1)} }

func (l *listener) Interim(*Response, *Batch) error { l.interims.Add(1); return nil }
func (l *listener) News(*Batch) {
	select {
	case l.news <- struct{}{}:
	default:
	}
}

// client is a connection to a backend that is the test.
func client(t testing.TB) (*Client, *http2.Framer, *net.TCPConn) {
	t.Helper()
	ours, theirs := sockets(t)
	return run(t, ours), http2.NewFramer(theirs, theirs), theirs
}

func run(t testing.TB, sock *socket.Conn) *Client {
	c := NewClient(sock, new(atomic.Int64), ClientConfig{Window: 256 << 10, All: 1 << 20, Head: 64 << 10})
	var running sync.WaitGroup
	running.Go(c.Run)
	t.Cleanup(func() { _ = c.Close(); running.Wait() })
	return c
}

// greeted is a client whose backend has greeted.
func greeted(t testing.TB, settings ...http2.Setting) (*Client, *http2.Framer, *net.TCPConn) {
	t.Helper()
	c, f, conn := client(t)
	preface := make([]byte, len(Preface))
	if _, err := io.ReadFull(conn, preface); err != nil || string(preface) != Preface {
		t.Fatalf("the connection begins with %q, %v", preface, err)
	}
	_ = f.WriteSettings(settings...)
	<-c.Greeted()
	if err := c.Refusal(); err != nil {
		t.Fatal(err)
	}
	return c, f, conn
}

// get sends a request without a body.
func get(t testing.TB, c *Client) (*ClientStream, *listener) {
	t.Helper()
	if err := c.Reserve(); err != nil {
		t.Fatal(err)
	}
	l := newListener()
	st := NewStream(Request{Ended: true})
	cs, err := c.Open(Out{Block: ask(), Body: &st.Body}, l, nil)
	if err != nil {
		t.Fatal(err)
	}
	return cs, l
}

// outcome is how a response ends: its head, body and trailers, or an error.
func outcome(t testing.TB, cs *ClientStream, l *listener) (head *Response, body string, trailers []Field, err error) {
	t.Helper()
	for {
		if head, err = cs.Head(); err != nil {
			return nil, body, nil, err
		}
		data, ended, trailers, err := cs.Take(nil)
		cs.GiveBack(len(data), nil)
		body += string(data)
		if ended || err != nil {
			return head, body, trailers, err
		}
		select {
		case <-l.news:
		case <-time.After(10 * time.Second):
			t.Fatal("nothing comes of the request")
		}
	}
}

func status(code string, more ...Field) []byte {
	return Block(nil, append([]Field{{Name: ":status", Value: code}}, more...))
}

func TestClientTakesResponses(t *testing.T) {
	c, f, _ := greeted(t)
	for i := range uint32(3) {
		id := 2*i + 1
		cs, l := get(t, c)
		headers(f, id, status("103"), false)
		headers(f, id, status("200", Field{Name: "content-length", Value: "4"}), false)
		_ = f.WriteData(id, false, []byte("we"))
		_ = f.WriteDataPadded(id, false, []byte("ll"), make([]byte, 9))
		headers(f, id, Block(nil, []Field{{Name: "grpc-status", Value: "0"}}), true)
		head, body, trailers, err := outcome(t, cs, l)
		if err != nil || head.Status != 200 || body != "well" || Get(trailers, "grpc-status") != "0" || l.interims.Load() != 1 {
			t.Fatalf("%v %q %v %v, %d before it", head, body, trailers, err, l.interims.Load())
		}
		if n := c.InFlight(); n != 0 {
			t.Errorf("%d streams when all is over", n)
		}
	}
}

// How a stream ended is told apart.
func TestHowStreamsEnd(t *testing.T) {
	type ends struct {
		reset                                                    Code
		isReset, cancelled, wentAway, inOrder, calmed, malformed bool
	}
	for name, c := range map[string]struct {
		answer func(f *http2.Framer)
		ends
	}{
		"refused":         {func(f *http2.Framer) { _ = f.WriteRSTStream(1, http2.ErrCodeRefusedStream) }, ends{reset: RefusedStream, isReset: true}},
		"cancelled":       {func(f *http2.Framer) { _ = f.WriteRSTStream(1, http2.ErrCodeCancel) }, ends{reset: Cancel, isReset: true, cancelled: true}},
		"calm":            {func(f *http2.Framer) { _ = f.WriteRSTStream(1, http2.ErrCodeEnhanceYourCalm) }, ends{reset: EnhanceYourCalm, isReset: true, calmed: true}},
		"went away":       {func(f *http2.Framer) { _ = f.WriteGoAway(0, http2.ErrCodeNo, nil) }, ends{wentAway: true}},
		"ended in order":  {func(f *http2.Framer) { _ = f.WriteGoAway(1, http2.ErrCodeNo, nil) }, ends{inOrder: true}},
		"ended calmly":    {func(f *http2.Framer) { _ = f.WriteGoAway(1, http2.ErrCodeEnhanceYourCalm, []byte("too much")) }, ends{calmed: true}},
		"refused calmly":  {func(f *http2.Framer) { _ = f.WriteGoAway(0, http2.ErrCodeEnhanceYourCalm, nil) }, ends{calmed: true}},
		"ended with code": {func(f *http2.Framer) { _ = f.WriteGoAway(1, http2.ErrCodeInternal, nil) }, ends{}},
		"broken":          {func(*http2.Framer) {}, ends{}},
		"in the middle":   {func(f *http2.Framer) { headers(f, 1, status("200"), false); _ = f.WriteData(1, false, []byte("x")) }, ends{}},
		"no status":       {func(f *http2.Framer) { headers(f, 1, ask(), true) }, ends{malformed: true}},
		"odd status":      {func(f *http2.Framer) { headers(f, 1, status("2000"), true) }, ends{malformed: true}},
		"switching":       {func(f *http2.Framer) { headers(f, 1, status("101"), false) }, ends{malformed: true}},
		"interim end":     {func(f *http2.Framer) { headers(f, 1, status("103"), true) }, ends{malformed: true}},
		"no head":         {func(f *http2.Framer) { _ = f.WriteData(1, true, []byte("x")) }, ends{malformed: true}},
		"short": {func(f *http2.Framer) {
			headers(f, 1, status("200", Field{Name: "content-length", Value: "9"}), false)
			_ = f.WriteData(1, true, []byte("x"))
		}, ends{malformed: true}},
		"long": {func(f *http2.Framer) {
			headers(f, 1, status("200", Field{Name: "content-length", Value: "1"}), false)
			_ = f.WriteData(1, true, []byte("xx"))
		}, ends{malformed: true}},
		"two lengths": {func(f *http2.Framer) {
			headers(f, 1, status("200", Field{Name: "content-length", Value: "1"}, Field{Name: "content-length", Value: "2"}), false)
		}, ends{malformed: true}},
		"behind trailers": {func(f *http2.Framer) {
			headers(f, 1, status("200"), false)
			headers(f, 1, Block(nil, []Field{{Name: "a", Value: "b"}}), false)
		}, ends{malformed: true}},
		"large head": {func(f *http2.Framer) {
			for i := range 20 {
				_ = i
			}
			headers(f, 1, status("200", Field{Name: "a", Value: strings.Repeat("b", 15000)}), false)
		}, ends{}},
		"a push": {func(f *http2.Framer) {
			_ = f.WritePushPromise(http2.PushPromiseParam{StreamID: 1, PromiseID: 2, BlockFragment: ask(), EndHeaders: true})
		}, ends{malformed: true}},
		"nobody's stream": {func(f *http2.Framer) { headers(f, 9, status("200"), true) }, ends{malformed: true}},
	} {
		t.Run(name, func(t *testing.T) {
			cl, f, conn := greeted(t)
			f.AllowIllegalWrites = true
			cs, l := get(t, cl)
			c.answer(f)
			_ = conn.CloseWrite()
			_, _, _, err := outcome(t, cs, l)
			if err == nil {
				t.Fatal("the stream has ended well")
			}
			code, is := Reset(err)
			got := ends{code, is, Cancelled(err), WentAway(err), EndedInOrder(err), Calmed(err), Malformed(err)}
			if got != c.ends {
				t.Errorf("%v is %+v, want %+v", err, got, c.ends)
			}
			if Untaken(err) != c.wentAway {
				t.Errorf("%v: not looked at: %t", err, Untaken(err))
			}
		})
	}
}

// What the backend takes no more of is not sent, and says so.
func TestHeadsTooLargeForTheBackend(t *testing.T) {
	c, _, _ := greeted(t, http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: 1000})
	st := NewStream(Request{Ended: true})
	for size, want := range map[int]error{1001: ErrTooLarge, 1000: nil} {
		if err := c.Reserve(); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Open(Out{Block: ask(), Size: size, Body: &st.Body}, newListener(), nil); !errors.Is(err, want) {
			t.Errorf("a head of %d: %v, want %v", size, err, want)
		}
	}
	if n := c.InFlight(); n != 1 {
		t.Errorf("%d streams, want the one that was opened", n)
	}
}

// The backend says how many streams it takes; a connection that it is ending takes none.
func TestPlacesForStreams(t *testing.T) {
	c, f, _ := greeted(t, http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 2})
	first, l := get(t, c)
	if c.Reserve() != nil || c.Reserve() == nil {
		t.Fatal("not two streams, but the backend takes two")
	}
	c.Release()
	_ = f.WriteGoAway(lastID, http2.ErrCodeNo, nil)
	headers(f, 1, status("200"), false)
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if head, _ := first.Head(); head != nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("a stream does not outlive the farewell")
		}
	}
	if c.Reserve() == nil {
		t.Error("a connection that is ending takes another stream")
	}
	_ = f.WriteData(1, true, []byte("x"))
	if _, body, _, err := outcome(t, first, l); body != "x" || err != nil {
		t.Errorf("%q, %v", body, err)
	}
	for deadline := time.Now().Add(10 * time.Second); !c.Closed(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("with its last stream the connection does not end")
		}
	}
}

// A stream that is given up is reset, and what still comes of it costs the others nothing.
func TestGivenUpStreamsCostNoWindow(t *testing.T) {
	c, f, _ := greeted(t)
	stop := make(chan struct{})
	reading := make(chan struct{})
	var resets, credit atomic.Int64
	credit.Store(1 << 20)
	go func() {
		defer close(reading)
		for {
			got, err := f.ReadFrame()
			if err != nil {
				return
			}
			switch got := got.(type) {
			case *http2.RSTStreamFrame:
				resets.Add(1)
			case *http2.WindowUpdateFrame:
				if got.StreamID == 0 {
					credit.Add(int64(got.Increment))
				}
			}
		}
	}()
	close(stop)
	const streams = 20
	for i := range uint32(streams) {
		id := 2*i + 1
		cs, l := get(t, c)
		headers(f, id, status("200"), false)
		<-l.news
		cs.Close(nil)
		for range 8 { // on its way
			_ = f.WriteData(id, false, make([]byte, 16<<10))
			credit.Add(-16 << 10)
		}
	}
	for deadline := time.Now().Add(10 * time.Second); resets.Load() < streams || credit.Load() < 1<<19; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d streams reset, %d bytes of the connection's window left", resets.Load(), streams, credit.Load())
		}
	}
	_ = c.Close()
	<-reading
}

// However a response ends, all of the connection's window comes back.
func TestNothingOfTheWindowIsLost(t *testing.T) {
	c, f, _ := greeted(t)
	lost := func() int64 {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.credits - c.credit - c.due
	}
	go func() {
		for {
			if _, err := f.ReadFrame(); err != nil {
				return
			}
		}
	}()
	id := uint32(1)
	for i := range 300 {
		cs, l := get(t, c)
		switch i % 3 {
		case 0: // longer than it was to be
			headers(f, id, status("200", Field{Name: "content-length", Value: "1"}), false)
			_ = f.WriteData(id, true, make([]byte, 1000))
			_, _, _, _ = outcome(t, cs, l)
		case 1: // without a head
			_ = f.WriteData(id, true, make([]byte, 1000))
			_, _, _, _ = outcome(t, cs, l)
		default: // closed while it comes
			headers(f, id, status("200"), false)
			<-l.news
			for range 10 {
				_ = f.WriteData(id, false, make([]byte, 1000))
			}
		}
		cs.Close(nil)
		id += 2
	}
	_ = f.WritePing(false, [8]byte{})
	eventually(t, "the window does not come back", func() bool { return lost() == 0 })
}

func TestBackendsThatDoNotGreet(t *testing.T) {
	for says, want := range map[string]error{"HTTP/1.1 400 Bad Request\r\n\r\n": ErrOther, "": io.EOF, "\x00\x00\x06\x04": io.ErrUnexpectedEOF} {
		c, _, conn := client(t)
		_, _ = io.WriteString(conn, says)
		_ = conn.CloseWrite()
		<-c.Greeted()
		if got := c.Refusal(); !errors.Is(got, want) {
			t.Errorf("a backend that says %q: %v, want %v", says, got, want)
		}
	}
	c, _, _ := client(t)
	_ = c.Close()
	<-c.Greeted()
	if !errors.Is(c.Refusal(), net.ErrClosed) || !c.Closed() {
		t.Errorf("closed from our side: %v, want %v", c.Refusal(), net.ErrClosed)
	}
}

func TestUnsentIsWhatTheBackendHasNotTaken(t *testing.T) {
	c, f, _ := greeted(t)
	for deadline := time.Now().Add(10 * time.Second); c.Unsent() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d bytes unsent to a backend that reads", c.Unsent())
		}
	}
	_ = f.WriteWindowUpdate(0, 64<<20)
	_ = f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 64 << 20})
	_ = c.Reserve()
	o, _ := uploading(t)
	if _, err := c.Open(Out{Block: ask(), Body: &o.st.Body}, newListener(), nil); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); c.Stuck(time.Now()).IsZero(); {
		o.st.Body.push(make([]byte, 16<<10), false, nil, &Batch{})
		c.flush()
		if time.Now().After(deadline) {
			t.Fatal("the kernel takes all for a backend that does not read")
		}
	}
	if c.Unsent() == 0 {
		t.Error("nothing unsent to a backend that does not read")
	}
}
