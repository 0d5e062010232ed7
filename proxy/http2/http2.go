// Package http2 carries HTTP/2 (RFC 9113) for a proxy, whose two sides it is: [Server]
// is a client's connection, [Client] is one to a backend, and [Body] is a request's
// body on its way from the one to the other.
//
//	server := http2.NewServer(&conn, config)
//	err := server.Serve(func(st *http2.ServerStream) { go forward(st) })
//
// Each connection has one goroutine, which reads it and never waits to write: what it
// has to say, and what others have, is put down and sent together, before anybody waits.
// Streams take no goroutine of this package's.
//
// It knows no pools and no policies: whether a request may be tried again, and where,
// is for the caller to say. It compresses fields by the static table alone (RFC 7541),
// as HAProxy does: what is sent depends on no state, and costs next to nothing.
package http2

import "golang.org/x/net/http2/hpack"

// Preface begins a client's connection (RFC 9113 3.4).
const Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// Field is a field of a head or a trailer, its name in lower case.
type Field = hpack.HeaderField

// Greets reports whether b begins as a server's connection does: with a SETTINGS frame
// (RFC 9113 3.4, 6.5).
func Greets(b []byte) bool {
	return len(b) >= frameHead && b[3] == kindSettings && b[4] == 0 && [4]byte(b[5:frameHead]) == [4]byte{}
}
