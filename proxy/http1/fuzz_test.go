package http1

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/textproto"
	"strings"
	"testing"

	"portside/proxy/http1/http1test"

	"github.com/google/go-cmp/cmp"
)

// net/http is the reference: what we accept, it must accept and understand
// alike, which also says that we refuse all that it refuses. Where we accept
// more, lenient says so and why.

func FuzzRequest(f *testing.F) {
	for _, c := range http1test.Requests() {
		if len(c.Raw) < 2<<10 {
			f.Add([]byte(c.Raw), uint16(3))
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte, step uint16) { checkRequest(t, raw, int(step)+1) })
}

func checkRequest(t failer, raw []byte, step int) {
	whole := readRequest(raw, 1<<20)
	same(t, "in pieces", whole, readRequest(raw, step))

	var r Request
	n, err := r.Parse(raw, Limits{})
	if err != nil {
		return
	}
	if len(r.Host) > 0 { // else the caller names a host
		same(t, "sent on", whole, readRequest([]byte(whole.Head+string(raw[n:])), 1<<20))
		checkSentOn(t, whole, r.Framing, raw[n:], func(conn *bufio.Reader) (seen, http.Header, error) {
			theirs, err := http.ReadRequest(conn)
			if err != nil {
				return seen{}, nil, err
			}
			s := theirMessage(theirs.Header, theirs.TransferEncoding, theirs.Body, conn)
			s.Start = fmt.Sprintf("%s %s %s", theirs.Method, theirs.RequestURI, theirs.Proto)
			theirs.Header["Host"] = []string{theirs.Host}
			return s, theirs.Trailer, nil
		})
	}
	if lenient(&r.Fields, r.Framing, raw) {
		return
	}
	conn := reader(raw)
	theirs, err := http.ReadRequest(conn)
	if err != nil {
		t.Fatalf("we accept what net/http refuses (%v): %q", err, raw[:n])
	}
	compare(t, ourRequest(&r, raw[n:]), theirRequest(theirs, conn))
}

func FuzzResponse(f *testing.F) {
	for _, c := range http1test.Responses() {
		if len(c.Raw) < 2<<10 {
			f.Add([]byte(c.Raw), c.Method == "HEAD", uint16(3))
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte, toHead bool, step uint16) {
		method := "GET"
		if toHead {
			method = "HEAD"
		}
		checkResponse(t, raw, method, int(step)+1)
	})
}

func checkResponse(t failer, raw []byte, method string, step int) {
	id := methodID([]byte(method))
	whole := readResponse(raw, id, 1<<20)
	same(t, "in pieces", whole, readResponse(raw, id, step))

	var r Response
	n, err := r.Parse(raw, id, Limits{})
	if err != nil {
		return
	}
	same(t, "sent on", whole, readResponse([]byte(whole.Head+string(raw[n:])), id, 1<<20))
	checkSentOn(t, whole, r.Framing, raw[n:], func(conn *bufio.Reader) (seen, http.Header, error) {
		theirs, err := http.ReadResponse(conn, &http.Request{Method: method})
		if err != nil {
			return seen{}, nil, err
		}
		hosts := theirs.Header["Host"] // a field like any other
		s := theirMessage(theirs.Header, theirs.TransferEncoding, theirs.Body, conn)
		s.Start = fmt.Sprintf("%s %s", theirs.Proto, theirs.Status)
		if hosts != nil {
			s.Header["Host"] = hosts
		}
		return s, theirs.Trailer, nil
	})
	if lenient(&r.Fields, r.Framing, raw) {
		return
	}
	conn := reader(raw)
	theirs, err := http.ReadResponse(conn, &http.Request{Method: method})
	if err != nil {
		t.Fatalf("we accept what net/http refuses (%v): %q", err, raw[:n])
	}
	got := theirResponse(theirs, conn)
	if r.Kind == None {
		got.Framing = "" // net/http tells the coding of a body that is not there
	}
	if r.Status < 200 || r.Status == 204 {
		// We close where an answer without a body has its framing, which is
		// forbidden: RFC 9110 8.6, RFC 9112 6.1.
		got.Close = got.Close || r.Has(TransferEncoding) || r.length > 0
	}
	compare(t, ourResponse(&r, raw[n:]), got)
}

