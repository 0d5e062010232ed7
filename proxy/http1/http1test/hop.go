package http1test

import "strings"

// hopCases are about what is for the next recipient alone.
func hopCases() []Case {
	const up = "Upgrade: websocket"
	return []Case{
		accept("keep-alive goes", "RFC 9110 7.6.1", get("Connection: keep-alive", "Keep-Alive: timeout=5", "X: y"), get("X: y")),
		accept("close goes", "RFC 9110 7.6.1", get("Connection: close"), get()),
		accept("Proxy-Connection goes", "RFC 9110 7.6.1", get("Proxy-Connection: keep-alive"), get()),
		accept("what Connection names goes", "RFC 9110 7.6.1", get("X-Mine: 1", "Connection: close, x-mine", "X-Yours: 2"), get("X-Yours: 2")),
		accept("what Connection names goes in every case and line", "RFC 9110 7.6.1", get("x-MINE: 1", "Connection: X-Mine", "X-Mine: 2", "Connection: ,x-other , ", "X-Other: 3"), get()),
		accept("Connection names what is not there", "RFC 9110 7.6.1", get("Connection: X-Absent"), get()),
		accept("Connection cannot remove what is for all", "RFC 9110 7.6.1, Davison 2019", get("Connection: Cache-Control, Authorization, Cookie, X-Forwarded-For", "Cache-Control: no-cache", "Authorization: Basic x", "Cookie: a=b", "X-Forwarded-For: 1.2.3.4"), get("Cache-Control: no-cache", "Authorization: Basic x", "Cookie: a=b", "X-Forwarded-For: 1.2.3.4")),
		accept("credentials for a proxy stay here", "RFC 9110 11.7.2", get("Proxy-Authorization: Basic x"), get()),
		accept("an upgrade is not passed on by itself", "RFC 9110 7.8", get("Connection: Upgrade", up), get()),
		accept("an h2c upgrade is not passed on", "RFC 7540 3.2.1, h2c smuggling", get("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA"), get()),
		accept("an upgrade without Connection goes", "RFC 9110 7.8", get(up), get()),
		accept("TE: trailers is ours to say", "RFC 9110 10.1.4", get("TE: trailers", "Connection: TE"), get("TE: trailers", "Connection: TE")),
		accept("trailers among other codings", "RFC 9110 10.1.4", get("TE: gzip;q=0.5, Trailers"), get("TE: trailers", "Connection: TE")),
		accept("TE before all else", "RFC 9110 10.1.4", lines("GET / HTTP/1.1", "TE: trailers", "Host: a"), get("TE: trailers", "Connection: TE")),
		accept("TE without trailers goes", "RFC 9110 10.1.4", get("TE: gzip", "Connection: TE"), get()),
		accept("Trailer without a trailer section goes", "RFC 9110 6.6.2", get("Trailer: X"), get()),
		{
			Name: "Trailer keeps what may come in one", Clause: "RFC 9110 6.6.2",
			Raw:     post("Trailer: X-Sum, Content-Length , Host", "Trailer: Y", "Transfer-Encoding: chunked") + "0\r\nX-Sum: 1\r\n\r\n",
			Head:    post("Transfer-Encoding: chunked", "Trailer: X-Sum, Y"),
			Trailer: "X-Sum: 1\r\n",
		},
		accept("Max-Forwards goes on", "RFC 9110 7.6.2", get("Max-Forwards: 3"), get("Max-Forwards: 3")),
		refuse(400, "an option that is no token", "RFC 9110 7.6.1", get("Connection: close; x")),
		refuse(400, "a quoted option", "RFC 9110 7.6.1", get("Connection: \"close\"")),
		accept("as many options as are put up with", "bounds the work of one head", get("Connection: "+strings.Repeat("x,", 31)+"x"), get()),
		refuse(400, "options without end", "bounds the work of one head", get("Connection: "+strings.Repeat("x,", 32)+"x")),
	}
}
