// Package grpc has what a proxy needs to know of gRPC's protocol over HTTP/2
// (grpc/doc/PROTOCOL-HTTP2.md): how a call is recognized, how long its client gives it,
// and its status, which is neither HTTP's nor where HTTP would have it.
//
//	if grpc.Is(contentType) {
//		code, ok := grpc.Status(status) // of the trailers
//	}
package grpc

import (
	"strconv"
	"strings"
	"time"
)

// The fields of a call: how long it may take, and how it ended.
const (
	TimeoutField = "grpc-timeout"
	StatusField  = "grpc-status"
	MessageField = "grpc-message"
)

// Is reports whether a message of that content-type is gRPC's; gRPC-Web's, whose status
// is in its body, is not.
func Is(contentType string) bool {
	rest, ok := strings.CutPrefix(contentType, "application/grpc")
	return ok && (rest == "" || rest[0] == '+' || rest[0] == ';')
}

// Status is the status that text, the value of [StatusField], says: of the trailers or,
// of a response that is nothing else, of the head. ok is false if there is none; one that
// is no number is [Unknown].
func Status(text string) (code Code, ok bool) {
	if text == "" {
		return 0, false
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return Unknown, true
	}
	return Code(n), true
}

// Escape is text as Grpc-Message carries it: printable ASCII, the rest by
// percent signs.
func Escape(text string) string {
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

// Timeout is how long the client gives a call, by the value of [TimeoutField] ("Timeout"
// in the protocol); zero if it does not say.
func Timeout(text string) time.Duration {
	if len(text) < 2 || len(text) > 9 {
		return 0
	}
	digits, letter := text[:len(text)-1], text[len(text)-1]
	n, err := strconv.ParseUint(digits, 10, 32)
	if err != nil || n > 1<<20 && letter == 'H' { // a century: none
		return 0
	}
	return time.Duration(n) * unit(letter)
}

// unit is what a timeout's letter means; zero, if nothing.
func unit(letter byte) time.Duration {
	switch letter {
	case 'H':
		return time.Hour
	case 'M':
		return time.Minute
	case 'S':
		return time.Second
	case 'm':
		return time.Millisecond
	case 'u':
		return time.Microsecond
	case 'n':
		return time.Nanosecond
	}
	return 0
}
