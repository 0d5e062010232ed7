// Package http2 has what a proxy needs to know of HTTP/2 (RFC 9113) beside what net/http
// does, which carries its frames and flow control: how long a head takes to come
// ([HeadClock]), whether a backend speaks it at all and has taken what it was sent
// ([Link]), a request's body that may have to be sent to another backend ([Body]), and
// what the errors of a request mean ([Reset], [WentAway], [Calmed]).
//
//	link := http2.NewLink(conn, &sent) // to be given to net/http's transport
//	select {
//	case <-link.Greeted():
//		err = link.Refusal() // nil: the backend speaks HTTP/2
//	case <-ctx.Done():
//	}
//
// It knows no pools and no policies: whether a request may be tried again, and where,
// is for the caller to say.
package http2

// Preface begins a client's connection (RFC 9113 3.4).
const Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// frameHead is the length of a frame's head (RFC 9113 4.1).
const frameHead = 9

// Greets reports whether b begins as a server's connection does: with a SETTINGS frame
// (RFC 9113 3.4, 6.5).
func Greets(b []byte) bool {
	return len(b) >= frameHead && b[3] == typeSettings && b[4] == 0 && [4]byte(b[5:frameHead]) == [4]byte{}
}

// The frames that are looked at (RFC 9113 6).
const (
	typeHeaders      = 1
	typeSettings     = 4
	typeContinuation = 9
	flagEndHeaders   = 4
)
