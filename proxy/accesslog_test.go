package proxy

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"portside/pool"
)

// Whatever a client sends, a line is one line, to whoever reads or shows it, and JSON
// that says what was sent.
func TestAccessLogLinesAreAlwaysWhole(t *testing.T) {
	parts := strings.Split("\" \\ / u { } \n \r \x00 \x1b[31m \x7f \u0085 \u009b \u2028 \u202e \U0001F600 \U000E0001 \xff", " ")
	random := func() []byte {
		var b []byte
		for range rand.IntN(20) {
			if rand.IntN(2) == 0 {
				b = append(b, byte(rand.IntN(256)))
				continue
			}
			b = append(b, parts[rand.IntN(len(parts))]...)
		}
		return b
	}
	common := regexp.MustCompile(`^10\.0\.0\.1 - - \[[^]"]+\] "(-|([^"\\]|\\["\\]|\\u[0-9a-f]{4})+ HTTP/1\.0)" 200 -\n$`)
	for range 20_000 {
		e := line{client: []byte("10.0.0.1"), method: random(), path: random(), host: random(), backend: string(random()), status: 200, began: time.Now(), took: time.Millisecond}
		var into logged
		text := e.appendJSON(nil)
		if err := json.Unmarshal(text, &into); err != nil || !isOneLine(text) {
			t.Fatalf("%q is not one line of JSON: %v", text, err)
		}
		for got, sent := range map[string][]byte{into.Method: e.method, into.Host: e.host, into.Path: e.path, into.Backend: []byte(e.backend)} {
			if want := string([]rune(string(sent))); got != want {
				t.Fatalf("%q says %q, want %q", text, got, want)
			}
		}
		if text = e.appendCommon(nil); !isOneLine(text) || !common.Match(text) {
			t.Fatalf("%q is not one line of the common format", text)
		}
	}
}

// isOneLine reports whether text is a line of printable ASCII: there is nothing in it
// that a terminal would take for an order, or a reader for another line.
func isOneLine(text []byte) bool {
	end := len(text) - 1
	return text[end] == '\n' && !bytes.ContainsFunc(text[:end], func(r rune) bool { return r < ' ' || r > '~' })
}

type logged struct {
	Method, Host, Path, Backend string
	Error                       string
	Status, Attempts            int
	Duration                    float64 `json:"duration_ms"`
}

func TestAccessLogHasALineForEachRequest(t *testing.T) {
	silent := startBackend(t, func(c *net.TCPConn) { _, _ = io.Copy(io.Discard, c) })
	good := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/500":
			w.WriteHeader(500)
		case "/cut":
			w.Header().Set("Content-Length", "9")
			_, _ = io.WriteString(w, "cut")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
	})
	unreachable := refusing(t)
	for name, c := range map[string]struct {
		address, request string
		want             logged
	}{
		"served":            {good, "GET /a?b=\" HTTP/1.1\r\nHost: h\r\n\r\n", logged{Method: "GET", Host: "h", Path: "/a?b=\"", Backend: good, Status: 200, Attempts: 1}},
		"failed":            {good, "PUT /500 HTTP/1.1\r\nHost: h\r\n\r\n", logged{Method: "PUT", Host: "h", Path: "/500", Backend: good, Status: 500, Attempts: 1}},
		"refused":           {good, "GET / HTTP/1.1\r\nHost: h\r\nHost: i\r\n\r\n", logged{Status: 400, Error: "bad_request"}},
		"refused by a body": {good, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", logged{Method: "POST", Host: "h", Path: "/", Status: 400, Error: "bad_request"}},
		"refused by a later part of a body": {
			silent.address, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n\x00zz\r\n",
			logged{Method: "POST", Host: "h", Path: "/", Backend: silent.address, Status: 400, Attempts: 1, Error: "bad_request"},
		},
		"unreachable":        {unreachable, "GET /u HTTP/1.1\r\nHost: h\r\n\r\n", logged{Method: "GET", Host: "h", Path: "/u", Backend: unreachable, Status: 502, Attempts: 1, Error: "connect_failed"}},
		"broken later":       {good, "GET /cut HTTP/1.1\r\nHost: h\r\n\r\n", logged{Method: "GET", Host: "h", Path: "/cut", Backend: good, Status: 200, Attempts: 1, Error: "reset"}},
		"left by its client": {silent.address, "GET /left HTTP/1.1\r\nHost: h\r\n\r\n\x00", logged{Method: "GET", Host: "h", Path: "/left", Backend: silent.address, Status: 499, Attempts: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // each waits for the log to be written
			var lines safeBuffer
			s := startHTTP(t, pool.Config{}, Config{HTTP: HTTPConfig{AccessLog: &AccessLog{Out: &lines}}}, c.address)
			conn := s.raw(t)
			// What the exchange held before must not show.
			_, _ = io.WriteString(conn, "HEAD /before HTTP/1.1\r\nHost: before\r\n\r\n")
			if c.address == good {
				if _, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: "HEAD"}); err != nil {
					t.Fatal(err)
				}
			} else {
				_ = conn.Close()
				conn = s.raw(t)
			}
			before, after, _ := strings.Cut(c.request, "\x00")
			_, _ = io.WriteString(conn, before)
			time.Sleep(20 * time.Millisecond)
			_, _ = io.WriteString(conn, after)
			if name == "left by its client" {
				_ = conn.Close()
			} else if _, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			eventually(t, "no line", func() bool { return strings.Count(lines.String(), "\n") >= 2 })
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("the line came after %s", took)
			}
			text := strings.Split(strings.TrimSpace(lines.String()), "\n")
			last := text[1]
			if strings.Contains(last, "/before") {
				last = text[0]
			}
			var got logged
			if err := json.Unmarshal([]byte(last), &got); err != nil || len(text) != 2 {
				t.Fatalf("%v in %q", err, text)
			}
			if got.Duration < 0 || got.Duration > 5000 {
				t.Errorf("a duration of %v ms", got.Duration)
			}
			if got.Duration = 0; got != c.want {
				t.Errorf("logged %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestAccessLogCommonSampleAndErrorsOnly(t *testing.T) {
	address := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/bad" {
			w.WriteHeader(503)
		}
	})
	serve := func(log *AccessLog, paths ...string) string {
		var lines safeBuffer
		log.Out = &lines
		s := startHTTP(t, pool.Config{}, Config{HTTP: HTTPConfig{AccessLog: log}}, address)
		c := newClient(t)
		for _, p := range paths {
			if _, _, err := fetch(c, s.url+p); err != nil {
				t.Fatal(err)
			}
		}
		s.stop()
		return lines.String()
	}
	form := regexp.MustCompile(`^127\.0\.0\.1 - - \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "GET /a%22b HTTP/1\.1" 200 -\n$`)
	if got := serve(&AccessLog{Common: true}, "/a%22b"); !form.MatchString(got) {
		t.Errorf("%q is not the common format", got)
	}
	if got := serve(&AccessLog{ErrorsOnly: true}, "/", "/bad", "/"); strings.Count(got, "\n") != 1 || !strings.Contains(got, "/bad") {
		t.Errorf("%q, want the error alone", got)
	}
	many := make([]string, 400)
	if n := strings.Count(serve(&AccessLog{Sample: 0.25}, many...), "\n"); n < 50 || n > 150 {
		t.Errorf("%d lines of 400 requests with a sample of a quarter", n)
	}
}

