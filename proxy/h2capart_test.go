package proxy

import (
	"context"
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

	xhttp2 "golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"portside/pool"
	"portside/proxy/http2"
	"portside/proxy/socket"
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
		resets := 0
		serveFrames(c, func(kind, flags byte, stream uint32) bool {
			switch {
			case kind == frameReset:
				resets++
			case kind == 6 && flags == 0: // PING
				_, _ = c.Write(frame(6, 1, 0, make([]byte, 8)...))
			default:
				headOf(c, kind, stream)
			}
			return resets < most
		})
		if resets >= most {
			thrown.Add(1)
		}
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
	for code, want := range map[http2.Code]codes.Code{
		1: codes.Internal, 2: codes.Internal, http2.RefusedStream: codes.Unavailable, http2.Cancel: codes.Canceled,
		http2.EnhanceYourCalm: codes.ResourceExhausted, http2.InadequateSecurity: codes.PermissionDenied,
	} {
		b := framed(t, func(c net.Conn, kind, flags byte, stream uint32) {
			if kind == frameData && flags&flagEndStream != 0 {
				_, _ = c.Write(frame(frameReset, 0, stream, word(uint32(code))...))
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
				if _, err := c.Write(frame(frameContinuation, 0, 1)); err != nil {
					return err
				}
				time.Sleep(20 * time.Millisecond)
			}
		},
	} {
		s := startHTTP(t, pool.Config{}, Config{Timeouts: Timeouts{Head: 200 * time.Millisecond}}, b.address)
		c := s.raw(t)
		_, _ = io.WriteString(c, http2.Preface)
		_, _ = c.Write(frame(frameSettings, 0, 0))
		began := time.Now()
		err := send(c)
		if took := time.Since(began); took > 3*time.Second || took < 150*time.Millisecond {
			t.Errorf("%s: ended by %v after %s, want timeouts.head", how, err, took)
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

// A client's trailers go with each attempt, and only there: net/http would write what it
// reads into the map that the next attempt sends.
func TestH2CTrailersGoWithEachAttempt(t *testing.T) {
	refuses := framed(t, func(c net.Conn, kind, _ byte, stream uint32) {
		if kind == frameHeaders {
			_, _ = c.Write(frame(frameReset, 0, stream, word(uint32(http2.RefusedStream))...))
		}
	})
	good := serveH2C(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = fmt.Fprintf(w, "%s %s", body, r.Trailer.Get("X-Sum"))
	})
	s := startHTTP(t, pool.Config{Eject: pool.Eject{Consecutive: -1}}, Config{Retry: Retry{Budget: 1}}, refuses, good)
	c := newH2CClient(t)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range 50 {
				body := &slowBody{text: "body", pause: time.Duration(i%5) * 200 * time.Microsecond}
				req, _ := http.NewRequest("POST", s.url, body)
				req.Trailer = http.Header{"X-Sum": nil, "X-Other": nil}
				body.end = func() { req.Trailer["X-Sum"] = []string{"sum"} }
				resp, err := c.Do(req)
				if err != nil {
					t.Error(err)
					return
				}
				text, _ := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				if string(text) != "body sum" {
					t.Errorf("%d %q, want the body and its trailer", resp.StatusCode, text)
				}
			}
		})
	}
	all.Wait()
}

// slowBody says text, and after a pause that it has ended.
type slowBody struct {
	text  string
	pause time.Duration
	end   func()
}

func (b *slowBody) Read(p []byte) (int, error) {
	if b.text == "" {
		time.Sleep(b.pause)
		b.end()
		return 0, io.EOF
	}
	n := copy(p, b.text)
	b.text = b.text[n:]
	return n, nil
}

