package proxy

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"portside/pool"
)

// bytesCodec has gRPC carry []byte as they are.
type bytesCodec struct{}

func (bytesCodec) Marshal(v any) ([]byte, error)      { return *v.(*[]byte), nil }
func (bytesCodec) Unmarshal(data []byte, v any) error { *v.(*[]byte) = bytes.Clone(data); return nil }
func (bytesCodec) Name() string                       { return "bytes" }

// rpc is a gRPC server whose one service does as its calls say.
type rpc struct {
	name    string
	address string
	server  *grpc.Server
	ln      net.Listener

	calls    atomic.Int64
	canceled atomic.Int64  // calls whose client went away
	holding  atomic.Int64  // calls that wait for release
	release  chan struct{} // closed to let calls of Hold go on
}

func startRPC(t testing.TB, name string, options ...grpc.ServerOption) *rpc {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serveRPC(t, name, ln, options...)
}

func serveRPC(t testing.TB, name string, ln net.Listener, options ...grpc.ServerOption) *rpc {
	b := &rpc{name: name, ln: ln, address: ln.Addr().String(), release: make(chan struct{})}
	b.server = grpc.NewServer(append(options, grpc.ForceServerCodec(bytesCodec{}), grpc.MaxRecvMsgSize(16<<20))...)
	unary := func(do func(context.Context, []byte) ([]byte, error)) grpc.MethodHandler {
		return func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			var in []byte
			if err := decode(&in); err != nil {
				return nil, err
			}
			b.calls.Add(1)
			out, err := do(ctx, in)
			return &out, err
		}
	}
	b.server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "test.Echo",
		HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{
			{MethodName: "Name", Handler: unary(func(context.Context, []byte) ([]byte, error) { return []byte(name), nil })},
			{MethodName: "Echo", Handler: unary(func(_ context.Context, in []byte) ([]byte, error) { return in, nil })},
			{MethodName: "Hold", Handler: unary(b.hold)},
			{MethodName: "Meta", Handler: unary(meta)},
			{MethodName: "Fail", Handler: unary(func(_ context.Context, in []byte) ([]byte, error) {
				var code int
				_, _ = fmt.Sscan(string(in), &code)
				return nil, status.Error(codes.Code(code), "as you wish: 100 % ✓")
			})},
		},
		Streams: []grpc.StreamDesc{
			{StreamName: "Bidi", ClientStreams: true, ServerStreams: true, Handler: func(_ any, s grpc.ServerStream) error {
				b.calls.Add(1)
				for {
					var m []byte
					if err := s.RecvMsg(&m); err == io.EOF {
						return nil
					} else if err != nil {
						b.canceled.Add(1)
						return err
					}
					m = append([]byte(name+" "), m...)
					if err := s.SendMsg(&m); err != nil {
						return err
					}
				}
			}},
			{StreamName: "Count", ClientStreams: true, ServerStreams: true, Handler: func(_ any, s grpc.ServerStream) error {
				var m []byte
				if err := s.RecvMsg(&m); err != nil {
					return err
				}
				var n int
				_, _ = fmt.Sscan(string(m), &n)
				for i := range n {
					m := fmt.Appendf(nil, "%d", i)
					if err := s.SendMsg(&m); err != nil {
						return err
					}
				}
				return nil
			}},
		},
	}, nil)
	var wg sync.WaitGroup
	wg.Go(func() { _ = b.server.Serve(ln) })
	t.Cleanup(func() { b.server.Stop(); wg.Wait() })
	return b
}

// hold answers when the test says so.
func (b *rpc) hold(ctx context.Context, in []byte) ([]byte, error) {
	b.holding.Add(1)
	defer b.holding.Add(-1)
	select {
	case <-b.release:
		return in, nil
	case <-ctx.Done():
		b.canceled.Add(1)
		return nil, ctx.Err()
	}
}

// meta answers with what it was told, in a header, a trailer and the message.
func meta(ctx context.Context, _ []byte) ([]byte, error) {
	in, _ := metadata.FromIncomingContext(ctx)
	_ = grpc.SetHeader(ctx, metadata.Pairs("x-head", in.Get("x-asked")[0]))
	_ = grpc.SetTrailer(ctx, metadata.Pairs("x-tail", "t1", "x-tail", "t2", "x-tail-bin", "\x00\xff"))
	return fmt.Appendf(nil, "%v|%v|%v|%v|%v", in.Get(":authority"), in.Get("x-forwarded-for"), in.Get("x-forwarded-host"), in.Get("via"), in.Get("x-asked-bin")), nil
}

