package grpc

import (
	"errors"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"

	phttp2 "portside/proxy/http2"
)

func TestIsKnowsACallByItsContentType(t *testing.T) {
	for text, want := range map[string]bool{
		"application/grpc": true, "application/grpc+proto": true, "application/grpc;charset=utf-8": true,
		"application/grpc-web": false, "application/grpc-web+proto": false, "application/json": false, "": false,
	} {
		if got := Is(text); got != want {
			t.Errorf("%q is a call: %t, want %t", text, got, want)
		}
	}
}

func TestTimeout(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"": 0, "5": 0, "m": 0, "5x": 0, "-1S": 0, "123456789S": 0, "99999999H": 0,
		"250m": 250 * time.Millisecond, "3S": 3 * time.Second, "2M": 2 * time.Minute, "1H": time.Hour, "7u": 7 * time.Microsecond, "9n": 9,
	} {
		if got := Timeout(text); got != want {
			t.Errorf("%q is %v, want %v", text, got, want)
		}
	}
}

func TestStatus(t *testing.T) {
	for text, want := range map[string]Code{"0": 0, "14": Unavailable, "99": 99, "x": Unknown, "-1": Unknown, "70000": Unknown} {
		if got, ok := Status(text); got != want || !ok {
			t.Errorf("%q is %v, %t, want %v", text, got, ok, want)
		}
	}
	if got, ok := Status(""); ok {
		t.Errorf("no field is status %v, want none", got)
	}
}

func TestEscapeIsWhatTheProtocolReads(t *testing.T) {
	for text, want := range map[string]string{
		"plain words.": "plain words.", "100 %": "100 %25", "a\nb": "a%0Ab", "ä": "%C3%A4", "\x7f": "%7F", "": "",
	} {
		if got := Escape(text); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}

// grpc-go's own names hold the numbers in place.
func TestCodes(t *testing.T) {
	for code, want := range map[Code]struct {
		is   codes.Code
		http int
	}{
		Cancelled: {codes.Canceled, 499}, Unknown: {codes.Unknown, 500}, DeadlineExceeded: {codes.DeadlineExceeded, 504},
		PermissionDenied: {codes.PermissionDenied, 403}, ResourceExhausted: {codes.ResourceExhausted, 429},
		Unimplemented: {codes.Unimplemented, 501}, Internal: {codes.Internal, 500}, Unavailable: {codes.Unavailable, 503},
	} {
		if codes.Code(code) != want.is || code.HTTP() != want.http {
			t.Errorf("%v is %v and HTTP's %d, want %v and %d", code, codes.Code(code), code.HTTP(), want.is, want.http)
		}
	}
	for _, code := range []Code{-1, 17, 1 << 20} {
		if got := code.HTTP(); got != 500 {
			t.Errorf("%v, which gRPC does not know, is HTTP's %d, want 500", code, got)
		}
	}
	for status, want := range map[int]Code{
		400: Internal, 408: DeadlineExceeded, 414: ResourceExhausted, 431: ResourceExhausted, 499: Cancelled,
		501: Unimplemented, 502: Unavailable, 503: Unavailable, 504: DeadlineExceeded,
	} {
		if got := OfHTTP(status); got != want {
			t.Errorf("HTTP's %d is %v, want %v", status, got, want)
		}
	}
}

func TestOfError(t *testing.T) {
	for code, want := range map[http2.ErrCode]Code{
		http2.ErrCodeRefusedStream: Unavailable, http2.ErrCodeCancel: Cancelled, http2.ErrCodeEnhanceYourCalm: ResourceExhausted,
		http2.ErrCodeInadequateSecurity: PermissionDenied, http2.ErrCodeNo: Internal, http2.ErrCodeProtocol: Internal,
	} {
		if got := OfError(&phttp2.ResetError{Code: phttp2.Code(code)}); got != want {
			t.Errorf("a stream reset with %v is %v, want %v", code, got, want)
		}
	}
	if got := OfError(errors.New("read: connection reset by peer")); got != Unavailable {
		t.Errorf("a broken connection is %v, want %v", got, Unavailable)
	}
}
