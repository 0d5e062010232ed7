package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Where a portside is looked for, anything may listen: its answer is neither a state
// nor a sign of life, and is not to be shown as if a portside had said it.
func TestWhatIsNoPortsideIsToldAsThat(t *testing.T) {
	for name, c := range map[string]struct {
		media, body string
		code        int
	}{
		"another's text":       {"text/plain", "hello", 200},
		"another's page":       {"text/html; charset=utf-8", "<html>ok</html>", 200},
		"another's JSON":       {"application/json", `{"hello": "ok"}`, 200},
		"another's error":      {"application/json", `{"message": "hello"}`, 404},
		"another's error page": {"text/html", "<html>hello</html>", 503},
		"nothing":              {"", "", 200},
		"another sign of life": {"text/plain", "ok", 200},
	} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header()["Content-Type"] = []string{c.media}
				w.WriteHeader(c.code)
				_, _ = w.Write([]byte(c.body))
			}))
			defer srv.Close()
			address := strings.TrimPrefix(srv.URL, "http://")
			for _, line := range []string{
				"status", "status orders", "explain orders", "top", "drill", "drain orders 127.0.0.1:1", "reload", "healthcheck", "healthcheck --ready",
			} {
				code, out, complaint := says(t, append(strings.Fields(line), "--admin", address)...)
				want := "portside: what answers at " + srv.URL + " is not portside's admin API: "
				if code != 1 || out != "" || !strings.HasPrefix(complaint, want) || strings.Contains(complaint, "html>") {
					t.Errorf("%s: exit code %d, %q, %q; want 1 and %q", line, code, out, complaint, want)
				}
			}
		})
	}
}

func TestHealthcheckBelievesAPortside(t *testing.T) {
	a, _ := echo(t)
	p := runPortside(t, "", "orders="+freeAddress(t)+",endpoints="+a)
	for _, line := range []string{"healthcheck", "healthcheck --ready"} {
		if code, _, complaint := says(t, append(strings.Fields(line), "--admin", p.admin)...); code != 0 {
			t.Errorf("%s: exit code %d, %q, want 0", line, code, complaint)
		}
	}
}

// A portside that is not ready says why.
func TestHealthcheckSaysWhyAPortsideIsNotReady(t *testing.T) {
	p := runPortside(t, freeAddress(t), "orders="+freeAddress(t))
	code, _, complaint := says(t, "healthcheck", "--ready", "--admin", p.admin)
	if code != 1 || !strings.Contains(complaint, "orders") || strings.Contains(complaint, "not portside's") {
		t.Errorf("exit code %d, %q; want 1, and that orders has no list yet", code, complaint)
	}
}

func TestExplainFindsWhatHasLeftHoweverItsAddressIsWritten(t *testing.T) {
	local := freeAddress(t)
	c := newConfigured(t, "services:\n  orders: {listen: %q, endpoints: [%s]}\n", local, "h:1, DB-1:2")
	p := runPortside(t, "", "-c", c.name)
	eventually(t, "the endpoints of the file have not come", func() bool { return len(p.service("orders").Backends) == 2 })
	c.write("services:\n  orders: {listen: %q, endpoints: [%s]}\n", local, "h:1")
	if code, answer := askReload(t, p.admin); code != 200 {
		t.Fatal(code, answer)
	}
	for _, written := range []string{"DB-1:2", "db-1:2"} {
		if code, out, complaint := says(t, "explain", "orders", written, "--admin", p.admin); code != 0 || !strings.Contains(out, "  DB-1:2  ") {
			t.Errorf("explain %s: exit code %d, %q, %q; want what happened to it", written, code, out, complaint)
		}
	}
}

