package proxy

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"portside/pool"
)

// One client's upload, which its backend does not read, holds up no other client's,
// though net/http's servers give a connection credit only for what has been read.
func TestH2CAStuckUploadHoldsUpNoOtherClient(t *testing.T) {
	b := serveH2C(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/never" {
			<-r.Context().Done()
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
	})
	s := startHTTP(t, pool.Config{}, Config{}, b)
	ctx, cancel := context.WithCancel(t.Context())
	var stuck sync.WaitGroup
	defer stuck.Wait()
	defer cancel()
	for range 2 {
		c := newH2CClient(t)
		stuck.Go(func() {
			req, _ := http.NewRequestWithContext(ctx, "POST", s.url+"/never", io.LimitReader(zeroes{}, 4<<20))
			if resp, err := c.Do(req); err == nil {
				_ = resp.Body.Close()
			}
		})
	}
	other := newH2CClient(t)
	other.Timeout = 5 * time.Second
	for range 20 {
		resp, err := other.Post(s.url+"/", "text/plain", strings.NewReader(strings.Repeat("x", 10<<10)))
		if err != nil {
			t.Fatalf("a POST beside others' that are stuck: %v", err)
		}
		_ = resp.Body.Close()
		time.Sleep(10 * time.Millisecond)
	}
}

// Nor does it hold up many others of its own client.
func TestGRPCManyStuckUploadsHoldUpNoOther(t *testing.T) {
	b := startRPC(t, "b")
	s := startHTTP(t, pool.Config{}, Config{}, b.address)
	cc := dialRPC(t, s.address)
	ctx, cancel := context.WithCancel(t.Context())
	var stuck sync.WaitGroup
	defer stuck.Wait()
	defer cancel()
	for range 40 {
		stream, err := cc.NewStream(ctx, &bidi, "/test.Echo/Bidi")
		if err != nil {
			t.Fatal(err)
		}
		stuck.Go(func() {
			m := make([]byte, 64<<10)
			for stream.SendMsg(&m) == nil {
			}
		})
	}
	time.Sleep(200 * time.Millisecond)
	for range 5 {
		if _, err := call(t.Context(), cc, "Echo", "hello"); err != nil {
			t.Fatalf("a call beside 40 stuck streams: %v", err)
		}
	}
}

// throwingOut is a backend that throws a connection out once so many streams on it have
// been reset, as Netty's do, and answers none.
func throwingOut(t *testing.T, most int) (address string, thrown *atomic.Int64) {
	thrown = &atomic.Int64{}
	return startBackend(t, func(c *net.TCPConn) {
		if _, err := io.ReadFull(c, make([]byte, len(http2Preface))); err != nil {
			return
		}
		_, _ = c.Write(frame(typeSettings, 0, 0))
		for resets := 0; resets < most; {
			var head [frameHead]byte
			if _, err := io.ReadFull(c, head[:]); err != nil {
				return
			}
			n := int64(head[0])<<16 | int64(head[1])<<8 | int64(head[2])
			if _, err := io.CopyN(io.Discard, c, n); err != nil {
				return
			}
			switch stream := binary.BigEndian.Uint32(head[5:]); {
			case head[3] == frameReset:
				resets++
			case head[3] == 6 && head[4] == 0: // PING
				_, _ = c.Write(frame(6, 1, 0, make([]byte, 8)...))
			case head[3] == frameHeaders: // :status 200, and no end
				_, _ = c.Write(frame(frameHeaders, flagEndHeaders, stream, 0x88))
			}
		}
		thrown.Add(1)
	}).address, thrown
}

// The calls that clients give up do not add up to what a server throws out for, and
// those of one cost no other's streams.
func TestH2CGivenUpCallsCostNoOtherClient(t *testing.T) {
	b, thrown := throwingOut(t, 100)
	s := startHTTP(t, pool.Config{}, Config{}, b)
	bystander := newH2CClient(t)
	bystander.Timeout = 0
	resp, err := bystander.Get(s.url)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { _, err := io.Copy(io.Discard, resp.Body); ended <- err }()
	for range 10 { // clients, some of whom come when others have gone
		c := newH2CClient(t)
		for range 30 {
			ctx, cancel := context.WithCancel(t.Context())
			req, _ := http.NewRequestWithContext(ctx, "GET", s.url, nil)
			resp, err := c.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			cancel()
			_ = resp.Body.Close()
		}
		c.CloseIdleConnections()
	}
	select {
	case err := <-ended:
		t.Errorf("a stream of who gave nothing up was ended: %v", err)
	default:
	}
	if n := thrown.Load(); n != 0 {
		t.Errorf("the backend threw out %d connections", n)
	}
	_ = resp.Body.Close()
	<-ended
}

