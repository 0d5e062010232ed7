package proxy

import (
	"context"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"portside/pool"
)

// failing is a gRPC server whose streams say hello and then fail so: what they say is in
// trailers.
func failing(t *testing.T, trailers metadata.MD, err error) string {
	return startRPC(t, "b", grpc.StreamInterceptor(func(_ any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, _ grpc.StreamHandler) error {
		ss.SetTrailer(trailers)
		_ = ss.SendHeader(metadata.Pairs("hello", "you"))
		return err
	})).address
}

// ends is how a stream of cc's ends.
func ends(t *testing.T, cc *grpc.ClientConn) (metadata.MD, error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stream, err := cc.NewStream(ctx, &bidi, "/test.Echo/Bidi")
	if err != nil {
		t.Fatal(err)
	}
	err = stream.RecvMsg(new([]byte))
	return stream.Trailer(), err
}

// A message that ends in a space ("no such row: ") goes over the wire as it is: it is no
// reason to break the call, nor to blame its backend for one.
func TestGRPCMessageWithSpaceAroundItIsPassedOn(t *testing.T) {
	b := failing(t, nil, status.Error(codes.NotFound, " no such row: "))
	s := startHTTP(t, pool.Config{}, Config{}, b)
	_, err := ends(t, dialRPC(t, s.address))
	if got := status.Convert(err); got.Code() != codes.NotFound || got.Message() != "no such row:" {
		t.Errorf("%v, want NOT_FOUND, as the backend put it", err)
	}
	if st := stateOf(s.pool, b); st.Failures != 0 {
		t.Errorf("the backend is blamed %d times for an answer of its application", st.Failures)
	}
}

// What an application says in trailers is its own, whatever HTTP has to say of such names.
func TestGRPCTrailersArePassedOn(t *testing.T) {
	said := metadata.Pairs("x-request-id", "7", "retry-after", "30", "location", "here", "date", "today")
	s := startHTTP(t, pool.Config{}, Config{}, failing(t, said, nil))
	got, _ := ends(t, dialRPC(t, s.address))
	for name, values := range said {
		if len(got.Get(name)) != 1 || got.Get(name)[0] != values[0] {
			t.Errorf("%s is %q behind a call, want %q, as without a proxy", name, got.Get(name), values)
		}
	}
}

// However many calls a client gives up at once, those that it means go on, and new ones
// are served: it is told to go in a way that it does not notice.
func TestGRPCMassCancelIsNotNoticed(t *testing.T) {
	b := startRPC(t, "b")
	s := startHTTP(t, pool.Config{}, Config{}, b.address)
	cc := dialRPC(t, s.address)
	steady, err := cc.NewStream(t.Context(), &bidi, "/test.Echo/Bidi")
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		for range 500 {
			if _, err := cc.NewStream(ctx, &bidi, "/test.Echo/Bidi"); err != nil {
				t.Fatal(err)
			}
		}
		cancel()
	}
	for range 3 {
		if _, err := exchangeOn(steady, "x"); err != nil {
			t.Fatalf("a stream that was meant is ended by others that were given up: %v", err)
		}
		if _, err := call(t.Context(), cc, "Name", ""); err != nil {
			t.Fatalf("a new call: %v", err)
		}
	}
	_ = steady.CloseSend()
	s.atRest(t)
	if n := s.Stats().Connections.Load(); n < 2 {
		t.Skip("this machine is too slow for the client to be told to go")
	}
}
