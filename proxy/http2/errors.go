package http2

import (
	"errors"
	"strconv"
	"strings"
)

// Code says why a stream was reset (RFC 9113 7).
type Code uint32

// The codes that say more than that something broke.
const (
	RefusedStream      Code = 7 // it was not processed (RFC 9113 8.7)
	Cancel             Code = 8
	EnhanceYourCalm    Code = 11
	InadequateSecurity Code = 12
)

// streamError is net/http's error of a stream that was reset; its As recognizes a
// struct of this shape.
type streamError struct {
	StreamID uint32
	Code     uint32
	Cause    error
}

func (e streamError) Error() string { return "stream reset with code " + strconv.Itoa(int(e.Code)) }

// Reset is the code that the backend reset the stream with, if it did.
func Reset(err error) (code Code, ok bool) {
	var e streamError
	if !errors.As(err, &e) {
		return 0, false
	}
	return Code(e.Code), true
}

// Cancelled reports whether the backend reset the stream as one that is no longer
// wanted.
func Cancelled(err error) bool {
	code, reset := Reset(err)
	return reset && code == Cancel
}

// The errors below have no names outside of net/http, and are told by their texts. A
// test of each with net/http itself says when these have changed; not to recognize one
// would mean fewer second tries, and a backend blamed.

// TooLarge reports whether net/http did not send a head, or trailers, because the
// backend has said that it takes none of that size (SETTINGS_MAX_HEADER_LIST_SIZE).
func TooLarge(err error) bool {
	return strings.Contains(err.Error(), "request header list larger than peer's advertised limit")
}

// WentAway reports whether the backend said that it had not looked at the stream
// when it ended the connection (RFC 9113 6.8).
func WentAway(err error) bool {
	return strings.HasSuffix(err.Error(), "Server's graceful shutdown GOAWAY")
}

// EndedInOrder reports whether the backend had announced the end of the connection,
// as one does that keeps none for ever, and has then ended it with streams on it.
func EndedInOrder(err error) bool {
	text := err.Error()
	return strings.Contains(text, "server sent GOAWAY and closed the connection") && strings.Contains(text, "ErrCode=NO_ERROR")
}

// Calmed reports whether the backend ended the stream, or the connection with it,
// because too much was asked of it (ENHANCE_YOUR_CALM, RFC 9113 7): nginx says so of a
// head that is too large, gRPC's servers of a client that pings too often.
func Calmed(err error) bool {
	if code, reset := Reset(err); reset {
		return code == EnhanceYourCalm
	}
	text := err.Error()
	return strings.Contains(text, "server sent GOAWAY and closed the connection") && strings.Contains(text, "ErrCode=ENHANCE_YOUR_CALM,") ||
		strings.HasSuffix(text, "received GOAWAY from server ErrCode:ENHANCE_YOUR_CALM")
}
