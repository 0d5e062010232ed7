package proxy

import (
	"bytes"
	"cmp"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	xhttp2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"portside/pool"
	"portside/proxy/http1"
)

func TestGRPCHidesABadBackend(t *testing.T) {
	for how, start := range map[string]func(t *testing.T) string{
		"refuses": refusing,
		"resets":  func(t *testing.T) string { return startBackend(t, resets).address },
		"closes":  func(t *testing.T) string { return startBackend(t, closes).address },
		"hangs": func(t *testing.T) string {
			return startBackend(t, func(c *net.TCPConn) { _, _ = io.Copy(io.Discard, c) }).address
		},
	} {
		t.Run(how, func(t *testing.T) {
			bad := start(t)
			s := startHTTP(t, pool.Config{}, Config{Timeouts: Timeouts{Connect: 100 * time.Millisecond}}, startRPC(t, "a").address, bad, startRPC(t, "c").address)
			cc := dialRPC(t, s.address)
			for i := range 100 {
				if _, err := call(t.Context(), cc, "Name", ""); err != nil {
					t.Fatalf("call %d: %v: the client noticed the bad backend", i, err)
				}
			}
			if got := stateOf(s.pool, bad); got.State != pool.Ejected {
				t.Fatalf("the bad backend is %s, want it ejected", got.State)
			}
			if s.Stats().Retries.Load() == 0 {
				t.Fatal("no second try counted")
			}
			s.atRest(t)
		})
	}
}

// One of three is killed under load: calls that it had may fail, as UNAVAILABLE,
// and no others.
func TestGRPCLosesOnlyWhatADeadBackendHad(t *testing.T) {
	all, addresses := startThree(t)
	s := startHTTP(t, pool.Config{}, Config{}, addresses...)
	cc := dialRPC(t, s.address)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var ok, lost atomic.Int64
	const workers = 8
	for range workers {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				switch _, err := call(t.Context(), cc, "Name", ""); {
				case err == nil:
					ok.Add(1)
				case status.Code(err) == codes.Unavailable && strings.Contains(err.Error(), "portside"):
					lost.Add(1)
				default:
					t.Errorf("a call failed with %v, want UNAVAILABLE", err)
				}
			}
		})
	}
	eventually(t, "no calls get through", func() bool { return ok.Load() > 200 })
	all[1].server.Stop()
	before := ok.Load()
	eventually(t, "no calls get through after the kill", func() bool { return ok.Load() > before+500 })
	close(stop)
	wg.Wait()
	if n := lost.Load(); n > workers {
		t.Fatalf("%d calls lost, want at most the %d that can have been in flight", n, workers)
	}
	if got := stateOf(s.pool, all[1].address); got.State != pool.Ejected {
		t.Fatalf("the dead backend is %s, want ejected", got.State)
	}
	s.atRest(t)
}

// A backend that stops in order says so (GOAWAY): nobody loses a call.
func TestGRPCBackendStopsInOrderUnnoticed(t *testing.T) {
	all, addresses := startThree(t)
	s := startHTTP(t, pool.Config{}, Config{}, addresses...)
	cc := dialRPC(t, s.address)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var ok atomic.Int64
	for range 8 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := call(t.Context(), cc, "Echo", "x"); err != nil {
					t.Errorf("a call failed: %v", err)
				}
				ok.Add(1)
			}
		})
	}
	eventually(t, "no calls get through", func() bool { return ok.Load() > 200 })
	all[1].server.GracefulStop()
	before := ok.Load()
	eventually(t, "no calls get through after the stop", func() bool { return ok.Load() > before+300 })
	close(stop)
	wg.Wait()
}

// ageOf has a server end its connections when they are so old.
func ageOf(d time.Duration) grpc.ServerOption {
	return grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionAge: d})
}

// Connections of a limited age are no fault of a backend's, be it the only one.
func TestGRPCConnectionsEndAndAreReplacedUnnoticed(t *testing.T) {
	// Shorter, and on a busy machine a connection is too old before it is first used.
	b := startRPC(t, "b", ageOf(100*time.Millisecond))
	s := startHTTP(t, pool.Config{}, Config{}, b.address)
	cc := dialRPC(t, s.address)
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); {
		if _, err := call(t.Context(), cc, "Echo", "x"); err != nil {
			t.Fatal(err)
		}
	}
	if got := stateOf(s.pool, b.address); got.Failures != 0 {
		t.Fatalf("%d failures counted, want none", got.Failures)
	}
}

