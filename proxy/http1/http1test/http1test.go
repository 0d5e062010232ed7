// Package http1test is a table of HTTP/1.1 messages, honest and otherwise, and
// of what must become of each: the parser is held to it, and so can be whatever
// puts the parser on a socket, to the byte.
//
//	for _, c := range http1test.Requests() {
//		// send c.Raw to a proxy; see what its backend gets
//	}
//
// It holds data alone and imports nothing of what it tests.
package http1test

import "strings"

// Case is one message, by itself at the start of a connection.
type Case struct {
	Name   string // a sentence about Raw
	Clause string // what decides: an RFC section, a CVE, an incident
	Raw    string // what is sent

	// Method is that of the request a response answers; empty for requests.
	Method string

	// Status is what a refused request is answered with; a refused response is
	// always answered 502. Zero: the message is accepted.
	Status int
	// InBody: the head is fine, the fault is in the body. What came before may
	// have been passed on, the message must never be completed.
	InBody bool

	// Head is what is sent on for a head that is fine, with its empty line,
	// before whatever the proxy adds on its own behalf. Framing is that of the
	// message: Head ends in its own Content-Length or Transfer-Encoding.
	Head string
	// Body is the content, unwrapped; up to the fault, if InBody.
	Body string
	// Trailer is the trailer section that is sent on, as field lines.
	Trailer string
	// Rest is what of Raw comes after the message: the next one's.
	Rest string
}

// Requests are cases a client sends.
func Requests() []Case {
	return concat(lineCases, targetCases, hostCases, fieldCases, framingCases, chunkCases, hopCases)
}

// Responses are cases a backend sends.
func Responses() []Case { return concat(responseCases) }

func concat(tables ...func() []Case) (all []Case) {
	for _, table := range tables {
		all = append(all, table()...)
	}
	return all
}

// refuse is a message refused for its head.
func refuse(status int, name, clause, raw string) Case {
	return Case{Name: name, Clause: clause, Raw: raw, Status: status}
}

// accept is a message without a body, sent on as head.
func accept(name, clause, raw, head string) Case {
	return Case{Name: name, Clause: clause, Raw: raw, Head: head}
}

// lines are lines with their ends, then the empty line.
func lines(line ...string) string { return strings.Join(line, "\r\n") + "\r\n\r\n" }

// get is a GET of / on host a with more fields.
func get(fields ...string) string {
	return lines(append([]string{"GET / HTTP/1.1", "Host: a"}, fields...)...)
}

// post is a POST of / to host a with more fields.
func post(fields ...string) string {
	return lines(append([]string{"POST / HTTP/1.1", "Host: a"}, fields...)...)
}

// target is a GET of target on host a.
func target(t string) string { return lines("GET "+t+" HTTP/1.1", "Host: a") }