func FuzzChunks(f *testing.F) {
	for _, c := range http1test.Requests() {
		if _, body, ok := strings.Cut(c.Raw, "Transfer-Encoding: chunked\r\n\r\n"); ok && len(body) < 4<<10 {
			f.Add([]byte(body), uint16(2))
		}
	}
	f.Fuzz(func(t *testing.T, wire []byte, step uint16) {
		chunked := Framing{Kind: Chunked}
		whole := readBody(message{}, chunked, wire, 1<<20)
		same(t, "in pieces", whole, readBody(message{}, chunked, wire, int(step)+1))
		same(t, "byte by byte", whole, readBody(message{}, chunked, wire, 1))

		var c ChunkReader
		data, n, err := c.Decode(bytes.Clone(wire))
		if err != nil || !c.Done() || spaceBeforeExtension(wire[:n]) {
			return
		}
		theirs, err := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(wire[:n])))
		if err != nil || !bytes.Equal(data, theirs) {
			t.Fatalf("%q is %q to us, %q (%v) to net/http", wire[:n], data, theirs, err)
		}
		canonical := AppendLastChunk(AppendChunk(nil, data), c.Trailer)
		whole.Rest = ""
		same(t, "wrapped again", whole, readBody(message{}, chunked, canonical, int(step)+1))
	})
}

// checkSentOn holds what is sent on, once its body is wrapped again, to net/http: there is
// nothing in it that a strict reader may refuse or see otherwise, however odd the message
// was that it is made of, and the next message begins where it ends. Rest is what came
// behind the head.
func checkSentOn(t failer, m message, framing Framing, rest []byte, read func(*bufio.Reader) (seen, http.Header, error)) {
	t.Helper()
	next := "GET /next HTTP/1.1\r\nHost: next\r\n\r\n"
	body := []byte(m.Body)
	switch framing.Kind {
	case Length:
		if int64(len(body)) < framing.Length {
			return // it was cut short
		}
	case Chunked:
		var c ChunkReader
		if _, _, _ = c.Decode(bytes.Clone(rest)); !c.Done() {
			return
		}
		body = AppendLastChunk(AppendChunk(nil, body), []byte(m.Trailer))
	case UntilClose:
		next = ""
	}
	wire := m.Head + string(body) + next
	theirs, trailer, err := read(reader([]byte(wire)))
	if err != nil {
		t.Fatalf("net/http refuses what we send on (%v): %q", err, wire)
	}
	start, lines, _ := strings.Cut(m.Head, "\r\n")
	ours := seen{Start: strings.TrimSpace(start), Header: fieldsOf(lines), Body: m.Body, Whole: true, Rest: next}
	theirs.Start = strings.TrimSpace(theirs.Start)
	if framing.Kind == Chunked {
		ours.Framing = "chunked"
	} else {
		theirs.Framing = "" // of a body that is not there
	}
	for _, name := range []string{"Trailer", "Connection"} { // net/http takes them out
		delete(ours.Header, name)
		delete(theirs.Header, name)
	}
	delete(ours.Header, "Transfer-Encoding")
	if pragma := ours.Header["Pragma"]; len(pragma) > 0 && pragma[0] == "no-cache" && ours.Header["Cache-Control"] == nil {
		delete(theirs.Header, "Cache-Control") // net/http adds it
	}
	same(t, "by net/http, sent on", ours, theirs)
	for name, values := range trailer {
		if values == nil {
			delete(trailer, name) // announced
		}
	}
	if len(trailer) == 0 {
		trailer = http.Header{}
	}
	if framing.Kind == Chunked {
		same(t, "in trailers by net/http, sent on", fieldsOf(m.Trailer), trailer)
	}
}

// fieldsOf is field lines as net/http has them.
func fieldsOf(lines string) http.Header {
	h := http.Header{}
	for line := range strings.SplitSeq(lines, "\r\n") {
		if name, value, found := strings.Cut(line, ": "); found {
			name = textproto.CanonicalMIMEHeaderKey(name)
			h[name] = append(h[name], value)
		}
	}
	return h
}

func reader(raw []byte) *bufio.Reader {
	return bufio.NewReaderSize(bytes.NewReader(raw), 128<<10)
}

// failer is a test, by hand, by the fuzzer or by rapid.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

func same(t failer, where string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("read %s it is another message: want -, got +\n%s", where, diff)
	}
}

// compare holds what net/http sees to what we see, but for the data of a chunked
// body that is cut short or malformed to us: net/http may be content with it.
func compare(t failer, ours, theirs seen) {
	t.Helper()
	if ours.Framing == "chunked" && !ours.Whole {
		ours.Body, theirs.Body, theirs.Whole = "", "", false
		ours.Rest, theirs.Rest = "", ""
	}
	// net/http deletes a response's Connection that says close; Close tells.
	delete(ours.Header, "Connection")
	delete(theirs.Header, "Connection")
	same(t, "by net/http", ours, theirs)
}

