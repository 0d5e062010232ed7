package proxy

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	xhttp2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"portside/pool"
)

// Clients and backends that take their time, or nothing at all.

// framer is a client that speaks in frames.
type framer struct {
	*net.TCPConn
	*xhttp2.Framer
}

func dialFrames(t *testing.T, address string, settings ...xhttp2.Setting) *framer {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	_ = conn.(*net.TCPConn).SetReadBuffer(32 << 10)
	_, _ = io.WriteString(conn, xhttp2.ClientPreface)
	f := xhttp2.NewFramer(conn, conn)
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	_ = f.WriteSettings(settings...)
	return &framer{conn.(*net.TCPConn), f}
}

// wide is a client's window that never ends.
var wide = xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 1<<31 - 1}

func (c *framer) ask(id uint32, method, path string) {
	block := headBlock([][2]string{{":method", method}, {":scheme", "http"}, {":authority", "x"}, {":path", path}})
	_ = c.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: id, BlockFragment: block, EndHeaders: true, EndStream: true})
}

// until reads frames until one is wanted.
func (c *framer) until(wanted func(xhttp2.Frame) bool) error {
	for {
		f, err := c.ReadFrame()
		if p, ok := f.(*xhttp2.PingFrame); ok && !p.IsAck() {
			_ = c.WritePing(true, p.Data)
		}
		if err != nil || wanted(f) {
			return err
		}
	}
}

// endless answers without an end.
func endless(w http.ResponseWriter, r *http.Request) {
	for r.Context().Err() == nil {
		if _, err := w.Write(make([]byte, 64<<10)); err != nil {
			return
		}
	}
}

// What is read as fast as it comes comes without pauses, though it had been waited for.
func TestH2CDownloadGoesOnAtOnce(t *testing.T) {
	s := startHTTP(t, pool.Config{}, Config{}, serveH2C(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 4<<20)) }))
	pauses := 0
	for range 5 {
		c := dialFrames(t, s.address, wide)
		_ = c.WriteWindowUpdate(0, 1<<30)
		c.ask(1, "GET", "/")
		time.Sleep(200 * time.Millisecond) // the kernel is full
		last := time.Now()
		if err := c.until(func(f xhttp2.Frame) bool {
			if time.Since(last) > 100*time.Millisecond {
				pauses++
			}
			last = time.Now()
			d, ok := f.(*xhttp2.DataFrame)
			return ok && d.StreamEnded()
		}); err != nil {
			t.Fatal(err)
		}
	}
	if pauses > 1 { // the machine may have other things to do
		t.Errorf("%d pauses of more than 100ms in five downloads", pauses)
	}
}

// What a client gave up has not cost the others of its window on the backend's side.
func TestH2CGivenUpDownloadsCostNoWindow(t *testing.T) {
	s := startHTTP(t, pool.Config{}, Config{}, serveH2C(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/small" {
			endless(w, r)
		}
		_, _ = io.WriteString(w, "small")
	}))
	c := dialFrames(t, s.address)
	_ = c.WriteWindowUpdate(0, 1<<30)
	id := uint32(1)
	for range 300 { // of 256 KiB each, of 64 MiB
		c.ask(id, "GET", "/")
		got := 0
		upTo := func(n int) {
			if err := c.until(func(f xhttp2.Frame) bool {
				if d, ok := f.(*xhttp2.DataFrame); ok && d.StreamID == id {
					got += len(d.Data())
				}
				return got >= n
			}); err != nil {
				t.Fatal(err)
			}
		}
		upTo(65535)
		time.Sleep(2 * time.Millisecond) // portside takes more
		_ = c.WriteWindowUpdate(id, 100)
		upTo(65635)
		_ = c.WriteRSTStream(id, xhttp2.ErrCodeCancel)
		id += 2
	}
	c.ask(id, "GET", "/small")
	if err := c.until(func(f xhttp2.Frame) bool {
		d, ok := f.(*xhttp2.DataFrame)
		return ok && d.StreamID == id && d.StreamEnded()
	}); err != nil {
		t.Errorf("a small response behind 300 downloads that were given up: %v", err)
	}
}

// An upload that its backend does not take ends by timeouts.idle, be there others beside it.
func TestH2CStuckUploadEndsBesideOthers(t *testing.T) {
	s := startHTTP(t, pool.Config{}, Config{Timeouts: Timeouts{Idle: 500 * time.Millisecond}}, serveH2C(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/stuck" {
			<-r.Context().Done()
		}
	}))
	c := newH2CClient(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if resp, err := c.Post(s.url+"/stuck", "text/plain", bytes.NewReader(make([]byte, 8<<20))); err == nil {
			_ = resp.Body.Close()
		}
	}()
	for over := time.After(5 * time.Second); ; {
		if _, _, err := fetch(c, s.url); err != nil {
			t.Fatal(err)
		}
		select {
		case <-done:
			return
		case <-over:
			t.Fatal("an upload of which nothing moves goes on for 5s, timeouts.idle is 500ms")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// A drain lets a client that reads slowly have the last of its response.
func TestH2CDrainWaitsForASlowReader(t *testing.T) {
	s := startHTTP(t, pool.Config{}, Config{DrainTimeout: 20 * time.Second}, serveH2C(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 3<<20)) }))
	c := dialFrames(t, s.address, wide)
	_ = c.WriteWindowUpdate(0, 1<<30)
	c.ask(1, "GET", "/")
	time.Sleep(300 * time.Millisecond)
	go s.stop()
	got := 0
	if err := c.until(func(f xhttp2.Frame) bool {
		d, ok := f.(*xhttp2.DataFrame)
		if ok {
			got += len(d.Data())
			time.Sleep(10 * time.Millisecond)
		}
		return ok && d.StreamEnded()
	}); err != nil {
		t.Errorf("%d bytes of 3 MiB came, then %v", got, err)
	}
}

