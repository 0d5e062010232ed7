package grpc

import (
	"net/http"
	"strconv"

	"portside/proxy/http2"
)

// Code is a gRPC status (grpc/doc/statuscodes.md).
type Code int

// The codes that a proxy has a use for.
const (
	Cancelled         Code = 1
	Unknown           Code = 2
	DeadlineExceeded  Code = 4
	PermissionDenied  Code = 7
	ResourceExhausted Code = 8
	Unimplemented     Code = 12
	Internal          Code = 13
	Unavailable       Code = 14
)

// String is the code as it goes over the wire.
func (c Code) String() string { return strconv.Itoa(int(c)) }

// asHTTP is the HTTP status that says the same (google/rpc/code.proto).
var asHTTP = [...]int{200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401}

// HTTP is the HTTP status that says the same: by it gRPC's answers are counted and
// logged, all of which are 200 to HTTP.
func (c Code) HTTP() int {
	if c < 0 || int(c) >= len(asHTTP) {
		return 500
	}
	return asHTTP[c]
}

// OfHTTP is the status that says what a proxy would say by one of HTTP's.
func OfHTTP(status int) Code {
	switch status {
	case http.StatusGatewayTimeout, http.StatusRequestTimeout:
		return DeadlineExceeded
	case http.StatusBadRequest:
		return Internal // as gRPC maps HTTP's (doc/http-grpc-status-mapping.md)
	case http.StatusRequestURITooLong, http.StatusRequestHeaderFieldsTooLarge:
		return ResourceExhausted // to be told from an outage, and not to be tried again
	case http.StatusNotImplemented:
		return Unimplemented
	case 499: // the client has left
		return Cancelled
	}
	return Unavailable
}

// OfError is the status a gRPC client would have seen, had it been connected to the
// backend itself when its call ended so (PROTOCOL-HTTP2.md, "Errors").
func OfError(err error) Code {
	code, ok := http2.Reset(err)
	switch {
	case http2.Calmed(err):
		return ResourceExhausted
	case !ok:
		return Unavailable // the connection broke
	}
	switch code {
	case http2.RefusedStream:
		return Unavailable
	case http2.Cancel:
		return Cancelled
	case http2.InadequateSecurity:
		return PermissionDenied
	}
	return Internal
}
