package http1

import (
	"strings"
	"testing"
	"time"
)

func parseResponse(t *testing.T, raw string, method Method) *Response {
	t.Helper()
	var r Response
	if n, err := r.Parse([]byte(raw), method, Limits{}); err != nil || n != len(raw) {
		t.Fatalf("Parse(%q) = %d, %v; want the whole of it", raw, n, err)
	}
	return &r
}

func TestResponseSaysHowItEnds(t *testing.T) {
	length := func(n int64) Framing { return Framing{Length, n} }
	for _, tc := range []struct {
		name, raw string
		method    Method
		want      Framing
		declared  int64
		keepAlive bool
	}{
		{"a length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", GET, length(5), -1, true},
		{"a length and close", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n", GET, length(5), -1, false},
		{"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", GET, Framing{Kind: Chunked}, -1, true},
		{"neither", "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n", GET, Framing{Kind: UntilClose}, -1, false},
		{"1.0 and neither", "HTTP/1.0 200 OK\r\n\r\n", GET, Framing{Kind: UntilClose}, -1, false},
		{"1.0 with a length", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", GET, length(5), -1, false},
		{"1.0 with a length and keep-alive", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: Keep-Alive\r\n\r\n", GET, length(5), -1, true},
		{"to HEAD with a length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", HEAD, Framing{}, 5, true},
		{"to HEAD with chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", HEAD, Framing{}, -1, true},
		{"to HEAD with neither", "HTTP/1.1 200 OK\r\n\r\n", HEAD, Framing{}, -1, true},
		{"304 with a length", "HTTP/1.1 304 x\r\nContent-Length: 5\r\n\r\n", GET, Framing{}, 5, true},
		{"204", "HTTP/1.1 204 x\r\n\r\n", GET, Framing{}, -1, true},
		{"204 with a length of zero", "HTTP/1.1 204 x\r\nContent-Length: 0\r\n\r\n", GET, Framing{}, -1, true},
		{"204 with a length", "HTTP/1.1 204 x\r\nContent-Length: 5\r\n\r\n", GET, Framing{}, -1, false},
		{"204 with chunked", "HTTP/1.1 204 x\r\nTransfer-Encoding: chunked\r\n\r\n", GET, Framing{}, -1, false},
		{"205 like any other", "HTTP/1.1 205 x\r\nContent-Length: 0\r\n\r\n", GET, length(0), -1, true},
		{"100", "HTTP/1.1 100 x\r\n\r\n", POST, Framing{}, -1, true},
		{"101", "HTTP/1.1 101 x\r\n\r\n", GET, Framing{}, -1, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := parseResponse(t, tc.raw, tc.method)
			if r.Framing != tc.want || r.Declared != tc.declared || r.KeepAlive != tc.keepAlive {
				t.Errorf("got %s %d, declared %d, keep-alive %v; want %s %d, %d, %v (RFC 9112 6.3, 9.3)",
					r.Kind, r.Length, r.Declared, r.KeepAlive, tc.want.Kind, tc.want.Length, tc.declared, tc.keepAlive)
			}
		})
	}
}

func TestOnlyInterimResponsesAreFollowedByAnother(t *testing.T) {
	for status, want := range map[string]bool{"100": true, "103": true, "101": false, "200": false, "204": false, "599": false} {
		if got := parseResponse(t, "HTTP/1.1 "+status+" x\r\n\r\n", GET).Interim(); got != want {
			t.Errorf("%s: interim %v, want %v: behind a 101 there is no HTTP", status, got, want)
		}
	}
}

func TestKeepAliveSaysHowLong(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"timeout=5":                    5 * time.Second,
		"timeout=5, max=100":           5 * time.Second,
		"max=100, Timeout=15":          15 * time.Second,
		"timeout=0":                    0,
		"timeout=-1":                   0,
		"timeout=":                     0,
		"timeout":                      0,
		"xtimeout=5":                   0,
		"timeout=9223372036854775807":  24 * time.Hour,
		"timeout=99999999999999999999": 0,
		"timeout=5.5":                  0,
		"":                             0,
	} {
		if got := parseResponse(t, "HTTP/1.1 204 x\r\nKeep-Alive: "+value+"\r\n\r\n", GET).Idle; got != want {
			t.Errorf("Keep-Alive: %s: got %v, want %v", value, got, want)
		}
	}
}

func TestResponseOffersItsUpgrade(t *testing.T) {
	r := parseResponse(t, "HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: WebSocket\r\n\r\n", GET)
	if !Is(r.Upgrade, "websocket") {
		t.Errorf("got %q, want WebSocket, in any case", r.Upgrade)
	}
	if r := parseResponse(t, "HTTP/1.1 426 x\r\nContent-Length: 0\r\nUpgrade: TLS/1.3\r\n\r\n", GET); r.Upgrade != nil {
		t.Errorf("got %q, want nil: Connection does not name it", r.Upgrade)
	}
}

func TestTheCallerMayReframeAResponse(t *testing.T) {
	r := parseResponse(t, "HTTP/1.1 200 OK\r\nX: y\r\n\r\n", GET)
	r.Framing = Framing{Kind: Chunked}
	want := "HTTP/1.1 200 OK\r\nX: y\r\nTransfer-Encoding: chunked\r\n"
	if got := r.AppendHead(nil); string(got) != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAResponseHeadHasItsLimit(t *testing.T) {
	head := "HTTP/1.1 204 x\r\nX: yz\r\n\r\n"
	for limit, want := range map[int]error{len(head): nil, len(head) - 1: errHeadLong} {
		for _, step := range []int{1 << 20, 1, 5} {
			var r Response
			if _, err := drip([]byte(head), step, func(b []byte) (int, error) { return r.Parse(b, GET, Limits{Head: limit}) }); err != want {
				t.Errorf("%d bytes, limit %d, in pieces of %d: got %v, want %v", len(head), limit, step, err, want)
			}
		}
	}
}

func TestAResponseMayHaveMoreFieldsThanARequest(t *testing.T) {
	for fields, want := range map[int]error{MaxFields + 1: nil, MaxAnswerFields: nil, MaxAnswerFields + 1: errFields} {
		var r Response
		raw := "HTTP/1.1 204 x\r\n" + strings.Repeat("X: y\r\n", fields) + "\r\n"
		if _, err := r.Parse([]byte(raw), GET, Limits{Fields: 1}); err != want {
			t.Errorf("%d fields: got %v, want %v", fields, err, want)
		}
	}
}

func TestARefusedStatusLineSaysWhy(t *testing.T) {
	for raw, want := range map[string]*SyntaxError{
		"HTTP/1.1 20 OK\r\n":     errStatusLine,
		"HTTP/1.1  200 OK\r\n":   errStatusLine,
		"HTTP/1.1\t200 OK\r\n":   errStatusLine,
		"HTTP/1.1 200OK\r\n":     errStatusLine,
		"HTTP/1.1 200 \x00\r\n":  errStatusLine,
		"HTTP/1.1 600 OK\r\n":    errStatus,
		"HTTP/1.1 0":             errStatus,
		"HTTP/1.1 200 OK\n":      errBareLF,
		"HTTP/1.1 200\n":         errBareLF,
		"HTTP/1.1 200 OK\rX\r\n": errBareCR,
		"HTTP/2 200\r\n":         errVersion,
		"HTTP/2.0 200\r\n":       errUnsupported,
	} {
		var r Response
		if _, err := r.Parse([]byte(raw), GET, Limits{}); err != error(want) {
			t.Errorf("%q is refused with %v, want %v", raw, err, want)
		}
	}
}