// A client that reads slowly is not idle, though the kernel says only after megabytes that
// there is room.
func TestH2CSlowReaderIsNotIdle(t *testing.T) {
	s := startHTTP(t, pool.Config{}, Config{Timeouts: Timeouts{Idle: time.Second}}, serveH2C(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 8<<20)) }))
	c := dialFrames(t, s.address, wide)
	_ = c.WriteWindowUpdate(0, 1<<30)
	c.ask(1, "GET", "/")
	got := 0
	if err := c.until(func(f xhttp2.Frame) bool {
		d, ok := f.(*xhttp2.DataFrame)
		if ok {
			got += len(d.Data())
			time.Sleep(12 * time.Millisecond)
		}
		return ok && d.StreamEnded()
	}); err != nil {
		t.Errorf("%d bytes of 8 MiB came, then %v", got, err)
	}
}

// An answer of portside's own is whole, beside a download that has filled the connection.
func TestH2COwnAnswerIsWholeBesideADownload(t *testing.T) {
	s := startHTTP(t, pool.Config{}, Config{}, serveH2C(t, endless))
	c := dialFrames(t, s.address, wide)
	_ = c.WriteWindowUpdate(0, 1<<30)
	c.ask(1, "GET", "/")
	time.Sleep(300 * time.Millisecond)
	c.ask(3, "NOT A METHOD", "/")
	time.Sleep(100 * time.Millisecond)
	_ = c.WriteRSTStream(1, xhttp2.ErrCodeCancel)
	body := 0
	if err := c.until(func(f xhttp2.Frame) bool {
		switch f := f.(type) {
		case *xhttp2.DataFrame:
			if f.StreamID == 3 {
				body += len(f.Data())
				return f.StreamEnded()
			}
		case *xhttp2.RSTStreamFrame:
			return f.StreamID == 3
		}
		return false
	}); err != nil || body == 0 {
		t.Errorf("%d bytes of the answer, %v", body, err)
	}
}

// A backend that takes nothing does not heap up what is to be sent to it.
func TestH2CResetsDoNotHeapUp(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	s := startHTTP(t, pool.Config{}, Config{}, startBackend(t, func(c *net.TCPConn) {
		_, _ = io.ReadFull(c, make([]byte, 24))
		_ = c.SetReadBuffer(4096)
		_, _ = c.Write(frame(frameSettings, 0, 0))
		<-release
	}).address)
	c := dialFrames(t, s.address)
	go func() { _, _ = io.Copy(io.Discard, c.TCPConn) }()
	var block bytes.Buffer
	e := hpack.NewEncoder(&block)
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	for i := range uint32(3000) {
		block.Reset()
		for _, f := range [][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", "x"}, {":path", "/"}} {
			_ = e.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
		}
		for range 16 { // a byte each, but the first
			_ = e.WriteField(hpack.HeaderField{Name: "cookie", Value: strings.Repeat("c", 3900)})
		}
		_ = c.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 2*i + 1, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: true})
		_ = c.WriteRSTStream(2*i+1, xhttp2.ErrCodeCancel)
		if i%100 == 99 {
			time.Sleep(10 * time.Millisecond)
		}
	}
	time.Sleep(200 * time.Millisecond)
	if grown := (heap() - before) >> 20; grown > 100 {
		t.Errorf("the heap has grown by %d MiB, for some 200 KiB of requests", grown)
	}
}

// The head of a connection, and of a frame, has its time as a request's has.
func TestH2CSlowPreface(t *testing.T) {
	s := startHTTP(t, pool.Config{}, Config{Timeouts: Timeouts{Head: 300 * time.Millisecond}}, "127.0.0.1:1")
	settings := string(frame(frameSettings, 0, 0))
	for what, text := range map[string]string{
		"half a preface":  xhttp2.ClientPreface[:18],
		"a preface alone": xhttp2.ClientPreface,
		"half a frame":    xhttp2.ClientPreface + settings + "\x00\x00\x10\x01",
	} {
		conn, err := net.Dial("tcp", s.address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, text)
		_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := io.Copy(io.Discard, conn); err != nil && strings.Contains(err.Error(), "timeout") {
			t.Errorf("%s: the connection is kept beyond timeouts.head", what)
		}
	}
}

// The head of a response is bytes that move, as a piece of its body is.
func TestH2CResponsesHeadMoves(t *testing.T) {
	const idle = 400 * time.Millisecond
	address := serveH2C(t, func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(idle * 3 / 4)
		_ = http.NewResponseController(w).Flush()
		time.Sleep(idle * 3 / 4)
		_, _ = io.WriteString(w, "whole")
	})
	s := startHTTP(t, pool.Config{}, Config{Timeouts: Timeouts{Idle: idle}}, address)
	if status, body, err := fetch(newH2CClient(t), s.url); status != 200 || body != "whole" || err != nil {
		t.Errorf("%d %q %v, want all of the response: nothing was still for as long as timeouts.idle", status, body, err)
	}
}
