package proxy

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"portside/pool"
	"portside/proxy/http2"
)

// The frames of RFC 9113 6 that the backends here write themselves.
const (
	frameData         = 0
	frameHeaders      = 1
	frameReset        = 3
	frameSettings     = 4
	frameGoAway       = 7
	frameContinuation = 9
	flagEndStream     = 1
	flagEndHeaders    = 4
	frameHead         = 9 // bytes
)

func frame(kind, flags byte, stream uint32, payload ...byte) []byte {
	n := len(payload)
	b := []byte{byte(n >> 16), byte(n >> 8), byte(n), kind, flags}
	return append(binary.BigEndian.AppendUint32(b, stream), payload...)
}

func word(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

// framed is a backend that greets, and answers what comes, frame by frame.
func framed(t *testing.T, answer func(c net.Conn, kind, flags byte, stream uint32)) string {
	return startBackend(t, func(c *net.TCPConn) {
		serveFrames(c, func(kind, flags byte, stream uint32) bool {
			answer(c, kind, flags, stream)
			return true
		})
	}).address
}

// serveFrames greets on c, and hands over what comes, frame by frame, as long as more is
// wanted.
func serveFrames(c net.Conn, more func(kind, flags byte, stream uint32) bool) {
	if _, err := io.ReadFull(c, make([]byte, len(http2.Preface))); err != nil {
		return
	}
	_, _ = c.Write(frame(frameSettings, 0, 0))
	for {
		var head [frameHead]byte
		if _, err := io.ReadFull(c, head[:]); err != nil {
			return
		}
		n := int64(head[0])<<16 | int64(head[1])<<8 | int64(head[2])
		if _, err := io.CopyN(io.Discard, c, n); err != nil {
			return
		}
		if !more(head[3], head[4], binary.BigEndian.Uint32(head[5:])) {
			return
		}
	}
}

// headOf begins a response to stream that does not end.
func headOf(c net.Conn, kind byte, stream uint32) {
	if kind == frameHeaders { // :status 200
		_, _ = c.Write(frame(frameHeaders, flagEndHeaders, stream, 0x88))
	}
}

// What a backend says it has not looked at goes to another, a POST with its body
// too: once it is whole.
func TestH2CRefusedStreamsGoElsewhere(t *testing.T) {
	for how, answer := range map[string]func(c net.Conn, stream uint32){
		"REFUSED_STREAM": func(c net.Conn, stream uint32) {
			_, _ = c.Write(frame(frameReset, 0, stream, word(uint32(http2.RefusedStream))...))
		},
		"GOAWAY": func(c net.Conn, _ uint32) {
			_, _ = c.Write(frame(frameGoAway, 0, 0, append(word(0), word(0)...)...))
		},
	} {
		t.Run(how, func(t *testing.T) {
			var refused atomic.Int64
			bad := framed(t, func(c net.Conn, kind, flags byte, stream uint32) {
				if kind == frameData && flags&flagEndStream != 0 {
					refused.Add(1)
					answer(c, stream)
				}
			})
			s := startHTTP(t, pool.Config{}, Config{}, bad, startRPC(t, "b").address)
			cc := dialRPC(t, s.address)
			for range 10 {
				if got, err := call(t.Context(), cc, "Echo", "hello"); got != "hello" || err != nil {
					t.Fatalf("%q, %v: the client noticed", got, err)
				}
			}
			if refused.Load() == 0 {
				t.Fatal("the backend refused nothing: nothing was tested")
			}
			s.atRest(t)
		})
	}
}

// What may have been acted upon does not, unless its method says that it may be
// done twice.
func TestH2CResetStreamsGoElsewhereIfIdempotent(t *testing.T) {
	const internal = 2
	bad := framed(t, func(c net.Conn, kind, flags byte, stream uint32) {
		if (kind == frameData || kind == frameHeaders) && flags&flagEndStream != 0 {
			_, _ = c.Write(frame(frameReset, 0, stream, word(internal)...))
		}
	})
	good := serveH2C(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = io.WriteString(w, "got "+string(body))
	})
	for method, want := range map[string]int{"GET": 200, "PUT": 200, "POST": 502, "PATCH": 502} {
		// Fresh each time: the first request is for the one whose turn it is.
		s := startHTTP(t, pool.Config{Eject: pool.Eject{Consecutive: -1}}, Config{}, bad, good)
		seen := map[int]int{}
		for range 4 {
			var body io.Reader
			if method != "GET" {
				body = struct{ io.Reader }{strings.NewReader("body")}
			}
			req, _ := http.NewRequest(method, s.url, body)
			resp, err := newH2CClient(t).Do(req)
			if err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			seen[resp.StatusCode]++
			if method == "PUT" && string(text) != "got body" {
				t.Fatalf("the second backend got %q, want the whole body", text)
			}
		}
		if want == 200 && seen[200] != 4 || want == 502 && (seen[502] != 2 || seen[200] != 2) {
			t.Errorf("%s: answers %v, want %d where the bad backend was asked first", method, seen, want)
		}
	}
}