func TestGRPCInFlightOnADeadBackendIsUnavailable(t *testing.T) {
	b := startRPC(t, "b")
	s := startHTTP(t, pool.Config{}, Config{}, b.address)
	cc := dialRPC(t, s.address)
	stream, err := cc.NewStream(t.Context(), &bidi, "/test.Echo/Bidi")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := exchangeOn(stream, "x"); err != nil {
		t.Fatal(err)
	}
	held := make(chan error)
	go func() { _, err := call(t.Context(), cc, "Hold", ""); held <- err }()
	eventually(t, "the call did not reach the backend", func() bool { return b.holding.Load() == 1 })
	b.server.Stop()
	if err := <-held; status.Code(err) != codes.Unavailable {
		t.Errorf("the call in flight failed with %v, want UNAVAILABLE", err)
	}
	var m []byte
	if err := stream.RecvMsg(&m); status.Code(err) != codes.Unavailable {
		t.Errorf("the stream in flight failed with %v, want UNAVAILABLE", err)
	}
	if n := stateOf(s.pool, b.address).Failures; n != 1 {
		t.Errorf("%d failures counted, want one: one connection broke", n)
	}
}

func TestGRPCResponseTimeout(t *testing.T) {
	b := startRPC(t, "b")
	s := startHTTP(t, pool.Config{}, Config{Timeouts: Timeouts{Response: 50 * time.Millisecond}}, b.address)
	_, err := call(t.Context(), dialRPC(t, s.address), "Hold", "")
	if status.Code(err) != codes.DeadlineExceeded || !strings.Contains(err.Error(), "portside") {
		t.Fatalf("%v, want DEADLINE_EXCEEDED in our words", err)
	}
	if n := stateOf(s.pool, b.address).Failures; n != 1 {
		t.Fatalf("%d failures counted, want one", n)
	}
}

func TestH2CStreamInWhichNothingMovesEnds(t *testing.T) {
	b := startRPC(t, "b")
	s := startHTTP(t, pool.Config{}, Config{Timeouts: Timeouts{Idle: 500 * time.Millisecond}}, b.address)
	stream, err := dialRPC(t, s.address).NewStream(t.Context(), &bidi, "/test.Echo/Bidi")
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if _, err := exchangeOn(stream, "x"); err != nil {
			t.Fatalf("a stream that moves was ended: %v", err)
		}
		time.Sleep(80 * time.Millisecond)
	}
	var m []byte
	if err := stream.RecvMsg(&m); err == nil || err == io.EOF {
		t.Fatalf("a stream in which nothing moves reads %v, want it ended", err)
	}
	s.atRest(t)
}

func TestH2CDrainLetsAStreamFinish(t *testing.T) {
	b := startRPC(t, "b")
	s := startHTTP(t, pool.Config{}, Config{DrainTimeout: 10 * time.Second}, b.address)
	stream, err := dialRPC(t, s.address).NewStream(t.Context(), &bidi, "/test.Echo/Bidi")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := exchangeOn(stream, "x"); err != nil {
		t.Fatal(err)
	}
	done := make(chan int64)
	go func() { done <- s.stop() }()
	for range 10 {
		time.Sleep(20 * time.Millisecond)
		if _, err := exchangeOn(stream, "x"); err != nil {
			t.Fatalf("a stream was cut while the drain had time: %v", err)
		}
	}
	_ = stream.CloseSend()
	var m []byte
	if err := stream.RecvMsg(&m); err != io.EOF {
		t.Fatalf("%v at the end of the stream", err)
	}
	if cut := <-done; cut != 0 {
		t.Fatalf("%d cut, want none", cut)
	}
}

func TestH2CDrainEndsAtItsTimeout(t *testing.T) {
	b := startRPC(t, "b")
	s := startHTTP(t, pool.Config{}, Config{DrainTimeout: 50 * time.Millisecond}, b.address)
	stream, err := dialRPC(t, s.address).NewStream(t.Context(), &bidi, "/test.Echo/Bidi")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := exchangeOn(stream, "x"); err != nil {
		t.Fatal(err)
	}
	if cut := s.stop(); cut != 1 {
		t.Fatalf("%d cut, want the one that stayed", cut)
	}
	for _, b := range s.pool.Status().Backends {
		if b.InFlight != 0 {
			t.Fatalf("%d in flight after Serve has returned", b.InFlight)
		}
	}
	if n := s.Stats().Active.Load(); n != 0 {
		t.Fatalf("%d connections active after Serve has returned", n)
	}
}