// dialRPC is one gRPC client, with one connection.
func dialRPC(t testing.TB, address string) *grpc.ClientConn {
	t.Helper()
	cc, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(bytesCodec{}), grpc.MaxCallRecvMsgSize(16<<20)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cc.Close() })
	return cc
}

func call(ctx context.Context, cc *grpc.ClientConn, method, message string, options ...grpc.CallOption) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	in, out := []byte(message), []byte(nil)
	err := cc.Invoke(ctx, "/test.Echo/"+method, &in, &out, options...)
	return string(out), err
}

var bidi = grpc.StreamDesc{StreamName: "Bidi", ClientStreams: true, ServerStreams: true}

// exchange sends a message and returns the answer.
func exchangeOn(s grpc.ClientStream, message string) (string, error) {
	in, out := []byte(message), []byte(nil)
	if err := s.SendMsg(&in); err != nil {
		return "", err
	}
	err := s.RecvMsg(&out)
	return string(out), err
}

func startThree(t testing.TB) (all [3]*rpc, addresses []string) {
	for i, name := range []string{"a", "b", "c"} {
		all[i] = startRPC(t, name)
		addresses = append(addresses, all[i].address)
	}
	return all, addresses
}

// idle checks that nothing is left of what was done.
func (s *httpService) atRest(t *testing.T) {
	t.Helper()
	eventually(t, "requests stay in flight", func() bool {
		for _, b := range s.pool.Status().Backends {
			if b.InFlight != 0 {
				return false
			}
		}
		return true
	})
}

// One connection of one gRPC client, and yet every backend gets its share: that
// it would all go to one is what users of balancers by connection run into.
func TestGRPCIsNotPinnedToOneBackend(t *testing.T) {
	all, addresses := startThree(t)
	s := startHTTP(t, pool.Config{}, Config{}, addresses...)
	cc := dialRPC(t, s.address)
	got := map[string]int{}
	for range 300 {
		name, err := call(t.Context(), cc, "Name", "")
		if err != nil {
			t.Fatal(err)
		}
		got[name]++
	}
	if got["a"] != 100 || got["b"] != 100 || got["c"] != 100 {
		t.Fatalf("answers by %v over one connection, want 100 of each", got)
	}
	if n := s.Stats().Connections.Load(); n != 1 {
		t.Fatalf("%d client connections, want one", n)
	}
	eventually(t, "not 300 durations observed", func() bool { return s.Duration().Count == 300 })
	if n := s.Classes()[all[0].address]["2xx"]; n != 100 {
		t.Fatalf("%d answers of class 2xx counted, want 100", n)
	}
	if n := s.requests.Load(); n != 300 {
		t.Fatalf("%d requests counted, want 300", n)
	}
	if b := &s.Stats().Bytes; b.ToClient.Load() < 300 || b.ToBackend.Load() < 300 {
		t.Fatalf("%d and %d bytes counted, want some", b.ToClient.Load(), b.ToBackend.Load())
	}
	s.atRest(t)
}

func TestGRPCStreamsBothWays(t *testing.T) {
	_, addresses := startThree(t)
	s := startHTTP(t, pool.Config{}, Config{}, addresses...)
	cc := dialRPC(t, s.address)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	got := map[string]int{}
	for range 6 {
		stream, err := cc.NewStream(ctx, &bidi, "/test.Echo/Bidi")
		if err != nil {
			t.Fatal(err)
		}
		var who string
		for i := range 50 {
			answer, err := exchangeOn(stream, fmt.Sprint(i))
			if err != nil || answer[2:] != fmt.Sprint(i) {
				t.Fatalf("message %d came back as %q, %v", i, answer, err)
			}
			who = answer[:1]
		}
		got[who]++
		if err := stream.CloseSend(); err != nil {
			t.Fatal(err)
		}
		var end []byte
		if err := stream.RecvMsg(&end); err != io.EOF {
			t.Fatalf("after the client's half was closed: %v, want the end", err)
		}
	}
	if got["a"] != 2 || got["b"] != 2 || got["c"] != 2 {
		t.Fatalf("streams went to %v, want two to each", got)
	}
	s.atRest(t)
}

func TestGRPCServerStreams(t *testing.T) {
	b := startRPC(t, "b")
	s := startHTTP(t, pool.Config{}, Config{}, b.address)
	stream, err := dialRPC(t, s.address).NewStream(t.Context(), &grpc.StreamDesc{StreamName: "Count", ServerStreams: true}, "/test.Echo/Count")
	if err != nil {
		t.Fatal(err)
	}
	in := []byte("2000")
	if err := stream.SendMsg(&in); err != nil {
		t.Fatal(err)
	}
	_ = stream.CloseSend()
	for i := range 2000 {
		var m []byte
		if err := stream.RecvMsg(&m); err != nil || string(m) != fmt.Sprint(i) {
			t.Fatalf("message %d is %q, %v", i, m, err)
		}
	}
	var m []byte
	if err := stream.RecvMsg(&m); err != io.EOF {
		t.Fatalf("%v after the last message, want the end", err)
	}
}