// Nor is a stream lost that a backend has not looked at while its client still has
// more to say, though what has come of it must be sent again.
func TestH2CRefusedWhileUploadingGoesElsewhere(t *testing.T) {
	for how, answer := range map[string]func(c net.Conn, stream uint32){
		"REFUSED_STREAM": func(c net.Conn, stream uint32) {
			_, _ = c.Write(frame(frameReset, 0, stream, word(uint32(http2.RefusedStream))...))
		},
		"GOAWAY": func(c net.Conn, stream uint32) {
			_, _ = c.Write(frame(frameGoAway, 0, 0, append(word(stream-1), word(0)...)...))
		},
	} {
		t.Run(how, func(t *testing.T) {
			var refused atomic.Int64
			bad := framed(t, func(c net.Conn, kind, _ byte, stream uint32) {
				if kind == frameData {
					refused.Add(1)
					answer(c, stream)
				}
			})
			never := pool.Config{Eject: pool.Eject{Consecutive: -1}}
			s := startHTTP(t, never, Config{Retry: Retry{Budget: 1}}, bad, startRPC(t, "b").address)
			cc := dialRPC(t, s.address)
			for range 20 {
				stream, err := cc.NewStream(t.Context(), &bidi, "/test.Echo/Bidi")
				if err != nil {
					t.Fatal(err)
				}
				for _, m := range []string{"one", "two", "three"} {
					if got, err := exchangeOn(stream, m); got != "b "+m || err != nil {
						t.Fatalf("%q, %v: the client noticed", got, err)
					}
				}
				_ = stream.CloseSend()
				var end []byte
				if err := stream.RecvMsg(&end); err != io.EOF {
					t.Fatalf("%v, want the end", err)
				}
			}
			if refused.Load() < 5 {
				t.Fatal("the backend refused next to nothing: nothing was tested")
			}
			s.atRest(t)
		})
	}
}

// A stream whose upload goes on when it is refused must end where there is no
// other backend, and not hang.
func TestH2CRefusedWhileUploadingEnds(t *testing.T) {
	bad := framed(t, func(c net.Conn, kind, _ byte, stream uint32) {
		if kind == frameHeaders {
			_, _ = c.Write(frame(frameReset, 0, stream, word(uint32(http2.RefusedStream))...))
		}
	})
	s := startHTTP(t, pool.Config{}, Config{}, bad)
	stream, err := dialRPC(t, s.address).NewStream(t.Context(), &bidi, "/test.Echo/Bidi")
	if err != nil {
		t.Fatal(err)
	}
	var m []byte
	if err := stream.RecvMsg(&m); status.Code(err) != codes.Unavailable {
		t.Fatalf("%v, want UNAVAILABLE", err)
	}
	s.atRest(t)
}

// A backend that ends its half of the connection's words early, with the client
// still sending, has answered.
func TestGRPCBackendMayAnswerBeforeTheClientHasFinished(t *testing.T) {
	b := startRPC(t, "b")
	s := startHTTP(t, pool.Config{}, Config{}, b.address)
	stream, err := dialRPC(t, s.address).NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/test.Echo/Count")
	if err != nil {
		t.Fatal(err)
	}
	in := []byte("3")
	if err := stream.SendMsg(&in); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		var m []byte
		if err := stream.RecvMsg(&m); err != nil {
			t.Fatal(err)
		}
	}
	var m []byte
	if err := stream.RecvMsg(&m); err != io.EOF {
		t.Fatalf("%v, want the end: the backend has answered", err)
	}
	s.atRest(t)
}

// A server of gRPC's counts the PINGs of its clients and throws out those that
// send too many: calls given up must not cost those that go on.
func TestGRPCManyCancelsDoNotEndTheConnection(t *testing.T) {
	b := startRPC(t, "b")
	s := startHTTP(t, pool.Config{}, Config{}, b.address)
	cc := dialRPC(t, s.address)
	steady, err := cc.NewStream(t.Context(), &bidi, "/test.Echo/Bidi")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := exchangeOn(steady, "x"); err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { _, err := call(ctx, cc, "Hold", ""); ended <- err }()
		eventually(t, "the call did not reach the backend", func() bool { return b.holding.Load() == 1 })
		cancel()
		<-ended
		eventually(t, "the cancel did not reach the backend", func() bool { return b.canceled.Load() == int64(i+1) })
	}
	if _, err := exchangeOn(steady, "x"); err != nil {
		t.Fatalf("the stream that went on was ended: %v", err)
	}
}