func TestH2COnRemove(t *testing.T) {
	for _, c := range []struct {
		name string
		cfg  Config
		cut  bool
	}{
		{"close", Config{CloseOnRemove: true}, true},
		{"drain within its time", Config{}, false},
		{"drain past its time", Config{RemoveTimeout: 30 * time.Millisecond}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, other := startRPC(t, "b"), startRPC(t, "o")
			s := startHTTP(t, pool.Config{Guard: pool.Guard{Off: true}}, c.cfg, b.address)
			cc := dialRPC(t, s.address)
			stream, err := cc.NewStream(t.Context(), &bidi, "/test.Echo/Bidi")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := exchangeOn(stream, "x"); err != nil {
				t.Fatal(err)
			}
			s.pool.Update(endpointsOf(other.address))
			if who, err := call(t.Context(), cc, "Name", ""); who != "o" || err != nil {
				t.Fatalf("a new call got %q, %v after the removal", who, err)
			}
			ended := make(chan error, 1)
			go func() { var m []byte; ended <- stream.RecvMsg(&m) }()
			select {
			case err = <-ended:
				if !c.cut {
					t.Fatalf("the old stream ended with %v, want it to go on", err)
				}
			case <-time.After(2 * time.Second):
				if c.cut {
					t.Fatal("the old stream goes on after its backend has left")
				}
				_ = stream.CloseSend()
				<-ended
			}
		})
	}
}

// A client of plain HTTP/2, and backends that are net/http's.
func TestH2CBalancesPlainRequests(t *testing.T) {
	var addresses []string
	for _, name := range []string{"a", "b", "c"} {
		addresses = append(addresses, serveH2C(t, func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			w.Header().Set("X-Seen", r.Proto+" "+r.Method+" "+r.RequestURI+" "+r.Host+" "+r.Header.Get("User-Agent")+" "+r.Header.Get("Via"))
			w.Header().Set("Trailer", "X-Sum")
			_, _ = io.WriteString(w, name+string(body))
			w.Header().Set("X-Sum", "42")
			w.Header().Set(http.TrailerPrefix+"X-Late", "43")
		}))
	}
	s := startHTTP(t, pool.Config{}, Config{}, addresses...)
	c := newH2CClient(t)
	got := map[string]int{}
	for i := range 30 {
		method, body := "GET", ""
		if i%2 == 1 {
			method, body = "POST", "body"
		}
		req, _ := http.NewRequest(method, s.url+"/a%2Fb//c?x=%20&y", strings.NewReader(body))
		req.Host = "orders.example"
		req.Header["User-Agent"] = []string{""}
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || string(text[1:]) != body {
			t.Fatalf("%s: %q, %v", method, text, err)
		}
		if seen, want := resp.Header.Get("X-Seen"), "HTTP/2.0 "+method+" /a%2Fb//c?x=%20&y orders.example  2.0 portside"; seen != want {
			t.Fatalf("the backend saw %q, want %q", seen, want)
		}
		if resp.Trailer.Get("X-Sum") != "42" || resp.Trailer.Get("X-Late") != "43" {
			t.Fatalf("trailers %v, want both", resp.Trailer)
		}
		got[string(text[:1])]++
	}
	if got["a"] != 10 || got["b"] != 10 || got["c"] != 10 {
		t.Fatalf("answers by %v, want ten of each", got)
	}
}

func TestH2COwnAnswers(t *testing.T) {
	for _, c := range []struct {
		name    string
		address func(t *testing.T) []string
		cfg     Config
		status  int
		kind    string
	}{
		{"no backends", func(*testing.T) []string { return nil }, Config{}, 503, "no_backends"},
		{"refused", func(t *testing.T) []string { return []string{refusing(t)} }, Config{}, 502, "connect_failed"},
		{"HTTP/1 alone", func(t *testing.T) []string {
			return []string{serveHTTP(t, func(http.ResponseWriter, *http.Request) {})}
		}, Config{}, 502, "connect_failed"},
		{"reset", func(t *testing.T) []string {
			return []string{serveH2C(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })}
		}, Config{}, 502, "reset"},
		{"timeout", func(t *testing.T) []string {
			return []string{serveH2C(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })}
		}, Config{Timeouts: Timeouts{Response: 30 * time.Millisecond}}, 504, "timeout"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := startHTTP(t, pool.Config{}, c.cfg)
			s.pool.Update(endpointsOf(c.address(t)...))
			resp, err := newH2CClient(t).Post(s.url, "text/plain", strings.NewReader("x"))
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode != c.status || resp.Header.Get("X-Portside-Error") != c.kind || !strings.HasPrefix(string(body), "portside: ") {
				t.Fatalf("%d, %q, %q; want %d, %q and a reason", resp.StatusCode, resp.Header.Get("X-Portside-Error"), body, c.status, c.kind)
			}
			s.atRest(t)
		})
	}
}

