package proxy

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"portside/pool"
)

// grpcCode is a gRPC status (grpc/doc/statuscodes.md).
type grpcCode int

const (
	grpcCancelled         grpcCode = 1
	grpcUnknown           grpcCode = 2
	grpcDeadlineExceeded  grpcCode = 4
	grpcPermissionDenied  grpcCode = 7
	grpcResourceExhausted grpcCode = 8
	grpcUnimplemented     grpcCode = 12
	grpcInternal          grpcCode = 13
	grpcUnavailable       grpcCode = 14
)

// grpcAsHTTP is the HTTP status that says the same (google/rpc/code.proto): by
// it gRPC's answers are counted and logged, all of which are 200 to HTTP.
var grpcAsHTTP = [...]int{200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401}

func (c grpcCode) http() int {
	if c < 0 || int(c) >= len(grpcAsHTTP) {
		return 500
	}
	return grpcAsHTTP[c]
}

// outcome is what the status says of its backend: that it cannot serve now. Other
// errors are the application's way of answering.
func (c grpcCode) outcome() pool.Outcome {
	if c == grpcUnavailable {
		return pool.Gateway
	}
	return pool.Success
}

// isGRPC reports whether h is the head of a gRPC message (grpc/doc/PROTOCOL-HTTP2.md);
// gRPC-Web, whose status is in its body, is not.
func isGRPC(h http.Header) bool {
	rest, ok := strings.CutPrefix(h.Get("Content-Type"), "application/grpc")
	return ok && (rest == "" || rest[0] == '+' || rest[0] == ';')
}

const (
	grpcStatusField  = "Grpc-Status"
	grpcMessageField = "Grpc-Message"
)

// grpcStatus is the status in h, the trailers or, of a response that is nothing
// else, the head.
func grpcStatus(h http.Header) (grpcCode, bool) {
	text := h.Get(grpcStatusField)
	if text == "" {
		return 0, false
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return grpcUnknown, true
	}
	return grpcCode(n), true
}

// grpcEscape is text as Grpc-Message carries it: printable ASCII, the rest by
// percent signs.
func grpcEscape(text string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '%' {
			b.WriteString(string([]byte{'%', hex[c>>4], hex[c&15]}))
			continue
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

// streamError is net/http's error of a stream that was reset; its As recognizes a
// struct of this shape.
type streamError struct {
	StreamID uint32
	Code     uint32
	Cause    error
}

func (e streamError) Error() string { return "stream reset with code " + strconv.Itoa(int(e.Code)) }

// The reset codes that say more than that something broke (RFC 9113 7).
const (
	codeRefusedStream    = 7
	codeCancel           = 8
	codeEnhanceYourCalm  = 11
	codeInadequateSecure = 12
)

// resetCode is the code that the backend reset the stream with, if it did.
func resetCode(err error) (code uint32, ok bool) {
	var e streamError
	if !errors.As(err, &e) {
		return 0, false
	}
	return e.Code, true
}

// isCancel reports whether the backend reset the stream as one that is no longer
// wanted.
func isCancel(err error) bool {
	code, reset := resetCode(err)
	return reset && code == codeCancel
}

// grpcTimeout is how long the client gives a call (PROTOCOL-HTTP2.md, "Timeout"),
// zero if it does not say.
func grpcTimeout(h http.Header) time.Duration {
	text := h.Get("Grpc-Timeout")
	if len(text) < 2 || len(text) > 9 {
		return 0
	}
	n, err := strconv.ParseUint(text[:len(text)-1], 10, 32)
	if err != nil {
		return 0
	}
	if n > 1<<20 && text[len(text)-1] == 'H' {
		return 0 // a century: none
	}
	units := map[byte]time.Duration{'H': time.Hour, 'M': time.Minute, 'S': time.Second, 'm': time.Millisecond, 'u': time.Microsecond, 'n': time.Nanosecond}
	return time.Duration(n) * units[text[len(text)-1]]
}

// grpcOf is the status a gRPC client would have seen, had it been connected to the
// backend itself (PROTOCOL-HTTP2.md, "Errors").
func grpcOf(err error) grpcCode {
	code, ok := resetCode(err)
	if !ok {
		return grpcUnavailable // the connection broke
	}
	switch code {
	case codeRefusedStream:
		return grpcUnavailable
	case codeCancel:
		return grpcCancelled
	case codeEnhanceYourCalm:
		return grpcResourceExhausted
	case codeInadequateSecure:
		return grpcPermissionDenied
	}
	return grpcInternal
}