func TestH2CHeadsWithoutBodies(t *testing.T) {
	address := serveH2C(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/none":
			w.WriteHeader(204)
		case "/same":
			w.WriteHeader(304)
		default:
			w.Header().Set("Content-Length", "5")
		}
	})
	s := startHTTP(t, pool.Config{}, Config{}, address)
	c := newH2CClient(t)
	for _, q := range []struct {
		method, path string
		status       int
		length       int64
	}{{"GET", "/none", 204, 0}, {"GET", "/same", 304, 0}, {"HEAD", "/", 200, 5}} {
		req, _ := http.NewRequest(q.method, s.url+q.path, nil)
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != q.status || len(body) != 0 || err != nil || resp.Header.Get("Content-Type") != "" || q.length != 0 && resp.ContentLength != q.length {
			t.Errorf("%s %s: %d, %q, %v, length %d, %v", q.method, q.path, resp.StatusCode, body, err, resp.ContentLength, resp.Header)
		}
	}
	eventually(t, "not all are counted as answered", func() bool { return s.Duration().Count == 3 })
}

func TestH2CCarriesRequestTrailers(t *testing.T) {
	address := serveH2C(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, r.Trailer.Get("X-Sum"))
	})
	s := startHTTP(t, pool.Config{}, Config{}, address)
	req, _ := http.NewRequest("POST", s.url, struct{ io.Reader }{strings.NewReader("body")})
	req.Trailer = http.Header{"X-Sum": {"42"}}
	resp, err := newH2CClient(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); string(body) != "42" || err != nil {
		t.Fatalf("the backend saw the trailer as %q, %v, want 42", body, err)
	}
}

// Many clients, one after another, as command-line tools are.
func TestH2CClientsLeaveNothingBehind(t *testing.T) {
	s := startHTTP(t, pool.Config{}, Config{}, startRPC(t, "b").address)
	before := 0
	for i := range 60 {
		cc := dialRPC(t, s.address)
		if _, err := call(t.Context(), cc, "Name", ""); err != nil {
			t.Fatal(err)
		}
		_ = cc.Close()
		if i == 10 {
			eventually(t, "connections stay open", func() bool { return s.Stats().Active.Load() == 0 })
			before = descriptors(t)
		}
	}
	eventually(t, "connections stay open", func() bool { return s.Stats().Active.Load() == 0 })
	eventually(t, "descriptors stay open", func() bool { return descriptors(t) <= before+2 })
}

// A backend that asks for calm, as nginx does of a head that is too large for it, has
// not failed; others would but say the same, and end their connections as well.
func TestH2CBackendsThatAskForCalmAreNotBlamed(t *testing.T) {
	const calm = uint32(http2.EnhanceYourCalm)
	ends := map[string]func(c net.Conn, stream uint32){
		"stream": func(c net.Conn, stream uint32) { _, _ = c.Write(frame(frameReset, 0, stream, word(calm)...)) },
		"connection": func(c net.Conn, stream uint32) {
			_, _ = c.Write(frame(frameGoAway, 0, 0, append(word(stream), word(calm)...)...))
			_ = c.(*net.TCPConn).CloseWrite()
		},
		"connection, before it": func(c net.Conn, stream uint32) {
			_, _ = c.Write(frame(frameGoAway, 0, 0, append(word(stream-1), word(calm)...)...))
			_ = c.(*net.TCPConn).CloseWrite()
		},
	}
	for how, end := range ends {
		t.Run(how, func(t *testing.T) {
			var heads atomic.Int64
			backend := func() string {
				return framed(t, func(c net.Conn, kind, _ byte, stream uint32) {
					if kind == frameHeaders {
						heads.Add(1)
						end(c, stream)
					}
				})
			}
			all := []string{backend(), backend(), backend()}
			s := startHTTP(t, pool.Config{}, Config{}, all...)
			ask := func(method, field, kind string) *http.Response {
				t.Helper()
				heads.Store(0)
				req, _ := http.NewRequestWithContext(t.Context(), method, s.url, nil)
				req.Header.Set("X-Field", field)
				if kind != "" {
					req.Header.Set("Content-Type", kind)
				}
				resp, err := newH2CClient(t).Do(req)
				if err != nil {
					t.Fatal(err)
				}
				_ = resp.Body.Close()
				return resp
			}
			large := strings.Repeat("x", 10_000)
			for range 6 {
				if resp := ask("GET", large, ""); resp.StatusCode != 431 {
					t.Fatalf("%s after %d tries for a large head, want 431", resp.Status, heads.Load())
				}
			}
			for _, a := range all {
				if b := stateOf(s.pool, a); b.Failures != 0 {
					t.Errorf("%d failures counted for heads that are too large", b.Failures)
				}
			}
			for range 6 { // one that asks for calm of all is of no use
				if resp := ask("POST", "x", ""); resp.StatusCode != 502 || heads.Load() != 1 {
					t.Fatalf("%s after %d tries for a POST, want 502 after one", resp.Status, heads.Load())
				}
				if resp := ask("POST", "x", "application/grpc"); resp.Header.Get("Grpc-Status") != "8" || heads.Load() != 1 {
					t.Fatalf("%v after %d tries for a call, want RESOURCE_EXHAUSTED after one", resp.Header, heads.Load())
				}
			}
			blamed := uint64(0)
			for _, a := range all {
				blamed += stateOf(s.pool, a).Failures
			}
			if blamed == 0 {
				t.Error("backends that serve nobody are not blamed")
			}
			s.atRest(t)
		})
	}
}