func TestReconfigureKeepsLinesOfTheFormerLog(t *testing.T) {
	var lines safeBuffer
	s := startHTTP(t, pool.Config{}, Config{HTTP: HTTPConfig{AccessLog: &AccessLog{Out: &lines}}}, serveHTTP(t, func(http.ResponseWriter, *http.Request) {}))
	if _, _, err := fetch(newClient(t), s.url); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the request does not end", func() bool { return s.Duration().Count == 1 })
	time.Sleep(5 * time.Millisecond)
	s.Reconfigure(Config{})
	if n := strings.Count(lines.String(), "\n"); n != 1 {
		t.Fatalf("%d lines, want what was logged before the change", n)
	}
}

func TestAccessLogLineAllocatesNothing(t *testing.T) {
	l := &AccessLog{Out: discard{}}
	e := line{client: []byte("127.0.0.1"), method: []byte("GET"), path: []byte("/caf\xc3\xa9\xff"), host: []byte("h"), backend: "10.0.0.1:80", status: 200, began: time.Now()}
	for _, common := range []bool{false, true} {
		l.Common = common
		for range 1000 {
			l.add(&e)
		}
		if n := testing.AllocsPerRun(1000, func() { l.add(&e) }); n != 0 {
			t.Errorf("%v allocations a line (common %v), want none", n, common)
		}
	}
}

// A backend hangs, and its clients lose their patience: where nothing else is to be seen,
// the counts have to say that there are requests, each once, as the access log does.
func TestRequestsWhoseClientLeavesAreCounted(t *testing.T) {
	handler := func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hangs" {
			<-r.Context().Done()
		}
	}
	for name, on := range map[string]struct {
		address string
		client  *http.Client
	}{"HTTP/1.1": {serveHTTP(t, handler), newClient(t)}, "h2c": {serveH2C(t, handler), newH2CClient(t)}} {
		var lines safeBuffer
		c, s := on.client, startHTTP(t, pool.Config{}, Config{HTTP: HTTPConfig{AccessLog: &AccessLog{Out: &lines}}}, on.address)
		for range 3 {
			if status, _, err := fetch(c, s.url); status != 200 || err != nil {
				t.Fatal(status, err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			req, _ := http.NewRequestWithContext(ctx, "GET", s.url+"/hangs", nil)
			if resp, err := c.Do(req); err == nil {
				t.Fatal(resp.Status)
			}
			cancel()
		}
		c.CloseIdleConnections()
		s.stop()
		if left, served := s.Stats().Answered()["4xx"], s.Classes()[on.address]["2xx"]; left != 3 || served != 3 {
			t.Errorf("%s: %d requests counted as left and %d as served, want 3 of each", name, left, served)
		}
		if n := strings.Count(lines.String(), `"status":499`); n != 3 {
			t.Errorf("%s: %d lines for the 3 requests that were left:\n%s", name, n, lines.String())
		}
	}
}
