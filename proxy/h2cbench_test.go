package proxy

import (
	"testing"

	"google.golang.org/grpc"

	"portside/pool"
)

// What a unary call costs by way of portside, beside one made directly.
func BenchmarkGRPCUnary(b *testing.B) {
	var addresses []string
	for _, name := range []string{"a", "b", "c"} {
		addresses = append(addresses, startRPC(b, name).address)
	}
	s := startHTTP(b, pool.Config{}, Config{}, addresses...)
	for _, way := range []struct{ name, address string }{{"direct", addresses[0]}, {"portside", s.address}} {
		cc := dialRPC(b, way.address)
		b.Run(way.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				oneCall(b, cc)
			}
		})
		b.Run(way.name+" parallel", func(b *testing.B) {
			b.SetParallelism(16)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					oneCall(b, cc)
				}
			})
		})
	}
}

func oneCall(b *testing.B, cc *grpc.ClientConn) {
	in, out := []byte("hello"), []byte(nil)
	if err := cc.Invoke(b.Context(), "/test.Echo/Echo", &in, &out); err != nil {
		b.Error(err)
	}
}