// Who copies an address from somewhere else than status means the same backend.
func TestVerbsFindABackendHoweverItsAddressIsWritten(t *testing.T) {
	p := runPortside(t, "", "orders="+freeAddress(t)+",endpoints=[::1]:21204+DB-1:21205+[::ffff:10.0.0.1]:21206")
	for written, listed := range map[string]string{
		"[::1]:21204": "[::1]:21204", "::1:21204": "[::1]:21204", "[0:0::1]:21204": "[::1]:21204",
		"DB-1:21205": "DB-1:21205", "db-1:21205": "DB-1:21205",
		"[::ffff:10.0.0.1]:21206": "[::ffff:10.0.0.1]:21206", "10.0.0.1:21206": "[::ffff:10.0.0.1]:21206",
	} {
		for verb, done := range map[string]string{"drain": "drained", "undrain": "back"} {
			code, out, complaint := says(t, verb, "orders", written, "--admin", p.admin)
			if want := "orders: " + listed + " is " + done + "\n"; code != 0 || out != want {
				t.Errorf("%s %s: exit code %d, %q, %q, want %q", verb, written, code, out, complaint, want)
			}
		}
		if code, out, complaint := says(t, "explain", "orders", written, "--admin", p.admin); code != 0 || strings.Count(out, " since ") != 1 || !strings.Contains(out, listed+" is ") {
			t.Errorf("explain %s: exit code %d, %q, %q", written, code, out, complaint)
		}
	}
	if code, _, complaint := says(t, "drain", "orders", "Nope:80", "--admin", p.admin); code != 1 || !strings.Contains(complaint, "service orders has no backend nope:80") {
		t.Errorf("exit code %d, %q; want that it is not there", code, complaint)
	}
}

// The environment's proxy is for the web: who asks through it hears of the proxy, and
// takes a healthy portside for dead, or the other way round.
func TestNoProxyStandsBetweenUsAndAPortside(t *testing.T) {
	var asked atomic.Int64
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		_, _ = w.Write([]byte("ok\n"))
	}))
	defer proxy.Close()
	env := []string{"HTTP_PROXY=" + proxy.URL, "http_proxy=" + proxy.URL, "NO_PROXY=", "no_proxy="}
	for _, line := range []string{"healthcheck", "explain orders"} {
		p := start(t, "portside", env, append(strings.Fields(line), "--admin", "portside.invalid:7070")...)
		if code := p.wait(10 * time.Second); code != 1 || asked.Load() > 0 {
			t.Errorf("%s of a host that does not exist: exit code %d, and the proxy was asked %d times; want 1 and never", line, code, asked.Load())
		}
	}
}

func TestAnAnswerThatBreaksOffSaysWhose(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/v1/services/orders" {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"name": "orders"}`))
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", "100")
		_, _ = w.Write([]byte("[\n"))
	}))
	defer srv.Close()
	address := strings.TrimPrefix(srv.URL, "http://")
	for _, line := range []string{"status", "top", "explain orders"} {
		code, out, complaint := says(t, append(strings.Fields(line), "--admin", address)...)
		if want := "portside: the answer of " + srv.URL + " broke off: unexpected EOF\n"; code != 1 || out != "" || complaint != want {
			t.Errorf("%s: exit code %d, %q, %q; want 1 and %q", line, code, out, complaint, want)
		}
	}
}

// When a machine is overloaded its operators ask why: explain waits as long as status.
func TestExplainBearsASlowPortside(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v1/events" {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"name": "orders"}`))
			return
		}
		time.Sleep(1500 * time.Millisecond)
		_, _ = w.Write([]byte("event: discovery\ndata: {\"service\": \"orders\", \"kind\": \"discovery\", \"to\": \"stale\"}\n\n: the past ends here\n\n"))
	}))
	defer srv.Close()
	code, out, complaint := says(t, "explain", "orders", "--admin", strings.TrimPrefix(srv.URL, "http://"))
	if code != 0 || !strings.Contains(out, "stale") {
		t.Errorf("exit code %d, %q, %q; want 0 and what happened", code, out, complaint)
	}
}

// fullDisk takes nothing.
type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

// Whoever keeps what they are told in a file hears that it is not there.
func TestWhatCannotBeWrittenIsAFailure(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		body := `{"name": "orders"}`
		switch r.URL.Path {
		case "/api/v1/services":
			body = "[" + body + "]"
		case "/api/v1/registrations":
			body = "[]"
		case "/api/v1/events":
			body = ": the past ends here\n\n"
		}
		_, _ = w.Write([]byte(body))
	}))
	defer srv.Close()
	for _, line := range []string{"status", "status orders", "explain orders", "drill", "top"} {
		var complaint bytes.Buffer
		args := append(strings.Fields(line), "--admin", strings.TrimPrefix(srv.URL, "http://"))
		code := run(t.Context(), args, stdio{in: strings.NewReader(""), out: fullDisk{}, err: &complaint})
		if want := "portside: no space left on device\n"; code != 1 || complaint.String() != want {
			t.Errorf("%s: exit code %d, %q; want 1 and %q", line, code, complaint.String(), want)
		}
	}
}
