package http1

import (
	"bytes"
	"strings"
	"testing"

	"portside/proxy/http1/http1test"
)

func parseRequest(t *testing.T, raw string) *Request {
	t.Helper()
	var r Request
	if n, err := r.Parse([]byte(raw), Limits{}); err != nil || n != len(raw) {
		t.Fatalf("Parse(%q) = %d, %v; want the whole of it", raw, n, err)
	}
	return &r
}

func TestOtherProtocolsAreToldApart(t *testing.T) {
	for _, tc := range []struct {
		name, raw string
		want      error
	}{
		{"HTTP/2 with prior knowledge", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x12\x04", ErrHTTP2Preface},
		{"a part of the preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n", ErrIncomplete},
		{"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc", ErrTLS},
		{"nothing yet", "", ErrIncomplete},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for end := range len(tc.raw) + 1 {
				var r Request
				r.Parse([]byte(tc.raw[:end]), Limits{})
				if _, err := r.Parse([]byte(tc.raw), Limits{}); err != tc.want {
					t.Fatalf("cut at %d: got %v, want %v", end, err, tc.want)
				}
			}
		})
	}
}

// Where the bytes are cut, and that they move, makes no difference.
func TestRequestMayBeCutAnywhere(t *testing.T) {
	for _, c := range http1test.Requests() {
		if len(c.Raw) > 1<<10 {
			continue
		}
		want := readRequest([]byte(c.Raw), 1<<20)
		for cut := range len(c.Raw) {
			var r Request
			n, err := r.Parse([]byte(c.Raw[:cut]), Limits{})
			if err == ErrIncomplete {
				n, err = r.Parse([]byte(c.Raw), Limits{})
			}
			if status := max(0, statusOf(err)); err != nil && (want.InBody || status != want.Status) {
				t.Fatalf("%s, cut at %d: got %v, want status %d", c.Name, cut, err, want.Status)
			}
			if err == nil && string(AppendEnd(r.AppendHead(nil))) != want.Head {
				t.Fatalf("%s, cut at %d: another head of %d bytes", c.Name, cut, n)
			}
		}
	}
}

// Else a head that comes byte by byte costs its length squared.
func TestLinesUnderstoodAreNotReadAgain(t *testing.T) {
	read := "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n"
	var r Request
	if _, err := r.Parse([]byte(read+"Z"), Limits{}); err != ErrIncomplete {
		t.Fatalf("got %v, want ErrIncomplete", err)
	}
	spoilt := strings.Repeat("\x00", len(read)) + "Z: z\r\n\r\n"
	if _, err := r.Parse([]byte(spoilt), Limits{}); err != nil || r.n != 3 {
		t.Errorf("got %v with %d fields, want the three: lines are read again", err, r.n)
	}
	var resp Response
	read = "HTTP/1.1 204 x\r\nX: y\r\n"
	if _, err := resp.Parse([]byte(read), GET, Limits{}); err != ErrIncomplete {
		t.Fatalf("got %v, want ErrIncomplete", err)
	}
	spoilt = strings.Repeat("\x00", len(read)) + "\r\n"
	if _, err := resp.Parse([]byte(spoilt), GET, Limits{}); err != nil || resp.n != 1 {
		t.Errorf("response: got %v with %d fields, want the one: lines are read again", err, resp.n)
	}
}

func TestResetForgetsAnIncompleteHead(t *testing.T) {
	var r Request
	if _, err := r.Parse([]byte("POST /a HTTP/1.1\r\nHost: b\r\nX: "), Limits{}); err != ErrIncomplete {
		t.Fatalf("got %v, want ErrIncomplete", err)
	}
	r.Reset()
	if _, err := r.Parse([]byte(minimal), Limits{}); err != nil || string(r.Method) != "GET" || r.n != 1 {
		t.Fatalf("after Reset: %v, %s with %d fields; want GET with Host alone", err, r.Method, r.n)
	}
}

func TestARequestIsReusable(t *testing.T) {
	var r Request
	for _, raw := range []string{browser, minimal, "GET / HTTP/9.9\r\n", minimal, curl} {
		_, err := r.Parse([]byte(raw), Limits{})
		if err != nil {
			continue // the next one begins anew
		}
		if fresh := parseRequest(t, raw); string(fresh.AppendHead(nil)) != string(r.AppendHead(nil)) {
			t.Errorf("%q is read otherwise by a Request used before", raw)
		}
	}
	if string(r.Path) != "/orders/42" {
		t.Errorf("the last request is %s, want /orders/42", r.Path)
	}
}