// HTTP/2's heads have the limits that HTTP/1.1's have.
func TestH2CHeadLimits(t *testing.T) {
	limits := http1.Limits{Target: 1 << 10, Fields: 20}
	b := serveH2C(t, func(http.ResponseWriter, *http.Request) {})
	s := startHTTP(t, pool.Config{}, Config{HTTP: HTTPConfig{Limits: limits}}, b)
	c := newH2CClient(t)
	for name, w := range map[string]struct {
		target string
		fields int
		status int
	}{
		"target":      {"/?" + strings.Repeat("a", 2<<10), 1, 414},
		"fields":      {"/", 30, 431},
		"within them": {"/?" + strings.Repeat("a", 500), 15, 200},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+w.target, nil)
		if err != nil {
			t.Fatal(err)
		}
		for range w.fields {
			req.Header.Add("X", "a")
		}
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(name, err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != w.status {
			t.Errorf("%s: %d, want %d", name, resp.StatusCode, w.status)
		}
	}
}

// While the client sends, or does not, the backend is not to blame for its silence.
func TestH2CSlowUploadBlamesNobody(t *testing.T) {
	b := serveH2C(t, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	s := startHTTP(t, pool.Config{}, Config{Timeouts: Timeouts{Response: 100 * time.Millisecond, Idle: 500 * time.Millisecond}}, b)
	c := newH2CClient(t)
	slow, send := io.Pipe()
	go func() {
		for range 4 {
			_, _ = send.Write([]byte("piece"))
			time.Sleep(200 * time.Millisecond)
		}
		_ = send.Close()
	}()
	resp, err := c.Post(s.url, "text/plain", slow)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("%v, %v for an upload with pauses longer than timeouts.response, want 200", resp, err)
	}
	_ = resp.Body.Close()
	never, end := io.Pipe()
	defer end.Close()
	resp, err = c.Post(s.url, "text/plain", never)
	if err != nil || resp.StatusCode != 408 || resp.Header.Get("X-Portside-Error") != "timeout" {
		t.Fatalf("%v, %v for a body that never comes, want 408", resp, err)
	}
	_ = resp.Body.Close()
	if st := stateOf(s.pool, b); st.Failures != 0 {
		t.Errorf("the backend is blamed %d times", st.Failures)
	}
}

// A body that its client breaks is sent to nobody else.
func TestH2CBrokenBodyIsNotTriedAgain(t *testing.T) {
	handler := func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }
	s := startHTTP(t, pool.Config{}, Config{}, serveH2C(t, handler), serveH2C(t, handler), serveH2C(t, handler))
	status, _ := rawH2C(t, s.address, "PUT", "/", "5")
	if n := s.Stats().Retries.Load(); status != "400" || n != 0 {
		t.Errorf("%s after %d second tries, want 400 and none", status, n)
	}
}

// What a client gets wrong is told to it, and to nobody's discredit.
func TestH2CBrokenRequests(t *testing.T) {
	b := serveH2C(t, func(w http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		w.Header().Set("X-Saw", r.Method+" "+r.RequestURI)
		if err != nil {
			t.Log("the backend saw", err)
		}
	})
	s := startHTTP(t, pool.Config{}, Config{}, b)
	for _, w := range []struct {
		method, path, length string
		status               string
		saw                  string
	}{
		{"POST", "/", "10", "400", ""},
		{"BAD METHOD", "/", "", "400", ""},
		{"GET", "*", "", "400", ""},
		{"OPTIONS", "*", "", "200", "OPTIONS *"},
		{"GET", `/a|b^c"d?e|f`, "", "200", `GET /a|b^c"d?e|f`},
	} {
		status, head := rawH2C(t, s.address, w.method, w.path, w.length)
		if status != w.status || head["x-saw"] != w.saw {
			t.Errorf("%s %s: %s, the backend saw %q; want %s and %q", w.method, w.path, status, head["x-saw"], w.status, w.saw)
		}
	}
	if st := stateOf(s.pool, b); st.Failures != 0 {
		t.Errorf("the backend is blamed %d times", st.Failures)
	}
}