// Who announces trailers and ends with the head has none.
func TestH2CAnnouncedTrailersOfNoBody(t *testing.T) {
	s := startHTTP(t, pool.Config{}, Config{}, serveH2C(t, func(http.ResponseWriter, *http.Request) {}))
	for _, length := range []string{"", "0"} {
		fields := [][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", "x"}, {":path", "/"}, {"trailer", "x-t"}}
		if length != "" {
			fields = append(fields, [2]string{"content-length", length})
		}
		if status, _ := sendH2C(t, s.address, fields, nil); status != "200" {
			t.Errorf("content-length %q: %s", length, status)
		}
	}
}

// A head that is too large for a backend is nothing that the backend did.
func TestGRPCHeadTooLargeForTheBackendBlamesNobody(t *testing.T) {
	b := startRPC(t, "b", grpc.MaxHeaderListSize(8<<10))
	s := startHTTP(t, pool.Config{Eject: pool.Eject{Consecutive: 1}}, Config{}, b.address)
	for range 5 { // clients, with a connection each
		cc := dialRPC(t, s.address)
		stream, err := cc.NewStream(t.Context(), &bidi, "/test.Echo/Bidi")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := exchangeOn(stream, "x"); err != nil {
			t.Fatal(err)
		}
		ctx := metadata.AppendToOutgoingContext(t.Context(), "x-large", strings.Repeat("x", 9<<10))
		if _, err := call(ctx, cc, "Echo", "x"); status.Code(err) != codes.ResourceExhausted {
			t.Errorf("%v, want RESOURCE_EXHAUSTED", err)
		}
	}
	if st := stateOf(s.pool, b.address); st.Failures != 0 {
		t.Errorf("the backend is blamed %d times", st.Failures)
	}
}

// Nor is a body that its client breaks behind the response's head.
func TestGRPCBodyBrokenBehindTheHeadBlamesNobody(t *testing.T) {
	b := framed(t, func(c net.Conn, kind, flags byte, stream uint32) {
		if kind == frameHeaders { // :status 200, content-type: application/grpc
			head := append([]byte{0x88, 0x0f, 0x10, 16}, "application/grpc"...)
			_, _ = c.Write(frame(frameHeaders, flagEndHeaders, stream, head...))
		}
	})
	s := startHTTP(t, pool.Config{Eject: pool.Eject{Consecutive: 1}}, Config{}, b)
	for range 3 {
		conn := s.raw(t)
		_, _ = io.WriteString(conn, http2.Preface)
		f := xhttp2.NewFramer(conn, conn)
		_ = f.WriteSettings()
		block := headBlock([][2]string{
			{":method", "POST"},
			{":scheme", "http"},
			{":authority", "x"},
			{":path", "/a/b"},
			{"content-type", "application/grpc"},
			{"te", "trailers"},
			{"content-length", "10"},
		})
		_ = f.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: block, EndHeaders: true})
		_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		for headers := 0; ; {
			got, err := f.ReadFrame()
			if err != nil {
				t.Fatal(err)
			}
			if got.Header().Type == xhttp2.FrameHeaders {
				if headers++; headers == 1 {
					_ = f.WriteData(1, true, []byte("abc"))
					continue
				}
				break
			}
			if got.Header().Type == xhttp2.FrameRSTStream {
				break
			}
		}
	}
	if st := stateOf(s.pool, b); st.Failures != 0 {
		t.Errorf("the backend is blamed %d times", st.Failures)
	}
}

// Clients that come all at once, before the first connection is there, make no more than
// they may.
func TestH2CConnectionsBeingMadeCount(t *testing.T) {
	var conns atomic.Int64
	b := startBackend(t, func(c *net.TCPConn) {
		conns.Add(1)
		time.Sleep(50 * time.Millisecond)
		serveFrames(c, func(kind, _ byte, stream uint32) bool { headOf(c, kind, stream); return true })
	})
	s := startHTTP(t, pool.Config{}, Config{}, b.address)
	var all sync.WaitGroup
	for range 3 * maxOwn {
		c := newH2CClient(t)
		all.Go(func() {
			resp, err := c.Get(s.url)
			if err != nil || resp.StatusCode != 200 {
				t.Error(resp, err)
				return
			}
			t.Cleanup(func() { _ = resp.Body.Close() })
		})
	}
	all.Wait()
	if n := conns.Load(); n > maxOwn {
		t.Errorf("%d connections to one backend", n)
	}
}

// Many calls of one client where each connection takes one stream, and one that takes
// few connections: nobody fails, and nobody is blamed.
func TestGRPCFewStreamsAndFewConnections(t *testing.T) {
	b := startRPC(t, "b", grpc.MaxConcurrentStreams(1))
	s := startHTTP(t, pool.Config{Eject: pool.Eject{Consecutive: 1}}, Config{}, b.address)
	cc := dialRPC(t, s.address)
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			if _, err := call(t.Context(), cc, "Hold", ""); err != nil {
				t.Error(err)
			}
		})
	}
	eventually(t, "not all have reached the backend", func() bool { return b.holding.Load() == 100 })
	close(b.release)
	all.Wait()
	if st := stateOf(s.pool, b.address); st.Failures != 0 {
		t.Errorf("the backend is blamed %d times", st.Failures)
	}

	var conns atomic.Int64
	few := startBackend(t, func(c *net.TCPConn) {
		if conns.Add(1) > 3 {
			resets(c)
			return
		}
		serveFrames(c, func(kind, _ byte, stream uint32) bool { headOf(c, kind, stream); return true })
	})
	s = startHTTP(t, pool.Config{Eject: pool.Eject{Consecutive: 1}}, Config{}, few.address)
	for i := range 10 {
		resp, err := newH2CClient(t).Get(s.url)
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("client %d: %v %v", i, resp, err)
		}
		defer resp.Body.Close()
	}
	if st := stateOf(s.pool, few.address); st.Failures != 0 {
		t.Errorf("the backend that takes few connections is blamed %d times", st.Failures)
	}
}

