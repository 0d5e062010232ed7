package proxy

import (
	"errors"
	"strconv"
	"time"

	"portside/proxy/http1"
)

// answer is a response of our own: small, with X-Portside-Error saying what kind
// of trouble it is, and a sentence for people. It reports whether another request
// may follow.
func (s *httpSession) answer(status int, kind, text string) (again bool) {
	x := s.x
	// The wait for a backend is over, and its limit: who is told that another request may
	// follow must not be ended for that.
	_ = s.enter(phaseBody)
	closes := x.closes || !x.up.complete() || s.ended()
	x.status, x.fault = status, kind
	s.h.stats.answer(status)
	b := append(x.head[:0], "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, ' ')
	b = append(b, reasons[status]...)
	b = append(b, "\r\nDate: "...)
	b = time.Now().UTC().AppendFormat(b, "Mon, 02 Jan 2006 15:04:05 GMT")
	b = append(b, "\r\nContent-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\nX-Portside-Error: "...)
	b = append(b, kind...)
	b = append(b, "\r\n"...)
	if status == 503 {
		b = append(b, "Retry-After: 1\r\n"...)
	}
	switch {
	case closes:
		b = append(b, "Connection: close\r\n"...)
		s.linger = true
	case x.req.Minor == 0:
		b = append(b, "Connection: keep-alive\r\n"...)
	}
	b = append(b, "Content-Length: "...)
	b = strconv.AppendInt(b, int64(len("portside: ")+len(text)+1), 10)
	b = append(b, "\r\n\r\n"...)
	if x.req.MethodID != http1.HEAD {
		b = append(b, "portside: "...)
		b = append(b, text...)
		b = append(b, '\n')
	}
	x.head = b
	// Whatever ended the wait has set a deadline; what is said must get out.
	_ = s.client.SetWriteDeadline(time.Now().Add(lingerTime))
	n, err := s.client.Write(b)
	s.h.stats.Bytes.ToClient.Add(int64(n))
	if err != nil || closes {
		return false
	}
	_ = s.client.SetWriteDeadline(time.Time{})
	return true
}

// reasons are the phrases of what we answer ourselves (RFC 9110 15).
var reasons = map[int]string{
	400: "Bad Request", 408: "Request Timeout", 414: "URI Too Long", 417: "Expectation Failed", 431: "Request Header Fields Too Large",
	501: "Not Implemented", 502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout", 505: "HTTP Version Not Supported",
}

// refuse answers a request that is no request, and has the connection close.
func (s *httpSession) refuse(err error) {
	s.x.closes = true
	s.linger = true
	var bad *http1.SyntaxError
	switch {
	case errors.Is(err, http1.ErrHTTP2Preface) && s.requests > 0:
		_ = s.toClient(goAway()) // it cannot change its mind
	case errors.Is(err, http1.ErrHTTP2Preface):
		s.serveHTTP2()
	case errors.Is(err, http1.ErrTLS):
		s.h.hints.say(s.h.config().Log, hintTLS)
		_ = s.toClient(tlsAlert[:])
	case errors.As(err, &bad):
		s.answer(bad.Status, "bad_request", "The request is not valid HTTP: "+bad.Reason+" ("+bad.Clause+").")
	}
}