// rawH2C sends one request in frames, with three bytes of a body if it declares any,
// and returns what came.
func rawH2C(t *testing.T, address, method, path, length string) (status string, head map[string]string) {
	t.Helper()
	fields := [][2]string{{":method", method}, {":scheme", "http"}, {":authority", "x"}, {":path", path}}
	if length == "" {
		return sendH2C(t, address, fields, nil)
	}
	return sendH2C(t, address, append(fields, [2]string{"content-length", length}), []byte("abc"))
}

// sendH2C sends one request in frames and returns what came.
func sendH2C(t *testing.T, address string, fields [][2]string, body []byte) (status string, head map[string]string) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = io.WriteString(conn, xhttp2.ClientPreface)
	f := xhttp2.NewFramer(conn, conn)
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	_ = f.WriteSettings()
	_ = f.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: headBlock(fields), EndHeaders: true, EndStream: body == nil})
	if body != nil {
		_ = f.WriteData(1, true, body)
	}
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return err.Error(), nil
		}
		switch frame := frame.(type) {
		case *xhttp2.MetaHeadersFrame:
			head = map[string]string{}
			for _, h := range frame.Fields {
				head[h.Name] = h.Value
			}
			return head[":status"], head
		case *xhttp2.RSTStreamFrame:
			return frame.ErrCode.String(), nil
		}
	}
}

// headBlock is fields as a head carries them.
func headBlock(fields [][2]string) []byte {
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for _, h := range fields {
		_ = enc.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]})
	}
	return block.Bytes()
}

// An answer without a body may say how long the one was that it has not.
func TestH2CNotModified(t *testing.T) {
	b := framed(t, func(c net.Conn, kind, _ byte, stream uint32) {
		if kind == frameHeaders { // :status 304, content-length: 5000; indexed and literal (RFC 7541 6)
			block := append([]byte{0x8b, 0x0f, 0x0d, 4}, "5000"...)
			_, _ = c.Write(frame(frameHeaders, flagEndStream|0x4, stream, block...))
		}
	})
	s := startHTTP(t, pool.Config{}, Config{}, b)
	resp, err := newH2CClient(t).Get(s.url)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close() // of which net/http's client thinks as our transport does
	if resp.StatusCode != 304 || resp.ContentLength != 5000 {
		t.Errorf("%v, want 304 and a length of 5000", resp)
	}
	s.atRest(t)
	if st := stateOf(s.pool, b); st.Failures != 0 || s.Stats().Failed.Load() != 0 {
		t.Errorf("the backend is blamed %d times", st.Failures)
	}
}

// What is between a client and its first proxy is neither for a backend nor from it.
func TestH2CKeepsProxyCredentials(t *testing.T) {
	b := serveH2C(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Proxy-Authenticate", "Basic")
		w.Header().Set("X-Saw", r.Header.Get("Proxy-Authorization"))
	})
	s := startHTTP(t, pool.Config{}, Config{}, b)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Proxy-Authorization", "Basic c2VjcmV0")
	resp, err := newH2CClient(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if saw, asked := resp.Header.Get("X-Saw"), resp.Header.Get("Proxy-Authenticate"); saw != "" || asked != "" {
		t.Errorf("the backend saw %q and the client was asked for %q, want neither", saw, asked)
	}
}

