package http1test

import "strings"

// responseCases are about what backends send.
func responseCases() []Case {
	answer := func(name, clause, raw, head, body string) Case {
		return Case{Name: name, Clause: clause, Method: "GET", Raw: raw, Head: head, Body: body}
	}
	to := func(method string, c Case) Case { c.Method = method; return c }
	rest := func(rest string, c Case) Case { c.Raw += rest; c.Rest = rest; return c }
	fault := func(name, clause, raw string) Case {
		return Case{Name: name, Clause: clause, Method: "GET", Raw: raw, Status: 502}
	}
	inBody := func(name, clause, wire, body string) Case {
		head := lines("HTTP/1.1 200 OK", "Transfer-Encoding: chunked")
		return Case{Name: name, Clause: clause, Method: "GET", Raw: head + wire, Head: head, Body: body, Status: 502, InBody: true}
	}
	ok := func(fields ...string) string { return lines(append([]string{"HTTP/1.1 200 OK"}, fields...)...) }
	status := func(line string) string { return lines(line, "Content-Length: 0") }
	same := func(name, clause, head string) Case { return answer(name, clause, head, head, "") }
	return []Case{
		answer("a length", "RFC 9112 6.3", ok("Content-Length: 2")+"hi", ok("Content-Length: 2"), "hi"),
		rest("HTTP/1.1 200 OK\r\n", answer("a length and something behind", "RFC 9112 6.3", ok("Content-Length: 2")+"hi", ok("Content-Length: 2"), "hi")),
		answer("chunked", "RFC 9112 7.1", ok("Transfer-Encoding: chunked")+"2\r\nhi\r\n0\r\n\r\n", ok("Transfer-Encoding: chunked"), "hi"),
		answer("until the connection closes", "RFC 9112 6.3", ok("X: y")+"hi", ok("X: y"), "hi"),
		answer("HTTP/1.0 until the connection closes", "RFC 9112 6.3", "HTTP/1.0 200 OK\r\n\r\nhi", ok(), "hi"),
		answer("HTTP/1.0 with a length", "RFC 9112 6.3", lines("HTTP/1.0 200 OK", "Content-Length: 2")+"hi", ok("Content-Length: 2"), "hi"),
		same("an empty reason", "RFC 9112 4", status("HTTP/1.1 200 ")),
		answer("no reason and no space before it", "RFC 9112 4", status("HTTP/1.1 200"), status("HTTP/1.1 200 "), ""),
		same("a long reason beyond ASCII", "RFC 9112 4", status("HTTP/1.1 404 Nicht gefunden \xe4\t!")),
		same("an unknown status of a known class", "RFC 9110 15", status("HTTP/1.1 299 Odd")),
		same("the last status there is", "RFC 9110 15", status("HTTP/1.1 599 x")),
		same("several Set-Cookies", "RFC 9110 5.3", ok("Set-Cookie: a=b", "Set-Cookie: c=d", "Content-Length: 0")),
		{Name: "a trailer section", Clause: "RFC 9112 7.1.2", Method: "GET", Raw: ok("Trailer: Grpc-Status, Date", "Transfer-Encoding: chunked") + "2\r\nhi\r\n0\r\nGrpc-Status: 0\r\nDate: now\r\n\r\n", Head: ok("Transfer-Encoding: chunked", "Trailer: Grpc-Status"), Body: "hi", Trailer: "Grpc-Status: 0\r\n"},
		answer("hop-by-hop fields go", "RFC 9110 7.6.1", ok("Connection: keep-alive, X-Mine", "Keep-Alive: timeout=5, max=100", "X-Mine: 1", "Proxy-Authenticate: Basic", "Upgrade: h2c", "Content-Length: 0"), ok("Content-Length: 0"), ""),

		to("HEAD", same("HEAD with a length", "RFC 9112 6.3", ok("Content-Length: 5"))),
		to("HEAD", rest("HTTP/1.1 ", same("HEAD with a length and the next response", "RFC 9112 6.3", ok("Content-Length: 5")))),
		to("HEAD", answer("HEAD with chunked", "RFC 9112 6.1", ok("Transfer-Encoding: chunked"), ok(), "")),
		to("HEAD", same("HEAD with neither", "RFC 9112 6.3", ok("X: y"))),
		same("Host and Expect mean nothing here", "RFC 9110 7.2, 10.1.1", ok("Host: a, b", "Host: c", "Expect: x", "Content-Length: 0")),
		same("304 with a length", "RFC 9110 8.6", lines("HTTP/1.1 304 Not Modified", "Etag: \"a\"", "Content-Length: 5")),
		same("304 with neither", "RFC 9112 6.3", lines("HTTP/1.1 304 Not Modified", "Etag: \"a\"")),
		same("204", "RFC 9112 6.3", "HTTP/1.1 204 No Content\r\n\r\n"),
		rest("hello", answer("204 with a length", "RFC 9110 8.6", lines("HTTP/1.1 204 No Content", "Content-Length: 5"), "HTTP/1.1 204 No Content\r\n\r\n", "")),
		rest("0\r\n\r\n", answer("204 with chunked", "RFC 9112 6.1", lines("HTTP/1.1 204 No Content", "Transfer-Encoding: chunked"), "HTTP/1.1 204 No Content\r\n\r\n", "")),
		rest(status("HTTP/1.1 200 OK"), same("100, then another", "RFC 9110 15.2.1", "HTTP/1.1 100 Continue\r\n\r\n")),
		rest(status("HTTP/1.1 200 OK"), same("103 with fields, then another", "RFC 8297 2", lines("HTTP/1.1 103 Early Hints", "Link: </a>; rel=preload"))),
		rest("\x81\x00", answer("101, then something else", "RFC 9110 15.2.2", lines("HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Accept: x"), lines("HTTP/1.1 101 Switching Protocols", "Sec-WebSocket-Accept: x"), "")),

		fault("a length with chunked", "RFC 9112 6.1", ok("Content-Length: 2", "Transfer-Encoding: chunked")+"2\r\nhi\r\n0\r\n\r\n"),
		fault("two lengths", "RFC 9112 6.3", ok("Content-Length: 2", "Content-Length: 3")+"hi"),
		fault("two lengths alike", "RFC 9112 6.3, collapsing declined", ok("Content-Length: 2", "Content-Length: 2")+"hi"),
		fault("a list of lengths", "RFC 9112 6.3, collapsing declined", ok("Content-Length: 2, 2")+"hi"),
		fault("a length with a sign", "RFC 9110 8.6", ok("Content-Length: +2")+"hi"),
		fault("a length that overflows", "RFC 9110 8.6", ok("Content-Length: 99999999999999999999")+"hi"),
		fault("an unknown coding", "RFC 9112 6.3", ok("Transfer-Encoding: x")+"hi"),
		fault("gzip, then chunked", "RFC 9112 6.1", ok("Transfer-Encoding: gzip, chunked")+"0\r\n\r\n"),
		fault("chunked not last", "RFC 9112 6.3", ok("Transfer-Encoding: chunked, gzip")+"0\r\n\r\n"),
		fault("identity", "RFC 7230 A.2", ok("Transfer-Encoding: identity")+"hi"),
		fault("chunked in HTTP/1.0", "RFC 9112 6.1", lines("HTTP/1.0 200 OK", "Transfer-Encoding: chunked")+"0\r\n\r\n"),
		to("HEAD", fault("HEAD with both framings", "RFC 9112 6.1", ok("Content-Length: 2", "Transfer-Encoding: chunked"))),
		fault("304 with a malformed length", "RFC 9110 8.6", lines("HTTP/1.1 304 Not Modified", "Content-Length: x")),

		fault("no status line: HTTP/0.9", "RFC 9112 4", "<html>hello</html>\r\n\r\n"),
		fault("an empty line first", "RFC 9112 2.2 is about requests", "\r\n"+status("HTTP/1.1 200 OK")),
		fault("another protocol", "RFC 9112 4", status("ICY 200 OK")),
		fault("HTTP/2.0", "RFC 9110 15.6.6", status("HTTP/2.0 200 OK")),
		fault("HTTP/1.2", "RFC 9110 2.5", status("HTTP/1.2 200 OK")),
		fault("a version in lower case", "RFC 9112 2.3", status("http/1.1 200 OK")),
		fault("a status of two digits", "RFC 9112 4", status("HTTP/1.1 20 OK")),
		fault("a status of four digits", "RFC 9112 4", status("HTTP/1.1 2000 OK")),
		fault("a status with a sign", "RFC 9112 4", status("HTTP/1.1 +20 OK")),
		fault("a status of letters", "RFC 9112 4", status("HTTP/1.1 abc OK")),
		fault("a status of zero", "RFC 9110 15", status("HTTP/1.1 000 OK")),
		fault("a status below all classes", "RFC 9110 15", status("HTTP/1.1 099 OK")),
		fault("a status beyond all classes", "RFC 9110 15, stricter than RFC 9112 4", status("HTTP/1.1 600 OK")),
		fault("two spaces before the status", "RFC 9112 4", status("HTTP/1.1  200 OK")),
		fault("a tab before the reason", "RFC 9112 4", status("HTTP/1.1 200\tOK")),
		fault("a NUL in the reason", "RFC 9112 4", status("HTTP/1.1 200 O\x00K")),
		fault("bare LFs throughout", "RFC 9112 2.2", "HTTP/1.1 200 OK\nContent-Length: 0\n\n"),
		fault("a bare LF behind a field", "RFC 9112 2.2", "HTTP/1.1 200 OK\r\nX: y\nContent-Length: 0\r\n\r\n"),
		fault("a bare CR in a field", "RFC 9112 2.2, response splitting", ok("X: y\rSet-Cookie: a=b")),
		fault("a folded field", "RFC 9112 5.2", ok("X: y", " z")),
		fault("a space before the colon", "RFC 9112 5.1", ok("Content-Length : 0")),
		fault("a space before the first field", "RFC 9112 2.2", ok(" X: y")),
		fault("an empty name", "RFC 9110 5.1", ok(": y")),
		fault("a NUL in a value", "RFC 9110 5.5", ok("X: \x00")),
		fault("a head too long", "RFC 6585 5", ok(strings.Repeat("X: "+strings.Repeat("a", 1000)+"\r\n", 66)+"Y: z")),
		fault("too many fields", "RFC 6585 5", ok(strings.Repeat("X: y\r\n", 256)+"Y: z")),
		fault("an option that is no token", "RFC 9110 7.6.1", ok("Connection: close; x")),

		inBody("a malformed size", "RFC 9112 7.1", "x\r\n", ""),
		inBody("data without its CRLF", "RFC 9112 7.1", "2\r\nhi0\r\n\r\n", "hi"),
		inBody("a bare LF in an extension", "Funky chunks 2025", "2;\nhi\r\n", ""),
	}
}