func TestLimitsAreExact(t *testing.T) {
	head := func(pad int) string { return get("X: " + strings.Repeat("x", pad)) }
	fixed := len(head(0))
	for _, tc := range []struct {
		name, raw string
		lim       Limits
		want      int
	}{
		{"the largest head", head(64<<10 - fixed), Limits{}, 0},
		{"a byte more", head(64<<10 - fixed + 1), Limits{}, 431},
		{"the largest head by option", head(100 - fixed), Limits{Head: 100}, 0},
		{"a byte more by option", head(101 - fixed), Limits{Head: 100}, 431},
		{"the longest target", get()[:4] + "/" + strings.Repeat("a", 16<<10-1) + get()[5:], Limits{}, 0},
		{"a byte more of target", get()[:4] + "/" + strings.Repeat("a", 16<<10) + get()[5:], Limits{}, 414},
		{"the longest target by option", "GET /aaa HTTP/1.1\r\nHost: a\r\n\r\n", Limits{Target: 4}, 0},
		{"a byte more of target by option", "GET /aaaa HTTP/1.1\r\nHost: a\r\n\r\n", Limits{Target: 4}, 414},
		{"a target longer than a head may be", "GET /" + strings.Repeat("a", 200) + " HTTP/1.1\r\nHost: a\r\n\r\n", Limits{Head: 100}, 414},
		{"the most fields", get(strings.Repeat("X: y\r\n", MaxFields-2) + "Y: z"), Limits{}, 0},
		{"a field more", get(strings.Repeat("X: y\r\n", MaxFields-1) + "Y: z"), Limits{}, 431},
		{"the most fields by option", get("X: y"), Limits{Fields: 2}, 0},
		{"a field more by option", get("X: y", "Y: z"), Limits{Fields: 2}, 431},
		{"more fields than there is room for", get(strings.Repeat("X: y\r\n", MaxFields-1) + "Y: z"), Limits{Fields: 1000}, 431},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, step := range steps(tc.raw) {
				var r Request
				_, err := drip([]byte(tc.raw), step, func(b []byte) (int, error) { return r.Parse(b, tc.lim) })
				if got := max(0, statusOf(err)); err != nil && got != tc.want || err == nil && tc.want != 0 {
					t.Fatalf("in pieces of %d: got %v, want status %d", step, err, tc.want)
				}
			}
		})
	}
}

func get(fields ...string) string {
	return strings.Join(append([]string{"GET / HTTP/1.1", "Host: a"}, fields...), "\r\n") + "\r\n\r\n"
}

func TestRequestSaysHowTheConnectionGoesOn(t *testing.T) {
	type said struct {
		keepAlive, expect, trailers bool
		upgrade                     string
	}
	post := func(version string, fields ...string) string {
		return strings.Join(append([]string{"POST / " + version, "Host: a"}, fields...), "\r\n") + "\r\n\r\n"
	}
	const v0, v1 = "HTTP/1.0", "HTTP/1.1"
	for _, tc := range []struct {
		name, raw string
		want      said
	}{
		{"1.1 persists", post(v1), said{keepAlive: true}},
		{"1.1 with close does not", post(v1, "Connection: close"), said{}},
		{"close in capitals", post(v1, "CONNECTION: CLOSE"), said{}},
		{"close in a list", post(v1, "Connection: x, close"), said{}},
		{"close in a second line", post(v1, "Connection: x", "Connection: close"), said{}},
		{"close wins over keep-alive", post(v1, "Connection: close, keep-alive"), said{}},
		{"Proxy-Connection says nothing", post(v1, "Proxy-Connection: close"), said{keepAlive: true}},
		{"1.0 does not persist", post(v0), said{}},
		{"1.0 with keep-alive does", post(v0, "Connection: Keep-Alive"), said{keepAlive: true}},
		{"1.0 with both does not", post(v0, "Connection: Keep-Alive, close"), said{}},
		{"an upgrade", post(v1, "Connection: keep-alive, Upgrade", "Upgrade: websocket"), said{keepAlive: true, upgrade: "websocket"}},
		{"an upgrade that Connection does not name", post(v1, "Upgrade: websocket"), said{keepAlive: true}},
		{"an upgrade in 1.0", post(v0, "Connection: Upgrade", "Upgrade: websocket"), said{}},
		{"two upgrades", post(v1, "Connection: Upgrade", "Upgrade: websocket", "Upgrade: h2c"), said{keepAlive: true}},
		{"an upgrade to h2c", post(v1, "Connection: Upgrade", "Upgrade: h2c"), said{keepAlive: true}},
		{"an upgrade to h2c among others", post(v1, "Connection: Upgrade", "Upgrade: websocket, H2C"), said{keepAlive: true}},
		{"an upgrade to one of several", post(v1, "Connection: Upgrade", "Upgrade: a/1, b"), said{keepAlive: true, upgrade: "a/1, b"}},
		{"Connection names an upgrade that is not there", post(v1, "Connection: Upgrade"), said{keepAlive: true}},
		{"an expectation", post(v1, "Expect: 100-continue", "Content-Length: 1"), said{keepAlive: true, expect: true}},
		{"an expectation of chunks", post(v1, "Expect: 100-continue", "Transfer-Encoding: chunked"), said{keepAlive: true, expect: true}},
		{"an expectation without content", post(v1, "Expect: 100-continue", "Content-Length: 0"), said{keepAlive: true}},
		{"an expectation in 1.0", post(v0, "Expect: 100-continue", "Content-Length: 1"), said{}},
		{"trailers are welcome", post(v1, "TE: deflate, trailers"), said{keepAlive: true, trailers: true}},
		{"trailers refused are not told", post(v1, "TE: trailersx"), said{keepAlive: true}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := parseRequest(t, tc.raw)
			if got := (said{r.KeepAlive, r.Expect100, r.Trailers, string(r.Upgrade)}); got != tc.want {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
		})
	}
}