// A response that breaks off must not look whole.
func TestH2CBrokenResponseIsReset(t *testing.T) {
	address := serveH2C(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	s := startHTTP(t, pool.Config{}, Config{}, address)
	resp, err := newH2CClient(t).Get(s.url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err == nil {
		t.Fatalf("%q read as if it were whole", body)
	}
}

// A client that took the wrong protocol must not have healthy backends set aside.
func TestH2CDoesNotEjectBackendsOfHTTP1(t *testing.T) {
	var addresses []string
	for range 3 {
		addresses = append(addresses, serveHTTP(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
	}
	s := startHTTP(t, pool.Config{}, Config{}, addresses...)
	for range 3 {
		if _, body, err := fetch(newClient(t), s.url); body != "ok" || err != nil {
			t.Fatal(body, err)
		}
	}
	c := newH2CClient(t)
	for range 20 {
		if status, _, err := fetch(c, s.url); status != 502 || err != nil {
			t.Fatalf("%d, %v; want 502", status, err)
		}
	}
	for _, b := range s.pool.Status().Backends {
		if b.State != pool.Active {
			t.Fatalf("%s is %s (%s)", b.Address, b.State, b.Reason)
		}
	}
}

// HTTP/2's preface is one only where a connection begins.
func TestH2CPrefaceAfterARequestIsRefused(t *testing.T) {
	s := startHTTP(t, pool.Config{}, Config{}, serveHTTP(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
	c, err := net.Dial("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
	all, _ := io.ReadAll(c)
	if !strings.Contains(string(all), "ok") || !strings.Contains(string(all), "speaks HTTP/1.1") {
		t.Fatalf("%q; want the response, then GOAWAY and the end", all)
	}
}

func TestH2CAccessLog(t *testing.T) {
	var out syncBuffer
	log := &AccessLog{Out: &out, Common: true}
	s := startHTTP(t, pool.Config{}, Config{HTTP: HTTPConfig{AccessLog: log}}, startRPC(t, "b").address)
	if _, err := call(t.Context(), dialRPC(t, s.address), "Fail", "5"); status.Code(err) != codes.NotFound {
		t.Fatal(err)
	}
	s.stop()
	if !strings.Contains(out.String(), `"POST /test.Echo/Fail HTTP/2.0" 404 -`) {
		t.Fatalf("logged %q, want the call as what its status means", out.String())
	}
}

type syncBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// serveH2C is a backend of net/http's that speaks HTTP/2 alone.
func serveH2C(t testing.TB, handler http.HandlerFunc) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: handler, Protocols: new(http.Protocols), DisableGeneralOptionsHandler: true}
	srv.Protocols.SetUnencryptedHTTP2(true)
	var wg sync.WaitGroup
	wg.Go(func() { _ = srv.Serve(ln) })
	t.Cleanup(func() { _ = srv.Close(); wg.Wait() })
	return ln.Addr().String()
}

func newH2CClient(t testing.TB) *http.Client {
	tr := &http.Transport{Protocols: new(http.Protocols), DisableCompression: true}
	tr.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 20 * time.Second}
}

// A backend ends a call at its deadline, which may be a moment before the client
// does: that is no failure of the backend's, and nothing to be tried again.
func TestGRPCCallThatTheBackendEndsAtItsDeadline(t *testing.T) {
	s := startHTTP(t, pool.Config{}, Config{}, startRPC(t, "b").address)
	for timeout, want := range map[string]string{"50m": "4", "60000u": "4"} {
		req, _ := http.NewRequest("POST", s.url+"/test.Echo/Hold", bytes.NewReader(make([]byte, 5)))
		req.Header.Set("Content-Type", "application/grpc")
		req.Header.Set("Te", "trailers")
		req.Header.Set("Grpc-Timeout", timeout)
		resp, err := newH2CClient(t).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if got := cmp.Or(resp.Header.Get("Grpc-Status"), resp.Trailer.Get("Grpc-Status")); got != want {
			t.Errorf("a call given %s ends with status %q (%s), want %s", timeout, got, resp.Header.Get("Grpc-Message"), want)
		}
	}
	if n := s.Stats().Failed.Load(); n != 0 {
		t.Errorf("%d failed, want none: the clients gave them no longer", n)
	}
}

// What holds for HTTP/1.1 holds for HTTP/2: a backend that breaks every response behind
// its head is found out.
func TestH2CBackendThatBreaksItsResponsesIsEjected(t *testing.T) {
	breaks := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "5000")
		_, _ = io.WriteString(w, "abc")
		_ = http.NewResponseController(w).Flush()
		time.Sleep(2 * time.Millisecond)
		panic(http.ErrAbortHandler)
	}
	for name, p := range map[string]struct {
		bad, good string
		client    *http.Client
	}{
		"HTTP/1.1": {serveHTTP(t, breaks), serveHTTP(t, func(http.ResponseWriter, *http.Request) {}), newClient(t)},
		"HTTP/2":   {serveH2C(t, breaks), serveH2C(t, func(http.ResponseWriter, *http.Request) {}), newH2CClient(t)},
	} {
		t.Run(name, func(t *testing.T) {
			s := startHTTP(t, pool.Config{Eject: pool.Eject{Backoff: time.Minute}}, Config{}, p.bad, p.good)
			broken := 0
			for range 60 {
				if _, _, err := fetch(p.client, s.url); err != nil {
					broken++
				}
			}
			if got := stateOf(s.pool, p.bad); got.State != pool.Ejected {
				t.Errorf("it is %s after %d broken responses and %d failures, want it ejected", got.State, broken, got.Failures)
			}
		})
	}
}

// A download that its client gives up counts under the class of its answer.
func TestH2CGivenUpDownloadCountsAsWhatItWas(t *testing.T) {
	endless := func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			_, _ = w.Write(make([]byte, 1000))
			_ = http.NewResponseController(w).Flush()
			time.Sleep(time.Millisecond)
		}
	}
	for name, p := range map[string]struct {
		address string
		client  *http.Client
	}{
		"HTTP/1.1": {serveHTTP(t, endless), newClient(t)},
		"HTTP/2":   {serveH2C(t, endless), newH2CClient(t)},
	} {
		t.Run(name, func(t *testing.T) {
			s := startHTTP(t, pool.Config{}, Config{}, p.address)
			resp, err := p.client.Get(s.url)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.CopyN(io.Discard, resp.Body, 5000)
			_ = resp.Body.Close()
			eventually(t, "it is not counted", func() bool { return len(s.Classes()[p.address]) > 0 })
			if got := s.Classes()[p.address]; got["2xx"] != 1 {
				t.Errorf("it is counted as %v, want one 2xx", got)
			}
		})
	}
}

