package http1test

import "strings"

// chunkCases are about bodies in the chunked coding.
func chunkCases() []Case {
	head := post("Transfer-Encoding: chunked")
	good := func(name, clause, wire, body string) Case {
		return Case{Name: name, Clause: clause, Raw: head + wire, Head: head, Body: body}
	}
	fault := func(name, clause, wire, body string) Case {
		return Case{Name: name, Clause: clause, Raw: head + wire, Head: head, Body: body, Status: 400, InBody: true}
	}
	trailed := func(name, clause, section, trailer string) Case {
		return Case{Name: name, Clause: clause, Raw: head + "1\r\nx\r\n0\r\n" + section, Head: head, Body: "x", Trailer: trailer}
	}
	full := strings.Repeat("Xx: "+strings.Repeat("y", 1018)+"\r\n", 7)
	full += "X: " + strings.Repeat("y", 8192-len(full)-len("X: \r\n\r\n")) + "\r\n"
	large := fault("a trailer section too large", "RFC 6585 5", "0\r\n"+strings.Repeat("X: "+strings.Repeat("y", 1000)+"\r\n", 9)+"\r\n", "")
	large.Status = 431
	next := good("the next request behind a body", "RFC 9112 6.3", "1\r\nx\r\n0\r\n\r\n"+get(), "x")
	next.Rest = get()
	return []Case{
		good("one chunk", "RFC 9112 7.1", "5\r\nhello\r\n0\r\n\r\n", "hello"),
		good("several chunks", "RFC 9112 7.1", "1\r\nh\r\n3\r\nell\r\n1\r\no\r\n0\r\n\r\n", "hello"),
		good("a size in capitals", "RFC 9112 7.1", "A\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
		good("a size with zeros before", "RFC 9112 7.1", "0005\r\nhello\r\n000\r\n\r\n", "hello"),
		good("line ends within data", "RFC 9112 7.1", "9\r\n\r\n0\r\n\r\n\r\n\r\n0\r\n\r\n", "\r\n0\r\n\r\n\r\n"),
		good("a size of sixteen digits", "RFC 9112 7.1", "0000000000000005\r\nhello\r\n0\r\n\r\n", "hello"),
		good("the largest size, cut short", "RFC 9112 7.1", "7fffffffffffffff\r\nhello", "hello"),
		good("an extension", "RFC 9112 7.1.1", "5;a=b\r\nhello\r\n0;c\r\n\r\n", "hello"),
		good("a quoted extension", "RFC 9112 7.1.1", "5;a=\"b;c\"\r\nhello\r\n0\r\n\r\n", "hello"),
		good("a space before an extension", "RFC 9112 7.1.1, RFC 9110 5.6.3", "5 \t; a = b\r\nhello\r\n0\r\n\r\n", "hello"),
		next,
		fault("no size", "RFC 9112 7.1", "\r\nhello\r\n0\r\n\r\n", ""),
		fault("an extension without a size", "RFC 9112 7.1", ";a\r\nhello\r\n0\r\n\r\n", ""),
		fault("a size with a prefix", "CVE-2022-24801", "0x5\r\nhello\r\n0\r\n\r\n", ""),
		fault("a size with a plus", "RFC 9112 7.1", "+5\r\nhello\r\n0\r\n\r\n", ""),
		fault("a size with a minus", "RFC 9112 7.1, CVE-2013-2028", "-5\r\nhello\r\n0\r\n\r\n", ""),
		fault("a size behind a space", "RFC 9112 7.1", " 5\r\nhello\r\n0\r\n\r\n", ""),
		fault("a size before a space", "RFC 9112 7.1", "5 \r\nhello\r\n0\r\n\r\n", ""),
		fault("two sizes", "RFC 9112 7.1", "5 5\r\nhello\r\n0\r\n\r\n", ""),
		fault("a size with an underscore", "RFC 9112 7.1, Python's int", "0_5\r\nhello\r\n0\r\n\r\n", ""),
		fault("a size with a letter that is no digit", "RFC 9112 7.1", "5g\r\nhello\r\n0\r\n\r\n", ""),
		fault("a size with a comma", "RFC 9112 7.1", "5,\r\nhello\r\n0\r\n\r\n", ""),
		fault("a size with a NUL", "RFC 9112 7.1", "5\x00\r\nhello\r\n0\r\n\r\n", ""),
		fault("a size that overflows 63 bits", "RFC 9112 7.1", "8000000000000000\r\n", ""),
		fault("a size that overflows 64 bits", "RFC 9112 7.1, CVE-2015-3183", "10000000000000005\r\nhello\r\n0\r\n\r\n", ""),
		fault("a size of endless zeros", "RFC 9112 7.1", strings.Repeat("0", 40)+"5\r\nhello\r\n0\r\n\r\n", ""),
		fault("a size line that ends in a bare LF", "CVE-2025-22871", "5\nhello\r\n0\r\n\r\n", ""),
		fault("a size line that ends in a bare CR", "RFC 9112 2.2", "5\rhello\r\n0\r\n\r\n", ""),
		fault("a size line that ends in CR CR LF", "RFC 9112 2.2", "5\r\r\nhello\r\n0\r\n\r\n", ""),
		fault("a bare LF in an extension", "TERM.EXT, Funky chunks 2025", "2;\nxx\r\n10\r\n\r\n", ""),
		fault("a bare LF behind an extension's value", "EXT.TERM, CVE-2025-58056", "5;a=b\nhello\r\n0\r\n\r\n", ""),
		fault("a bare CR in an extension", "TERM.EXT, Funky chunks 2025", "2;\rxx\r\n10\r\n\r\n", ""),
		fault("a bare LF in a quoted extension", "Funky chunks 2025", "5;a=\"\n\"\r\nhello\r\n0\r\n\r\n", ""),
		fault("a NUL in an extension", "RFC 9112 7.1.1", "5;a=\x00\r\nhello\r\n0\r\n\r\n", ""),
		fault("an extension too long", "RFC 9112 7.1.1", "5;"+strings.Repeat("a", 2000)+"\r\nhello\r\n0\r\n\r\n", ""),
		fault("extensions larger than the data, for ever", "CVE-2023-39326", strings.Repeat("1;"+strings.Repeat("a", 900)+"\r\nx\r\n", 20), "xxxxxxxxx"),
		fault("data without its CRLF", "RFC 9112 7.1", "5\r\nhello0\r\n\r\n", "hello"),
		fault("data longer than its size", "SPILL, Funky chunks 2025", "5\r\nhelloAA0\r\n\r\n", "hello"),
		fault("data shorter than its size", "RFC 9112 7.1", "6\r\nhello\r\n0\r\n\r\n", "hello\r"),
		fault("data that ends in a bare LF", "ONE.TWO, Funky chunks 2025", "5\r\nhello\n0\r\n\r\n", "hello"),
		fault("data that ends in a bare CR", "TWO.ONE, Funky chunks 2025", "5\r\nhello\r0\r\n\r\n", "hello"),
		fault("a byte between the CR and LF behind data", "Funky chunks 2025", "5\r\nhello\rX\n0\r\n\r\n", "hello"),
		fault("data that ends in LF CR", "Funky chunks 2025", "5\r\nhello\n\r0\r\n\r\n", "hello"),

		trailed("a trailer field", "RFC 9112 7.1.2", "X-Sum: 1\r\n\r\n", "X-Sum: 1\r\n"),
		trailed("trailer fields, trimmed", "RFC 9112 7.1.2", "X-A:1\r\ngrpc-status: \t0 \r\nX-E:\r\n\r\n", "X-A: 1\r\ngrpc-status: 0\r\nX-E: \r\n"),
		trailed("the largest trailer section", "RFC 6585 5", full+"\r\n", full),
		trailed("framing in a trailer goes", "RFC 9110 6.5.1", "Content-Length: 5\r\nX: y\r\nTransfer-Encoding: chunked\r\n\r\n", "X: y\r\n"),
		trailed("routing in a trailer goes", "RFC 9110 6.5.1", "Host: b\r\nX-Forwarded-For: 1.2.3.4\r\nForwarded: for=b\r\n\r\n", ""),
		trailed("authentication in a trailer goes", "RFC 9110 6.5.1", "Authorization: Basic x\r\ncookie: a=b\r\nProxy-Authorization: x\r\n\r\n", ""),
		trailed("Connection in a trailer goes", "RFC 9110 6.5.1", "Connection: X\r\nKeep-Alive: timeout=1\r\nTrailer: X\r\n\r\n", ""),
		fault("a folded trailer", "RFC 9112 5.2", "0\r\nX: y\r\n z\r\n\r\n", ""),
		fault("a trailer with a space before its colon", "RFC 9112 5.1", "0\r\nX : y\r\n\r\n", ""),
		fault("a trailer of a name alone", "RFC 9112 5", "0\r\nX\r\n\r\n", ""),
		fault("a trailer without a colon", "RFC 9112 5", "0\r\nGET / HTTP/1.1\r\n\r\n", ""),
		fault("a trailer with an empty name", "RFC 9110 5.1", "0\r\n: y\r\n\r\n", ""),
		fault("a trailer with a NUL", "RFC 9110 5.5", "0\r\nX: \x00\r\n\r\n", ""),
		fault("a trailer that ends in a bare LF", "RFC 9112 2.2", "0\r\nX: y\n\r\n", ""),
		fault("a bare LF for the trailer's empty line", "RFC 9112 2.2", "0\r\n\n", ""),
		fault("a bare CR for the trailer's empty line", "RFC 9112 2.2", "0\r\n\rX", ""),
		large,
	}
}