func TestMethodsAreKnownByWhatMayBeTriedAgain(t *testing.T) {
	for _, tc := range []struct {
		name             string
		want             Method
		safe, idempotent bool
	}{
		{"GET", GET, true, true},
		{"HEAD", HEAD, true, true},
		{"OPTIONS", OPTIONS, true, true},
		{"TRACE", TRACE, true, true},
		{"PUT", PUT, false, true},
		{"DELETE", DELETE, false, true},
		{"POST", POST, false, false},
		{"PATCH", PATCH, false, false},
		{"get", OtherMethod, false, false},
	} {
		r := parseRequest(t, tc.name+" / HTTP/1.1\r\nHost: a\r\n\r\n")
		if m := r.MethodID; m != tc.want || m.Safe() != tc.safe || m.Idempotent() != tc.idempotent {
			t.Errorf("%s: id %d, safe %v, idempotent %v; want %d, %v, %v (RFC 9110 9.2)",
				tc.name, m, m.Safe(), m.Idempotent(), tc.want, tc.safe, tc.idempotent)
		}
	}
}

func TestTheCallerMayNameTheHostAndPath(t *testing.T) {
	r := parseRequest(t, "GET / HTTP/1.0\r\n\r\n")
	r.Host, r.Path = []byte("10.0.0.5:80"), []byte("/other")
	want := "GET /other HTTP/1.1\r\nHost: 10.0.0.5:80\r\n"
	if got := r.AppendHead(nil); string(got) != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestParseDoesNotChangeTheBuffer(t *testing.T) {
	for _, c := range http1test.Requests() {
		raw := []byte(c.Raw)
		new(Request).Parse(raw, Limits{})
		if !bytes.Equal(raw, []byte(c.Raw)) {
			t.Errorf("%s: the buffer was changed; it must stay as it came, to be read again", c.Name)
		}
	}
}

// The status alone would not tell whether the fault named is the one there is.
func TestARefusalSaysWhy(t *testing.T) {
	for raw, want := range map[string]*SyntaxError{
		"GET /\n HTTP/1.1\r\n":          errBareLF,
		"GET / HTTP/1.1\n":              errBareLF,
		"GET\n":                         errBareLF,
		"\r\n\n":                        errBareLF,
		"GET / HTTP/1.1\rX":             errBareCR,
		"\rX":                           errBareCR,
		"GET /\r\n":                     errNoVersion,
		"GET / FTP/1.1\r\n":             errVersion,
		"GET / HTTP/1.1 \r\n":           errVersion,
		"G\x00T / HTTP/1.1\r\n":         errMethod,
		"GET\r\n":                       errTargetForm,
		"GET /\x00 HTTP/1.1\r\n":        errTarget,
		"PRI / HTTP/1.1\r\n":            errPRI,
		"GET http://u@b/ HTTP/1.1\r\n":  errUserinfo,
		"GET http:///b HTTP/1.1\r\n":    errEmptyHost,
		get("X : y"):                    errSpaceColon,
		get(" X: y"):                    errFold,
		get(": y"):                      errEmptyName,
		get("X"):                        errNoColon,
		get("X@: y"):                    errName,
		get("@X: y"):                    errName,
		get("X: \x00"):                  errControl,
		get("X: y\rz"):                  errBareCR,
		get("X: y\nZ: a"):               errBareLF,
		get("X: y\r\n\n"):               errBareLF,
		get("X: y\r\n\rZ"):              errBareCR,
		get("Host: b"):                  errHosts,
		get("Content-Length: x"):        errLength,
		get("Transfer-Encoding: \"x\""): errCodings,
		get("Transfer-Encoding: x,"):    errCodings,
	} {
		var r Request
		if _, err := r.Parse([]byte(raw), Limits{}); err != error(want) {
			t.Errorf("%q is refused with %v, want %v", raw, err, want)
		}
	}
}
