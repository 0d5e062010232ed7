package http2

import (
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"portside/proxy/socket"
)

// sockets are the two ends of a connection.
func sockets(t testing.TB) (ours *socket.Conn, theirs *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	accepted := make(chan net.Conn, 1)
	go func() { c, _ := ln.Accept(); accepted <- c }()
	dialled, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	theirs = (<-accepted).(*net.TCPConn)
	_ = theirs.SetDeadline(time.Now().Add(20 * time.Second))
	ours = &socket.Conn{}
	if err := ours.Init(dialled.(*net.TCPConn)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = ours.Close(), theirs.Close() })
	return ours, theirs
}

// pair is sockets without TCP, of which there are only so many a minute.
func pair(t testing.TB) (ours *socket.Conn, theirs *net.UnixConn) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]*net.UnixConn
	for i, fd := range fds {
		file := os.NewFile(uintptr(fd), "pair")
		c, err := net.FileConn(file)
		_ = file.Close()
		if err != nil {
			t.Fatal(err)
		}
		ends[i] = c.(*net.UnixConn)
	}
	ours = &socket.Conn{}
	if err := ours.Init(unixStream{ends[0]}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = ours.Close(), ends[1].Close() })
	return ours, ends[1]
}

type unixStream struct{ *net.UnixConn }

func (unixStream) SetLinger(int) error { return nil }

// owner keeps what a stream is told, and answers once it has been asked all.
type owner struct {
	st     *ServerStream
	answer func(st *ServerStream, by *Batch)
	news   chan struct{}
	gone   atomic.Bool
}

func (o *owner) Gone(*Batch) { o.gone.Store(true); o.ring() }
func (o *owner) Moved()      {}
func (o *owner) News(*Batch) { o.ring() }
func (o *owner) ring() {
	select {
	case o.news <- struct{}{}:
	default:
	}
}

// server is a server whose client is the test, and what became of its requests.
func server(t testing.TB, cfg ServerConfig, answer func(st *ServerStream, by *Batch)) (*Server, *http2.Framer, *net.TCPConn, <-chan *owner) {
	t.Helper()
	ours, theirs := sockets(t)
	c := NewServer(ours, nil, new(atomic.Int64), cfg)
	owners := make(chan *owner, 2000)
	var running sync.WaitGroup
	running.Go(func() {
		_ = c.Serve(func(st *ServerStream, by *Batch) {
			o := &owner{st: st, answer: answer, news: make(chan struct{}, 1)}
			st.Own(o)
			if answer != nil {
				answer(st, by)
			}
			owners <- o
		})
	})
	t.Cleanup(func() { _ = c.Close(); running.Wait() })
	_, _ = io.WriteString(theirs, Preface)
	f := http2.NewFramer(theirs, theirs)
	_ = f.WriteSettings()
	return c, f, theirs, owners
}

var usual = ServerConfig{Streams: 10, Window: 64 << 10, All: 1 << 20, Head: 4 << 10, InTime: time.Second, Idle: time.Minute}

// well answers with a few words.
func well(st *ServerStream, by *Batch) {
	_ = st.Head(Block(nil, []Field{{Name: ":status", Value: "200"}}), false)
	_, _, _ = st.Put([]byte("well"), true)
	st.Finish(by)
}

// ask is a request's head, as the client of a server sends it.
func ask(more ...Field) []byte {
	return Block(nil, append([]Field{
		{Name: ":method", Value: "POST"},
		{Name: ":scheme", Value: "http"},
		{Name: ":authority", Value: "x"},
		{Name: ":path", Value: "/"},
	}, more...))
}

// until reads frames until one is wanted.
func until(t testing.TB, f *http2.Framer, wanted func(http2.Frame) bool) {
	t.Helper()
	for {
		got, err := f.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if s, ok := got.(*http2.SettingsFrame); ok && !s.IsAck() {
			_ = f.WriteSettingsAck()
		}
		if wanted(got) {
			return
		}
	}
}

func headers(f *http2.Framer, id uint32, block []byte, end bool) {
	_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block, EndHeaders: true, EndStream: end})
}

func TestGreets(t *testing.T) {
	greeting := appendSettings(nil, setting{settingStreams, 100})
	for text, want := range map[string]bool{
		string(appendSettings(nil)):                          true,
		string(greeting):                                     true,
		string(greeting[:frameHead-1]):                       false,
		string(appendHead(nil, 0, kindSettings, flagAck, 0)): false,
		string(appendHead(nil, 0, kindSettings, 0, 1)):       false,
		string(appendHead(nil, 0, kindHeaders, 0, 0)):        false,
		"HTTP/1.1 200 OK\r\n":                                false,
		"":                                                   false,
	} {
		if got := Greets([]byte(text)); got != want {
			t.Errorf("%q greets: %t", text, got)
		}
	}
}