func TestGRPCCarriesMetadataBothWays(t *testing.T) {
	b := startRPC(t, "b")
	s := startHTTP(t, pool.Config{}, Config{}, b.address)
	cc := dialRPC(t, s.address)
	var head, tail metadata.MD
	ctx := metadata.AppendToOutgoingContext(t.Context(), "x-asked", "this", "x-asked-bin", "\x01\xfe", "x-forwarded-for", "1.2.3.4")
	got, err := call(ctx, cc, "Meta", "", grpc.Header(&head), grpc.Trailer(&tail))
	if want := fmt.Sprintf("[%s]|[1.2.3.4, 127.0.0.1]|[%s]|[2.0 portside]|[\x01\xfe]", s.address, s.address); got != want || err != nil {
		t.Fatalf("the backend saw %q, %v, want %q", got, err, want)
	}
	if fmt.Sprint(head.Get("x-head")) != "[this]" || fmt.Sprint(tail.Get("x-tail")) != "[t1 t2]" || tail.Get("x-tail-bin")[0] != "\x00\xff" {
		t.Fatalf("header %v, trailer %v: not as sent", head, tail)
	}
}

func TestGRPCCarriesLargeMessages(t *testing.T) {
	b := startRPC(t, "b")
	s := startHTTP(t, pool.Config{}, Config{}, b.address)
	want := string(bytes.Repeat([]byte("0123456789abcdef"), 4<<20/16))
	got, err := call(t.Context(), dialRPC(t, s.address), "Echo", want)
	if err != nil || got != want {
		t.Fatalf("4 MiB came back as %d bytes, %v", len(got), err)
	}
}

func TestGRPCCarriesManyStreamsAtOnce(t *testing.T) {
	all, addresses := startThree(t)
	s := startHTTP(t, pool.Config{}, Config{}, addresses...)
	cc := dialRPC(t, s.address)
	const n = 200
	var wg sync.WaitGroup
	var failed atomic.Int64
	for range n {
		wg.Go(func() {
			if got, err := call(t.Context(), cc, "Hold", "x"); got != "x" || err != nil {
				failed.Add(1)
				t.Errorf("%q, %v", got, err)
			}
		})
	}
	eventually(t, "not all 200 calls reached a backend at once", func() bool {
		return all[0].holding.Load()+all[1].holding.Load()+all[2].holding.Load() == n
	})
	for _, b := range s.pool.Status().Backends {
		if b.InFlight < n/3 || b.InFlight > n/3+1 {
			t.Errorf("%d in flight on %s, want a third of %d", b.InFlight, b.Address, n)
		}
	}
	for _, b := range all {
		close(b.release)
	}
	wg.Wait()
	s.atRest(t)
}

// A backend that allows few streams on a connection gets more connections; no
// call waits for another to end.
func TestGRPCOpensMoreConnectionsWhereOneIsFull(t *testing.T) {
	b := startRPC(t, "b", grpc.MaxConcurrentStreams(10))
	s := startHTTP(t, pool.Config{}, Config{}, b.address)
	cc := dialRPC(t, s.address)
	var wg sync.WaitGroup
	for range 35 {
		wg.Go(func() {
			if _, err := call(t.Context(), cc, "Hold", "x"); err != nil {
				t.Error(err)
			}
		})
	}
	eventually(t, "35 calls were not served at once", func() bool { return b.holding.Load() == 35 })
	close(b.release)
	wg.Wait()
}

func TestGRPCDeadlineAndCancelReachTheBackend(t *testing.T) {
	b := startRPC(t, "b")
	s := startHTTP(t, pool.Config{}, Config{}, b.address)
	cc := dialRPC(t, s.address)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := call(ctx, cc, "Hold", ""); status.Code(err) != codes.DeadlineExceeded {
		t.Fatalf("%v, want the deadline exceeded", err)
	}
	eventually(t, "the backend works on after the deadline", func() bool { return b.canceled.Load() == 1 })
	ctx, cancel = context.WithCancel(t.Context())
	stream, err := cc.NewStream(ctx, &bidi, "/test.Echo/Bidi")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := exchangeOn(stream, "hello"); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	cancel()
	eventually(t, "the backend was not told of the cancel", func() bool { return b.canceled.Load() == 2 })
	if took := time.Since(start); took > atOnce {
		t.Fatalf("it took %s for the cancel to get through, want it at once", took)
	}
	s.atRest(t)
	if got := stateOf(s.pool, b.address); got.State != pool.Active || got.Failures != 0 {
		t.Fatalf("the backend is %s with %d failures: a client that leaves is none of its doing", got.State, got.Failures)
	}
}

