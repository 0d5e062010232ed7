package http1

import "errors"

// What Parse may find instead of a head. Compare with ==.
var (
	// ErrIncomplete says that the head does not end within the buffer: call
	// Parse again with the same bytes, wherever they lie by then, and more.
	ErrIncomplete = errors.New("parse head: incomplete")
	// ErrHTTP2Preface says that the client speaks HTTP/2 with prior knowledge
	// (RFC 9113 3.4): the buffer starts with the whole 24-byte preface.
	ErrHTTP2Preface = errors.New("parse head: HTTP/2 connection preface")
	// ErrTLS says that the first byte is that of a TLS handshake record
	// (RFC 8446 5.1): the client speaks TLS to a plain port.
	ErrTLS = errors.New("parse head: TLS handshake instead of HTTP")
)

// SyntaxError says why a message is refused. After one, where the next message
// begins is unknown: answer and close.
type SyntaxError struct {
	// Status is what a server answers: 400, 414, 417, 431, 501 or 505. When a
	// backend's response is refused, the answer is 502 whatever Status says.
	Status int
	Reason string // in plain words
	Clause string // what forbids it
}

// TooLarge reports whether the message may be valid, but is larger than what is taken here.
func (e *SyntaxError) TooLarge() bool { return e.Status == 414 || e.Status == 431 }

func (e *SyntaxError) Error() string {
	return "parse message: " + e.Reason + " (" + e.Clause + ")"
}

func bad(reason, clause string) *SyntaxError {
	return &SyntaxError{Status: 400, Reason: reason, Clause: clause}
}

// The refusals, made once so that refusing allocates nothing.
var (
	errBareLF  = bad("a line ends in a bare LF", "RFC 9112 2.2")
	errBareCR  = bad("CR without LF", "RFC 9112 2.2")
	errControl = bad("control byte in a field value", "RFC 9110 5.5")

	errMethod      = bad("invalid byte in the method", "RFC 9112 3.1")
	errMethodLong  = &SyntaxError{501, "method too long", "RFC 9112 3"}
	errConnect     = &SyntaxError{501, "CONNECT is not for a gateway", "RFC 9110 9.3.6"}
	errPRI         = bad("method PRI outside the HTTP/2 preface", "RFC 9113 3.4")
	errEmptyLines  = bad("empty lines before the request line", "RFC 9112 2.2")
	errTarget      = bad("invalid byte in the request-target", "RFC 9112 3.2")
	errTargetLong  = &SyntaxError{414, "request-target too long", "RFC 9110 15.5.15"}
	errTargetForm  = bad("request-target in none of the forms allowed", "RFC 9112 3.2")
	errPercent     = bad("invalid percent-encoding in the path", "RFC 3986 2.1")
	errAsterisk    = bad("request-target * is for OPTIONS only", "RFC 9112 3.2.4")
	errNoVersion   = bad("request line without version (HTTP/0.9)", "RFC 9112 3")
	errVersion     = bad("malformed HTTP version", "RFC 9112 2.3")
	errUnsupported = &SyntaxError{505, "HTTP version other than 1.0 and 1.1", "RFC 9110 15.6.6"}

	errNoHost    = bad("HTTP/1.1 request without Host", "RFC 9112 3.2")
	errHosts     = bad("more than one Host", "RFC 9112 3.2")
	errPadded    = bad("blanks around a field value", "RFC 9113 8.2.1")
	errEmptyHost = bad("empty host", "RFC 9110 4.2.1")
	errHost      = bad("invalid host", "RFC 9112 3.2, RFC 3986 3.2.2")
	errUserinfo  = bad("userinfo in an authority", "RFC 9110 4.2.4")

	errFold       = bad("line folding, or space before a field name", "RFC 9112 5.2")
	errSpaceColon = bad("space before the colon of a field line", "RFC 9112 5.1")
	errName       = bad("invalid byte in a field name", "RFC 9110 5.1")
	errEmptyName  = bad("empty field name", "RFC 9110 5.1")
	errNoColon    = bad("field line without a colon", "RFC 9112 5")
	errHeadLong   = &SyntaxError{431, "head too large", "RFC 6585 5"}
	errFields     = &SyntaxError{431, "too many fields", "RFC 6585 5"}

	errLength    = bad("malformed Content-Length", "RFC 9110 8.6")
	errLengths   = bad("more than one Content-Length", "RFC 9112 6.3")
	errBoth      = bad("Content-Length with Transfer-Encoding", "RFC 9112 6.1")
	errCodingOld = bad("Transfer-Encoding in HTTP/1.0", "RFC 9112 6.1")
	errCodings   = bad("malformed Transfer-Encoding", "RFC 9112 6.1")
	errNotFinal  = bad("chunked is not the final transfer coding, once", "RFC 9112 6.3")
	errIdentity  = bad("transfer coding identity is no more", "RFC 9112 7, RFC 7230 A.2")
	errCoding    = &SyntaxError{501, "transfer coding other than chunked", "RFC 9112 6.1"}
	errTrace     = bad("TRACE with content", "RFC 9110 9.3.8")
	errExpect    = &SyntaxError{417, "expectation other than 100-continue, once", "RFC 9110 10.1.1"}
	errOption    = bad("malformed Connection option", "RFC 9110 7.6.1")
	errOptions   = bad("too many Connection options", "RFC 9110 7.6.1")

	errStatusLine = bad("malformed status line", "RFC 9112 4")
	errStatus     = bad("status outside 100 to 599", "RFC 9110 15")

	errChunkSize    = bad("malformed chunk size", "RFC 9112 7.1")
	errChunkBig     = bad("chunk size overflows", "RFC 9112 7.1")
	errChunkExt     = bad("malformed chunk extension", "RFC 9112 7.1.1")
	errChunkExtLong = bad("chunk extensions too large", "RFC 9112 7.1.1")
	errChunkEnd     = bad("chunk data without its CRLF", "RFC 9112 7.1")
	errTrailerLong  = &SyntaxError{431, "trailer section too large", "RFC 6585 5"}
)