// timeouts.response is for each attempt, and one that it ends may be followed by another.
func TestH2CHungBackendCostsNoGet(t *testing.T) {
	hung := serveH2C(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	well := serveH2C(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		time.Sleep(240 * time.Millisecond) // with the other's, longer than one may take
		_, _ = fmt.Fprintf(w, "%s %s", r.Method, body)
	})
	s := startHTTP(t, pool.Config{Eject: pool.Eject{Consecutive: -1}}, Config{Timeouts: Timeouts{Response: 400 * time.Millisecond}}, hung, well)
	c := newH2CClient(t)
	for method, want := range map[string]int{"GET": 0, "PUT": 0, "POST": 2} {
		timeouts := 0
		for range 4 {
			var body io.Reader
			if method != "GET" {
				body = strings.NewReader("body")
			}
			req, _ := http.NewRequest(method, s.url, body)
			resp, err := c.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode == 504 && resp.Header.Get("X-Portside-Error") == "timeout" {
				timeouts++
			} else if resp.StatusCode != 200 || !strings.HasPrefix(string(text), method) || method != "GET" && !strings.HasSuffix(string(text), "body") {
				t.Errorf("%s: %d %q", method, resp.StatusCode, text)
			}
		}
		if timeouts != want {
			t.Errorf("%s: %d of four timed out, want %d", method, timeouts, want)
		}
	}
	if st := stateOf(s.pool, well); st.Failures != 0 {
		t.Errorf("the backend that answers in time is blamed %d times", st.Failures)
	}
}

// A backend that is frozen is found out, though an older connection to it is still open.
func TestGRPCFrozenBackendIsNotShared(t *testing.T) {
	a, b := startRPC(t, "a"), startRPC(t, "b")
	var frozen atomic.Bool
	front := startBackend(t, func(c *net.TCPConn) {
		if frozen.Load() {
			_, _ = io.Copy(io.Discard, c)
			return
		}
		to, err := net.Dial("tcp", b.address)
		if err != nil {
			return
		}
		defer to.Close()
		var both sync.WaitGroup
		pump := func(to, from net.Conn) {
			buf := make([]byte, 4<<10)
			for {
				n, err := from.Read(buf)
				if err != nil {
					_ = to.Close()
					return
				}
				if !frozen.Load() {
					_, _ = to.Write(buf[:n])
				}
			}
		}
		both.Go(func() { pump(to, c) })
		both.Go(func() { pump(c, to) })
		both.Wait()
	})
	// Without a trial meanwhile, which may have it back for as long as nobody can tell.
	s := startHTTP(t, pool.Config{Eject: pool.Eject{Backoff: time.Minute}}, Config{Timeouts: Timeouts{Connect: 500 * time.Millisecond}}, a.address, front.address)
	holder := dialRPC(t, s.address)
	for range 2 {
		stream, err := holder.NewStream(t.Context(), &bidi, "/test.Echo/Bidi")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := exchangeOn(stream, "x"); err != nil {
			t.Fatal(err)
		}
	}
	frozen.Store(true)
	out := func() bool { return stateOf(s.pool, front.address).State == pool.Ejected }
	for i, after := 0, 0; after < 5; i++ {
		if out() {
			after++
		}
		if i == 40 {
			t.Fatalf("the frozen backend is %s after %d calls", stateOf(s.pool, front.address).State, i)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		if _, err := call(ctx, dialRPC(t, s.address), "Echo", "x"); err != nil {
			t.Errorf("call %d: %v", i, err)
		}
		cancel()
	}
}

// What came in time counts as such, and what is late does not.
func TestH2CClockOfResponses(t *testing.T) {
	s := &stream{cfg: &Config{Timeouts: Timeouts{Response: 300 * time.Millisecond}}, ServerStream: http2.NewStream(http2.Request{Ended: true})}
	s.news.Store(1) // somebody takes it on
	now := time.Now()
	s.begins()
	s.check(now.Add(200*time.Millisecond), 0)
	if !s.passes() {
		t.Fatal("a response in time is late")
	}
	s.check(now.Add(time.Hour), 0)
	if s.slow() || s.ended() != nil {
		t.Error("a response that was in time is ended")
	}
	s.begins()
	s.check(now.Add(time.Hour), 0)
	if !s.slow() || s.passes() {
		t.Error("a response behind the limit is in time")
	}
}

// A backend that takes no streams gets no connection more for each that asks.
func TestH2CBackendThatTakesNoStreams(t *testing.T) {
	var conns, open atomic.Int64
	b := startBackend(t, func(c *net.TCPConn) {
		conns.Add(1)
		open.Add(1)
		defer open.Add(-1)
		_, _ = c.Write(frame(frameSettings, 0, 0, 0, 3, 0, 0, 0, 0))
		_, _ = io.Copy(io.Discard, c)
	})
	s := startHTTP(t, pool.Config{}, Config{}, b.address)
	c := newH2CClient(t)
	for range 50 {
		resp, err := c.Get(s.url)
		if err != nil || resp.StatusCode != 502 {
			t.Fatal(resp, err)
		}
		_ = resp.Body.Close()
	}
	eventually(t, fmt.Sprintf("of %d connections some are kept that take no streams", conns.Load()), func() bool { return open.Load() == 0 })
}

// A connection that its backend ends before it is used is replaced: the backend has refused
// nothing.
func TestH2CConnectionThatEndsBeforeItsUseIsReplaced(t *testing.T) {
	var conns atomic.Int64
	b := startBackend(t, func(c *net.TCPConn) {
		if conns.Add(1)%3 != 0 {
			_, _ = c.Write(append(frame(frameSettings, 0, 0), frame(frameGoAway, 0, 0, append(word(0), word(0)...)...)...))
			_, _ = io.Copy(io.Discard, c)
			return
		}
		serveFrames(c, func(kind, _ byte, stream uint32) bool {
			if kind == frameHeaders { // the next request has another connection
				_, _ = c.Write(append(frame(frameHeaders, flagEndHeaders|flagEndStream, stream, 0x88), frame(frameGoAway, 0, 0, append(word(stream), word(0)...)...)...))
			}
			return true
		})
	})
	s := startHTTP(t, pool.Config{}, Config{}, b.address)
	c := newH2CClient(t)
	for i := range 20 {
		resp, err := c.Get(s.url)
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("request %d: %v %v, want another connection", i, resp, err)
		}
		_ = resp.Body.Close()
	}
	if st := stateOf(s.pool, b.address); st.Failures != 0 {
		t.Errorf("the backend is blamed %d times for connections that it ends in order", st.Failures)
	}
}