// Beyond some connections clients share them, evenly.
func TestH2CClientsShareConnectionsInTheEnd(t *testing.T) {
	var conns, streams atomic.Int64
	b := framed(t, func(c net.Conn, kind, _ byte, stream uint32) {
		if kind == frameHeaders {
			if stream == 1 {
				conns.Add(1)
			}
			streams.Add(1)
			_, _ = c.Write(frame(frameHeaders, flagEndHeaders, stream, 0x88))
		}
	})
	s := startHTTP(t, pool.Config{}, Config{}, b)
	const clients = maxOwn + 30
	for i := range clients {
		resp, err := newH2CClient(t).Get(s.url)
		if err != nil {
			t.Fatalf("client %d: %v", i, err)
		}
		defer resp.Body.Close()
	}
	if streams.Load() != clients || conns.Load() != maxOwn {
		t.Errorf("%d streams on %d connections, want %d on %d", streams.Load(), conns.Load(), clients, maxOwn)
	}
}

// A backend that resets a call has acted upon it, maybe: its client must not be told
// that it was not reached, and call again.
func TestGRPCResetIsToldAsItsCode(t *testing.T) {
	for code, want := range map[uint32]codes.Code{
		1: codes.Internal, 2: codes.Internal, codeRefusedStream: codes.Unavailable, codeCancel: codes.Canceled,
		codeEnhanceYourCalm: codes.ResourceExhausted, codeInadequateSecure: codes.PermissionDenied,
	} {
		b := framed(t, func(c net.Conn, kind, flags byte, stream uint32) {
			if kind == frameData && flags&flagEndStream != 0 {
				_, _ = c.Write(frame(frameReset, 0, stream, word(code)...))
			}
		})
		s := startHTTP(t, pool.Config{}, Config{}, b)
		if _, err := call(t.Context(), dialRPC(t, s.address), "Echo", "x"); status.Code(err) != want {
			t.Errorf("reset with %d: %v, want %v", code, err, want)
		}
	}
}

// A quiet stream ends with words, and is not logged as one whose client left.
func TestGRPCIdleStreamIsTold(t *testing.T) {
	var out syncBuffer
	cfg := Config{Timeouts: Timeouts{Idle: 100 * time.Millisecond}, HTTP: HTTPConfig{AccessLog: &AccessLog{Out: &out}}}
	s := startHTTP(t, pool.Config{}, cfg, startRPC(t, "b").address)
	stream, err := dialRPC(t, s.address).NewStream(t.Context(), &bidi, "/test.Echo/Bidi")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := exchangeOn(stream, "x"); err != nil {
		t.Fatal(err)
	}
	var m []byte
	if err := stream.RecvMsg(&m); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "timeouts.idle") {
		t.Errorf("a stream in which nothing moved ended with %v", err)
	}
	s.stop()
	if log := out.String(); !strings.Contains(log, `"status":504`) || !strings.Contains(log, `"error":"timeout"`) {
		t.Errorf("logged %s", log)
	}
}

// What is malformed, and yet passes net/http, reaches nobody and is nobody's fault.
func TestH2CMalformedHeads(t *testing.T) {
	var reached atomic.Int64
	b := serveH2C(t, func(http.ResponseWriter, *http.Request) { reached.Add(1) })
	s := startHTTP(t, pool.Config{Eject: pool.Eject{Consecutive: 1}}, Config{}, b)
	head := func(pairs ...string) (fields [][2]string) {
		fields = [][2]string{{":method", "GET"}, {":scheme", "http"}}
		for i := 0; i < len(pairs); i += 2 {
			fields = append(fields, [2]string{pairs[i], pairs[i+1]})
		}
		return fields
	}
	for _, fields := range [][][2]string{
		head(":authority", "x", ":path", "http://evil/x"),
		head(":authority", "h/x y", ":path", "/"),
		head(":authority", `h"<>`, ":path", "/"),
		head(":path", "/"),
		head(":authority", "x", ":path", "/", "a", " b "),
		head(":authority", "x", ":path", "/", "a", "b\t"),
		head(":authority", "x", ":path", "/", "content-length", "5"),
	} {
		if status, got := sendH2C(t, s.address, fields, nil); status != "400" || got["x-portside-error"] != "bad_request" {
			t.Errorf("%v: %s %v, want 400 bad_request", fields, status, got)
		}
	}
	if status, _ := sendH2C(t, s.address, head(":authority", "x:80", ":path", "/a?b", "content-length", "0"), nil); status != "200" {
		t.Errorf("a good one: %s", status)
	}
	if st := stateOf(s.pool, b); st.Failures != 0 || reached.Load() != 1 {
		t.Errorf("the backend is blamed %d times, and reached %d times", st.Failures, reached.Load())
	}
}

// A gRPC call that is too large is to be told from an outage.
func TestGRPCTooManyFieldsIsNoOutage(t *testing.T) {
	s := startHTTP(t, pool.Config{}, Config{}, startRPC(t, "b").address)
	ctx := t.Context()
	for i := range 150 {
		ctx = metadata.AppendToOutgoingContext(ctx, fmt.Sprintf("x-%d", i), "v")
	}
	if _, err := call(ctx, dialRPC(t, s.address), "Echo", "x"); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("%v, want RESOURCE_EXHAUSTED", err)
	}
}