func TestGRPCWithoutBackendsIsUnavailable(t *testing.T) {
	s := startHTTP(t, pool.Config{}, Config{})
	s.pool.Update(nil)
	var head metadata.MD
	_, err := call(t.Context(), dialRPC(t, s.address), "Name", "", grpc.Header(&head), grpc.Trailer(&head))
	if st := status.Convert(err); st.Code() != codes.Unavailable || st.Message() != "portside: There is no backend for this service now." {
		t.Fatalf("%v, want UNAVAILABLE with the reason", err)
	}
	if got := head.Get("x-portside-error"); len(got) != 1 || got[0] != "no_backends" {
		t.Fatalf("X-Portside-Error is %v, want no_backends", got)
	}
}

func TestGRPCStatusesPassAndAreCounted(t *testing.T) {
	b := startRPC(t, "b")
	s := startHTTP(t, pool.Config{Eject: pool.Eject{Consecutive: 3}}, Config{}, b.address, startRPC(t, "c").address)
	cc := dialRPC(t, s.address)
	for _, code := range []codes.Code{codes.NotFound, codes.Internal, codes.Unknown, codes.ResourceExhausted} {
		for range 8 {
			_, err := call(t.Context(), cc, "Fail", fmt.Sprint(int(code)))
			if st := status.Convert(err); st.Code() != code || st.Message() != "as you wish: 100 % ✓" {
				t.Fatalf("%v, want %s as the backend put it", err, code)
			}
		}
		if got := stateOf(s.pool, b.address); got.State != pool.Active {
			t.Fatalf("%s had a backend %s: that is an answer, not a failure", code, got.State)
		}
	}
	for range 8 {
		if _, err := call(t.Context(), cc, "Fail", "14"); status.Code(err) != codes.Unavailable {
			t.Fatalf("%v, want UNAVAILABLE passed on", err)
		}
	}
	ejected := 0
	for _, b := range s.pool.Status().Backends {
		if b.State == pool.Ejected {
			ejected++
		}
	}
	if ejected != 1 {
		t.Fatalf("%d ejected after UNAVAILABLE from both of two, want the most there may be: one", ejected)
	}
	if got := s.Classes()[b.address]; got["4xx"] < 4 || got["5xx"] < 8 {
		t.Fatalf("classes %v: gRPC's errors are to be counted as what they mean", got)
	}
}

// A thousand calls at once on one connection, and none waits for another.
func TestGRPCCarriesAThousandStreamsAtOnce(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("a thousand streams take long with the race detector")
	}
	all, addresses := startThree(t)
	s := startHTTP(t, pool.Config{}, Config{}, addresses...)
	cc := dialRPC(t, s.address)
	var wg sync.WaitGroup
	for range maxStreams {
		wg.Go(func() {
			if _, err := call(t.Context(), cc, "Hold", "x"); err != nil {
				t.Error(err)
			}
		})
	}
	eventually(t, "not all calls reached a backend at once", func() bool {
		return all[0].holding.Load()+all[1].holding.Load()+all[2].holding.Load() == maxStreams
	})
	for _, b := range all {
		close(b.release)
	}
	wg.Wait()
	s.atRest(t)
}

// One upload that its backend does not take must not stop the others on the
// client's connection.
func TestGRPCAStuckUploadHoldsUpNoOther(t *testing.T) {
	b := startRPC(t, "b")
	s := startHTTP(t, pool.Config{}, Config{}, b.address)
	cc := dialRPC(t, s.address)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stuck := make(chan error, 1)
	stream, err := cc.NewStream(ctx, &bidi, "/test.Echo/Bidi")
	if err != nil {
		t.Fatal(err)
	}
	go func() { // sends and reads nothing: what comes back fills every window, then the way up
		m := make([]byte, 64<<10)
		for {
			if err := stream.SendMsg(&m); err != nil {
				stuck <- err
				return
			}
		}
	}()
	for range 50 {
		if _, err := call(t.Context(), cc, "Echo", string(make([]byte, 100<<10))); err != nil {
			t.Fatalf("a call beside a stuck stream: %v", err)
		}
		time.Sleep(5 * time.Millisecond)
	}
	cancel()
	<-stuck
	s.atRest(t)
}
