package http1

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Messages put together from parts that have each misled somebody reach deeper
// than bytes at random: two faults that hide each other, a fault behind a line
// that ends oddly.

var (
	ends   = often("\r\n", "\n", "\r", "\r\r\n", "\n\r", "\r\n\r\n", "\r\n ", "\r\n\t", "")
	spaces = often(" ", "", "  ", "\t", " \t ", "\x0b", "\x00", "\xa0", "\r\n ")
	colons = often(":", " :", "", "::", "\t:", ":\x00")

	fieldNames = pick("Host", "Content-Length", "Transfer-Encoding", "content-LENGTH", "transfer-encoding", "Connection",
		"Expect", "Upgrade", "TE", "Trailer", "Keep-Alive", "X", "X_Y", "Content_Length", "Pragma", "Cache-Control", "Date",
		"Proxy-Connection", "Cookie", "", "X Y", "\x00X")
	fieldValues = pick("a", "a:80", "0", "5", "005", "+5", "5, 5", "5,", "chunked", "Chunked", "chunked, chunked", "gzip, chunked",
		"identity", "\"chunked\"", "chunked;q=1", "close", "keep-alive", "close, X", "Upgrade", "websocket", "100-continue",
		"trailers", "X, Content-Length", "no-cache", "", "\xff", "a\tb", "9223372036854775807", "9223372036854775808", "timeout=5")
	bodies = pick("", "hello", "5\r\nhello\r\n0\r\n\r\n", "0\r\n\r\n", "5;x=\"y\"\r\nhello\r\n0\r\nX: y\r\n\r\n",
		"5\nhello\n0\n\n", "0x5\r\nhello\r\n0\r\n\r\n", "5\r\nhelloX", "0\r\nHost: b\r\n\r\nGET / HTTP/1.1\r\n", "1\r\na\r\n2\r\nbc\r\n00\r\n\r\nrest")
)

func pick(parts ...string) *rapid.Generator[string] { return rapid.SampledFrom(parts) }

// often is right nine times out of ten.
func often(right string, wrong ...string) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		if rapid.IntRange(0, 9*len(wrong)).Draw(t, "luck") >= len(wrong) {
			return right
		}
		return pick(wrong...).Draw(t, "wrong")
	})
}

// draw puts a message together behind its start line.
func draw(t *rapid.T, start string, host bool) []byte {
	var b strings.Builder
	add := func(g *rapid.Generator[string]) { b.WriteString(g.Draw(t, "part")) }
	b.WriteString(start)
	add(ends)
	if host {
		b.WriteString("Host: a\r\n")
	}
	for range rapid.IntRange(0, 4).Draw(t, "fields") {
		add(fieldNames)
		add(colons)
		add(spaces)
		add(fieldValues)
		add(ends)
	}
	add(ends)
	add(bodies)
	return []byte(b.String())
}

func TestRequestsOfOddPartsAreReadAsNetHTTPDoes(t *testing.T) {
	methods := often("GET", "POST", "HEAD", "OPTIONS", "CONNECT", "TRACE", "PRI", "get", "", "G T")
	targets := pick("/", "/a?b", "*", "http://b/c", "http://b?c", "http://b", "http://u@b/", "//b/c", "/%zz", "/?%zz", "b:80",
		"http://[::1]:80/", "http://[::g]/", "HTTPS://b:/", "/a#b", "/a b", "")
	versions := often("HTTP/1.1", "HTTP/1.0", "HTTP/1.2", "HTTP/2.0", "http/1.1", "")
	rapid.Check(t, func(t *rapid.T) {
		start := methods.Draw(t, "method") + spaces.Draw(t, "space") + targets.Draw(t, "target") +
			spaces.Draw(t, "space") + versions.Draw(t, "version")
		raw := draw(t, start, rapid.IntRange(0, 9).Draw(t, "host") > 0)
		checkRequest(t, raw, rapid.IntRange(1, 40).Draw(t, "step"))
	})
}

func TestResponsesOfOddPartsAreReadAsNetHTTPDoes(t *testing.T) {
	starts := pick("HTTP/1.1 200 OK", "HTTP/1.1 200", "HTTP/1.1 200 ", "HTTP/1.0 200 OK", "HTTP/1.1 204 x", "HTTP/1.1 304 x",
		"HTTP/1.1 100 x", "HTTP/1.1 101 x", "HTTP/1.1 404  x ", "HTTP/1.1 600 x", "HTTP/1.1 20 x", "HTTP/2.0 200 OK", "ICY 200 OK")
	rapid.Check(t, func(t *rapid.T) {
		raw := draw(t, starts.Draw(t, "start"), false)
		checkResponse(t, raw, pick("GET", "HEAD").Draw(t, "method"), rapid.IntRange(1, 40).Draw(t, "step"))
	})
}
