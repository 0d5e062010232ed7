package http2

import (
	"errors"
	"fmt"
)

// Code says why a stream was reset, or a connection ended (RFC 9113 7).
type Code uint32

// The codes.
const (
	NoError Code = iota
	ProtocolError
	InternalError
	FlowControlError
	SettingsTimeout
	StreamClosed
	FrameSizeError
	RefusedStream // it was not processed (RFC 9113 8.7)
	Cancel
	CompressionError
	ConnectError
	EnhanceYourCalm
	InadequateSecurity
	HTTP11Required
)

// connError is what the peer did that ends the connection.
type connError struct {
	code Code
	text string
}

func (e *connError) Error() string { return e.text }

func fault(code Code, text string) error { return &connError{code, text} }

// codeOf is what the peer is told of err.
func codeOf(err error) Code {
	var e *connError
	if errors.As(err, &e) {
		return e.code
	}
	return NoError
}

// ResetError is a stream that the backend has reset, and why.
type ResetError struct{ Code Code }

func (e *ResetError) Error() string {
	return fmt.Sprintf("the backend reset the stream (code %d)", e.Code)
}

// goneError is a connection that ended after its backend had said so (GOAWAY).
type goneError struct {
	code Code
	err  error
}

func (e *goneError) Error() string {
	return fmt.Sprintf("the backend has ended the connection (code %d): %v", e.code, e.err)
}

func (e *goneError) Unwrap() error { return e.err }

// malformedError is a stream on which the backend did not keep to the protocol.
type malformedError struct{ why string }

func (e *malformedError) Error() string { return "the backend's response is malformed: " + e.why }

var (
	// errWentAway is a stream that the backend has not looked at: it had said before that
	// it would end the connection (RFC 9113 6.8).
	errWentAway = errors.New("the backend is ending the connection, and has not looked at the stream")
	errHeaped   = errors.New("the peer takes nothing of what it has asked for")
	errCalm     = errors.New("too much is asked of the backend")
	// ErrClosed is a connection that takes no more streams.
	ErrClosed = errors.New("the connection takes no more streams")
	// ErrTooLarge is a head, or trailers, of which the backend has said that it takes none
	// of that size (SETTINGS_MAX_HEADER_LIST_SIZE). Nothing was sent.
	ErrTooLarge = errors.New("the backend takes no head of that size")
	// ErrOther is a backend that does not begin as HTTP/2 has it.
	ErrOther = errors.New("it speaks HTTP/1, not HTTP/2 with prior knowledge (h2c)")
	// ErrBody is a body that its client has broken.
	ErrBody = errors.New("the request's body is broken")
	// ErrGone is a client that has reset its stream, or left.
	ErrGone = errors.New("the client has left")
)

// Reset is the code that the backend reset the stream with, if it did.
func Reset(err error) (code Code, ok bool) {
	var e *ResetError
	if !errors.As(err, &e) {
		return 0, false
	}
	return e.Code, true
}

// Cancelled reports whether the backend reset the stream as one that is no longer
// wanted.
func Cancelled(err error) bool {
	code, reset := Reset(err)
	return reset && code == Cancel
}

// WentAway reports whether the backend said that it had not looked at the stream
// when it ended the connection (RFC 9113 6.8).
func WentAway(err error) bool { return errors.Is(err, errWentAway) }

// Untaken reports whether the backend cannot have looked at the stream: it went away
// before, or the connection took no more.
func Untaken(err error) bool { return errors.Is(err, errWentAway) || errors.Is(err, ErrClosed) }

// Malformed reports whether the backend did not keep to the protocol.
func Malformed(err error) bool {
	var m *malformedError
	var c *connError
	return errors.As(err, &m) || errors.As(err, &c)
}

// EndedInOrder reports whether the backend had announced the end of the connection,
// as one does that keeps none for ever, and has then ended it with streams on it.
func EndedInOrder(err error) bool {
	var e *goneError
	return errors.As(err, &e) && e.code == NoError && !WentAway(err)
}

// Calmed reports whether the backend ended the stream, or the connection with it,
// because too much was asked of it (ENHANCE_YOUR_CALM, RFC 9113 7): nginx says so of a
// head that is too large, gRPC's servers of a client that pings too often.
func Calmed(err error) bool {
	if code, reset := Reset(err); reset {
		return code == EnhanceYourCalm
	}
	var e *goneError
	return errors.As(err, &e) && e.code == EnhanceYourCalm
}