// seen is what both sides can be asked of a message.
type seen struct {
	Start   string // method, target and host, or status and reason
	Close   bool
	Framing string
	Header  http.Header
	Body    string
	Whole   bool // the body came to its end
	Rest    string
}

// lenient reports where net/http may refuse what we accept, or see it otherwise.
func lenient(f *Fields, framing Framing, raw []byte) bool {
	switch {
	case raw[0] == '\r':
		// RFC 9112 2.2: a server SHOULD ignore an empty line before a request.
		return true
	case f.Has(TransferEncoding) && f.Has(Trailer):
		// net/http refuses a Trailer that announces framing fields; we announce
		// the others, and drop the fields themselves (RFC 9110 6.5.1). It also
		// moves the announced ones out of its header: nothing to compare.
		return true
	}
	return framing.Kind == Chunked && spaceBeforeExtension(raw)
}

// spaceBeforeExtension reports, at large, whether a chunk extension may have
// space before its semicolon: "bad whitespace" that "a recipient MUST parse"
// (RFC 9110 5.6.3) and net/http refuses.
func spaceBeforeExtension(raw []byte) bool {
	return bytes.Contains(raw, []byte(" ;")) || bytes.Contains(raw, []byte("\t;"))
}

func ourRequest(r *Request, rest []byte) seen {
	s := ourMessage(&r.Fields, r.Framing, rest)
	s.Start = fmt.Sprintf("%s %q %q", r.Method, rooted(r.Path), r.Host)
	s.Close = !r.KeepAlive
	return s
}

// rooted is path with the slash that AppendHead puts before it.
func rooted(path []byte) string {
	if len(path) == 0 || path[0] == '?' {
		return "/" + string(path)
	}
	return string(path)
}

func theirRequest(r *http.Request, conn io.Reader) seen {
	s := theirMessage(r.Header, r.TransferEncoding, r.Body, conn)
	path := r.RequestURI
	if r.URL.Host != "" {
		path = afterAuthority(r)
	}
	s.Start = fmt.Sprintf("%s %q %q", r.Method, path, r.Host)
	s.Close = r.Close
	return s
}

// afterAuthority is the origin-form of an absolute-form, byte for byte.
func afterAuthority(r *http.Request) string {
	_, rest, _ := strings.Cut(r.RequestURI, "://")
	rest = strings.TrimPrefix(rest, r.URL.Host)
	if rest == "" && r.Method == "OPTIONS" {
		return "*"
	}
	return rooted([]byte(rest))
}

func ourResponse(r *Response, rest []byte) seen {
	s := ourMessage(&r.Fields, r.Framing, rest)
	s.Start = strings.TrimSpace(fmt.Sprintf("%d %s", r.Status, r.Reason))
	s.Close = !r.KeepAlive
	return s
}

func theirResponse(r *http.Response, conn io.Reader) seen {
	s := theirMessage(r.Header, r.TransferEncoding, r.Body, conn)
	s.Start = strings.TrimSpace(r.Status)
	s.Close = r.Close
	return s
}

func ourMessage(f *Fields, framing Framing, rest []byte) seen {
	s := seen{Header: http.Header{}, Whole: true}
	for i := range f.n {
		switch f.lines[i].known {
		case Host, TransferEncoding: // net/http keeps these elsewhere
		default:
			name := textproto.CanonicalMIMEHeaderKey(string(f.Name(i)))
			s.Header[name] = append(s.Header[name], string(f.Value(i)))
		}
	}
	if pragma := s.Header["Pragma"]; len(pragma) > 0 && pragma[0] == "no-cache" && s.Header["Cache-Control"] == nil {
		s.Header["Cache-Control"] = []string{"no-cache"} // net/http adds it
	}
	m := readBody(message{}, framing, rest, 1<<20)
	s.Body, s.Rest = m.Body, m.Rest
	switch framing.Kind {
	case Length:
		s.Whole = int64(len(m.Body)) == framing.Length
	case Chunked:
		s.Framing = "chunked"
		var c ChunkReader
		c.Decode(bytes.Clone(rest))
		s.Whole = c.Done()
	}
	return s
}

func theirMessage(header http.Header, coding []string, body, conn io.Reader) seen {
	delete(header, "Host")
	data, err := io.ReadAll(body)
	rest, _ := io.ReadAll(conn)
	return seen{Header: header, Framing: strings.Join(coding, ", "), Body: string(data), Whole: err == nil, Rest: string(rest)}
}
