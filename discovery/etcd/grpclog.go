package etcd

import (
	"io"

	"google.golang.org/grpc/grpclog"
)

// SilenceGRPC turns off gRPC's own log, which is one for the whole process and
// writes to standard error. Call it first thing in main: it must come before
// any use of gRPC. What it would have said of a connection is in Status.
func SilenceGRPC() {
	grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, io.Discard))
}