// What a former attempt had to say of a backend is not said of the trial that shows it
// well again.
func TestH2CTrialIsJudgedByItself(t *testing.T) {
	a := serveH2C(t, func(http.ResponseWriter, *http.Request) {})
	b := serveH2C(t, func(http.ResponseWriter, *http.Request) {})
	s := startHTTP(t, pool.Config{Eject: pool.Eject{Backoff: 300 * time.Millisecond}}, Config{}, a, b)
	ejectAddress(t, s.pool, a)
	var of *pool.Backend
	for of == nil {
		lease, err := s.pool.Acquire(0, nil)
		if err != nil {
			t.Fatal(err)
		}
		lease.Release()
		if lease.Backend().Address() == a {
			of = lease.Backend()
		}
	}
	time.Sleep(700 * time.Millisecond) // its next trial is due
	tr := s.h2c.trunksTo(of)
	tr.mu.Lock()
	tr.owed = owed{pool.Timeout, time.Now().Add(-5 * time.Second)} // a connection that was waited for in vain, before
	tr.mu.Unlock()
	c := newH2CClient(t)
	for range 3 {
		if status, _, err := fetch(c, s.url); err != nil || status != 200 {
			t.Fatal(status, err)
		}
	}
	if got := stateOf(s.pool, a); got.State != pool.Active {
		t.Errorf("it has answered its trial and is %s: %s", got.State, got.Reason)
	}
}

// A client that waits to be told to go on is told, before its backend has been asked.
func TestH2CExpectIsAnswered(t *testing.T) {
	s := startHTTP(t, pool.Config{}, Config{}, serveH2C(t, func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Expect"); got != "" {
			t.Errorf("the backend is sent expect: %s", got)
		}
		_, _ = io.Copy(w, r.Body)
	}))
	conn := s.raw(t)
	_, _ = io.WriteString(conn, xhttp2.ClientPreface)
	f := xhttp2.NewFramer(conn, conn)
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	_ = f.WriteSettings()
	head := [][2]string{{":method", "PUT"}, {":scheme", "http"}, {":authority", "x"}, {":path", "/"}, {"expect", "100-continue"}}
	_ = f.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: headBlock(head), EndHeaders: true})
	for _, want := range []string{"100", "200"} {
		for {
			frame, err := f.ReadFrame()
			if err != nil {
				t.Fatal(err)
			}
			if h, ok := frame.(*xhttp2.MetaHeadersFrame); ok {
				if got := h.PseudoValue("status"); got != want {
					t.Fatalf("answered %s, want %s", got, want)
				}
				break
			}
		}
		if want == "100" {
			_ = f.WriteData(1, true, []byte("body"))
		}
	}
}