// Trailers that are too large for a backend are nothing that it did.
func TestH2CTrailersTooLargeForTheBackend(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{
		Handler:   http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }),
		Protocols: new(http.Protocols), MaxHeaderBytes: 8 << 10,
	}
	srv.Protocols.SetUnencryptedHTTP2(true)
	var wg sync.WaitGroup
	wg.Go(func() { _ = srv.Serve(ln) })
	t.Cleanup(func() { _ = srv.Close(); wg.Wait() })
	s := startHTTP(t, pool.Config{Eject: pool.Eject{Consecutive: 1}}, Config{}, ln.Addr().String())
	c := newH2CClient(t)
	for range 5 {
		req, _ := http.NewRequest("POST", s.url, strings.NewReader("body"))
		req.ContentLength = -1
		req.Trailer = http.Header{"X-Large": {strings.Repeat("x", 20<<10)}}
		resp, err := c.Do(req)
		if err != nil || resp.StatusCode != 431 {
			t.Fatalf("%v %v, want 431", resp, err)
		}
		_ = resp.Body.Close()
	}
	if st := stateOf(s.pool, ln.Addr().String()); st.Failures != 0 {
		t.Errorf("the backend is blamed %d times", st.Failures)
	}
}

// A client that stays while backends come and go does not remember all of them.
func TestH2CClientForgetsBackendsThatLeft(t *testing.T) {
	client := &h2cClient{}
	for range 10 {
		address := serveH2C(t, func(http.ResponseWriter, *http.Request) {})
		c := &trunk{Client: dialH2C(t, address)}
		to := &trunks{open: []*trunk{c}}
		if to.share(client) != c {
			t.Fatal("a connection with room is not shared")
		}
		_ = c.Close()
	}
	remembered := 0
	client.shared.Range(func(any, any) bool { remembered++; return true })
	if remembered != 1 {
		t.Errorf("the client remembers %d connections, want the last", remembered)
	}
}

// dialH2C is a connection to a backend, which has greeted.
func dialH2C(t *testing.T, address string) *http2.Client {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	var sock socket.Conn
	if err := sock.Init(conn.(*net.TCPConn)); err != nil {
		t.Fatal(err)
	}
	c := http2.NewClient(&sock, new(atomic.Int64), http2.ClientConfig{Window: unread, All: allUnread, Head: responseHead})
	var running sync.WaitGroup
	running.Go(c.Run)
	t.Cleanup(func() {
		_ = c.Close()
		running.Wait()
	})
	<-c.Greeted()
	return c
}
