package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
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