// A head must come within its time, be it in drops of one frame or in frames without
// an end, and whatever else is under way.
func TestH2CHeadsComeInTime(t *testing.T) {
	b := startRPC(t, "b")
	for how, send := range map[string]func(c net.Conn) error{
		"drops": func(c net.Conn) error {
			if _, err := c.Write(frame(frameHeaders, flagEndHeaders|flagEndStream, 1, make([]byte, 1000)...)[:frameHead]); err != nil {
				return err
			}
			for {
				if _, err := c.Write([]byte{0}); err != nil {
					return err
				}
				time.Sleep(20 * time.Millisecond)
			}
		},
		"frames": func(c net.Conn) error {
			if _, err := c.Write(frame(frameHeaders, 0, 1, 0x82)); err != nil {
				return err
			}
			for {
				if _, err := c.Write(frame(typeContinuation, 0, 1)); err != nil {
					return err
				}
				time.Sleep(20 * time.Millisecond)
			}
		},
	} {
		s := startHTTP(t, pool.Config{}, Config{Timeouts: Timeouts{Head: 200 * time.Millisecond}}, b.address)
		c := s.raw(t)
		_, _ = io.WriteString(c, http2Preface)
		_, _ = c.Write(frame(typeSettings, 0, 0))
		began := time.Now()
		err := send(c)
		if took := time.Since(began); took > 3*time.Second || took < 150*time.Millisecond {
			t.Errorf("%s: ended by %v after %s, want timeouts.head", how, err, took)
		}
	}
}

// The clock of heads sees them however the bytes are cut.
func TestHeadClockFollowsFrames(t *testing.T) {
	var bytes []byte
	add := func(f []byte) { bytes = append(bytes, f...) }
	add([]byte(http2Preface))
	add(frame(typeSettings, 0, 0))
	add(frame(frameHeaders, flagEndHeaders, 1, 1, 2, 3))
	add(frame(frameData, 0, 1, make([]byte, 100)...))
	add(frame(frameHeaders, 0, 3, 1, 2, 3))
	add(frame(typeContinuation, 0, 3))
	add(frame(typeContinuation, flagEndHeaders, 3))
	add(frame(frameHeaders, flagEndHeaders, 5))
	for size := 1; size <= len(bytes); size++ {
		h := headClock{limit: time.Hour, pass: len(http2Preface)}
		for rest := bytes; len(rest) > 0; rest = rest[min(size, len(rest)):] {
			h.see(rest[:min(size, len(rest))], nil)
		}
		if h.heads != 3 || h.open || h.slow != nil {
			t.Fatalf("in pieces of %d: %d heads, one open: %t", size, h.heads, h.open)
		}
	}
}

func TestH2CEarlyHintsArePassedOn(t *testing.T) {
	b := serveH2C(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</a.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		w.Header().Set("X-Final", "yes")
		_, _ = io.WriteString(w, "body")
	})
	s := startHTTP(t, pool.Config{}, Config{}, b)
	var hints []string
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		hints = append(hints, fmt.Sprint(code, h["Link"]))
		return nil
	}})
	req, _ := http.NewRequestWithContext(ctx, "GET", s.url, nil)
	resp, err := newH2CClient(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if len(hints) != 1 || hints[0] != "103 [</a.css>; rel=preload]" || resp.Header.Get("Link") != "" || resp.Header.Get("X-Final") != "yes" || string(body) != "body" {
		t.Errorf("hints %q, then %v %q", hints, resp.Header, body)
	}
}

func TestH2CInvalidStatusIsABadResponse(t *testing.T) {
	b := framed(t, func(c net.Conn, kind, _ byte, stream uint32) {
		if kind == frameHeaders { // :status 1000, literal (RFC 7541 6.2.2)
			_, _ = c.Write(frame(frameHeaders, flagEndHeaders|flagEndStream, stream, append([]byte{0x08, 4}, "1000"...)...))
		}
	})
	s := startHTTP(t, pool.Config{}, Config{}, b)
	resp, err := newH2CClient(t).Get(s.url)
	if err != nil || resp.StatusCode != 502 || resp.Header.Get("X-Portside-Error") != "bad_response" {
		t.Fatalf("%v %v, want 502 bad_response", resp, err)
	}
	_ = resp.Body.Close()
}

// A backend that keeps no connection for ever, and says so before it ends one, is well.
func TestGRPCConnectionsOfLimitedAgeAreNoFault(t *testing.T) {
	age := grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionAge: 50 * time.Millisecond, MaxConnectionAgeGrace: 50 * time.Millisecond})
	b := startRPC(t, "b", age)
	s := startHTTP(t, pool.Config{}, Config{}, b.address)
	cc := dialRPC(t, s.address)
	for range 6 {
		stream, err := cc.NewStream(t.Context(), &bidi, "/test.Echo/Bidi")
		if err != nil {
			t.Fatal(err)
		}
		var m []byte
		if err := stream.RecvMsg(&m); status.Code(err) != codes.Unavailable {
			t.Fatalf("%v, want the end that the backend had announced", err)
		}
	}
	if st := stateOf(s.pool, b.address); st.Failures != 0 || st.State != pool.Active {
		t.Errorf("%s, %d failures, for connections that ended in order", st.State, st.Failures)
	}
}