// As over HTTP/1: connections that have gone stale together fail nothing, and blame nobody.
func TestH2CConnectionsThatAllWentStaleFailNothing(t *testing.T) {
	for _, backends := range []int{1, 4} {
		for _, attempts := range []int{1, 2, 3} {
			var addresses []string
			for range backends {
				addresses = append(addresses, startBackend(t, func(c *net.TCPConn) {
					asked := 0
					serveFrames(c, func(kind, _ byte, stream uint32) bool {
						if kind != frameHeaders {
							return true
						}
						if asked++; asked == 2 {
							resets(c) // the second request of each connection is never answered
							return false
						}
						_, _ = c.Write(frame(frameHeaders, flagEndHeaders|flagEndStream, stream, 0x88))
						return true
					})
				}).address)
			}
			s := startHTTP(t, pool.Config{}, Config{Retry: Retry{Attempts: attempts}}, addresses...)
			c := newH2CClient(t)
			for i := range 24 {
				if status, body, err := fetch(c, s.url); status != 200 || err != nil {
					t.Errorf("%d backends, %d attempts, request %d: %d %q %v, want 200: every backend serves on a new connection", backends, attempts, i, status, body, err)
				}
			}
			for _, b := range s.pool.Status().Backends {
				if b.Failures != 0 {
					t.Errorf("%d failures counted for connections that had gone stale", b.Failures)
				}
			}
		}
	}
}

// One that ends a connection at the first request on it has no such excuse, and who has
// turned second tries off gets none.
func TestH2CEndsThatAreNoStaleConnections(t *testing.T) {
	ends := func(at int) string {
		return startBackend(t, func(c *net.TCPConn) {
			asked := 0
			serveFrames(c, func(kind, _ byte, stream uint32) bool {
				if kind != frameHeaders {
					return true
				}
				if asked++; asked == at {
					resets(c)
					return false
				}
				_, _ = c.Write(frame(frameHeaders, flagEndHeaders|flagEndStream, stream, 0x88))
				return true
			})
		}).address
	}
	bad := ends(1)
	s := startHTTP(t, pool.Config{}, Config{}, bad)
	if status, _, err := fetch(newH2CClient(t), s.url); status != 502 || err != nil {
		t.Errorf("%d %v, want 502: it serves nobody", status, err)
	}
	if st := stateOf(s.pool, bad); st.Failures == 0 {
		t.Error("it is not blamed")
	}
	s = startHTTP(t, pool.Config{}, Config{Retry: Retry{Budget: -1}}, ends(2))
	c := newH2CClient(t)
	for i, want := range []int{200, 502, 200} {
		if status, _, err := fetch(c, s.url); status != want || err != nil {
			t.Errorf("request %d: %d, %v, want %d", i, status, err, want)
		}
	}
	if n := s.Stats().RetriesDenied.Load(); n != 0 {
		t.Errorf("%d second tries denied by the budget, want none: they are turned off", n)
	}
}

// A request that has met one goes on no other that others still wait on, either: they
// were sent together, and find out one after another.
func TestH2CRequestsThatMeetStaleConnectionsTogetherFailNothing(t *testing.T) {
	var conns atomic.Int64
	var addresses []string
	for i := range int64(4) {
		addresses = append(addresses, startBackend(t, func(c *net.TCPConn) {
			stale, asked := conns.Add(1) <= 4, 0
			serveFrames(c, func(kind, _ byte, stream uint32) bool {
				if kind != frameHeaders {
					return true
				}
				if asked++; stale && asked > 1 {
					time.Sleep(time.Duration(20+40*i) * time.Millisecond)
					resets(c)
					return false
				}
				_, _ = c.Write(frame(frameHeaders, flagEndHeaders|flagEndStream, stream, 0x88))
				return true
			})
		}).address)
	}
	for range 3 {
		conns.Store(0)
		s := startHTTP(t, pool.Config{}, Config{Retry: Retry{Attempts: 2}}, addresses...)
		c := newH2CClient(t)
		for range addresses {
			_, _, _ = fetch(c, s.url)
		}
		var wg sync.WaitGroup
		for i := range 40 {
			wg.Go(func() {
				if status, body, err := fetch(c, s.url); status != 200 || err != nil {
					t.Errorf("request %d: %d %q %v, want 200: every backend serves on a new connection", i, status, body, err)
				}
			})
		}
		wg.Wait()
	}
}
