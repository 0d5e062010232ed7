package admin

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"portside/pool"
)

// A verb about what is not there says of which service and address, and what is
// the matter with them.
func TestVerbSaysWhatIsNotThere(t *testing.T) {
	missing := func(string, string) error { return pool.ErrNotFound }
	srv := httptest.NewServer(handler(View{
		Services: func() []Service {
			return []Service{{Name: "a/b", Backends: []Backend{{Address: "10.0.0.1:80", State: pool.Ejected}}}}
		},
		Drain: missing, Undrain: missing, Forget: missing, Metrics: http.NotFoundHandler(),
	}, t.Context().Done()))
	defer srv.Close()
	for path, want := range map[string]string{
		"a/b/backends/10.0.0.1:80/forget":        "10.0.0.1:80 of service a/b is not a suspect: it is ejected",
		"a/b/backends/10.0.0.2:80/forget":        "service a/b has no backend 10.0.0.2:80",
		"a/b/backends/10.0.0.2:80/drain":         "service a/b has no backend 10.0.0.2:80",
		"a/b/backends/[fe80::2%25eth0]:80/drain": "service a/b has no backend [fe80::2%eth0]:80",
		"c/backends/10.0.0.1:80/undrain":         "no service is named c, so it has no backend 10.0.0.1:80",
	} {
		resp, err := http.Post(srv.URL+"/api/v1/services/"+path, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		code := http.StatusNotFound
		if strings.Contains(want, "is not a suspect") {
			code = http.StatusConflict
		}
		if resp.StatusCode != code || !strings.Contains(string(body), want) {
			t.Errorf("%s: %s, %s; want %d and %q", path, resp.Status, body, code, want)
		}
	}
}

// What is there under another method says which.
func TestAnotherMethodIsNotMissing(t *testing.T) {
	srv := httptest.NewServer(handler(View{
		Services: func() []Service { return []Service{{Name: "a/b"}} },
		Metrics:  http.NotFoundHandler(),
		Drain:    func(string, string) error { return nil },
	}, t.Context().Done()))
	defer srv.Close()
	for _, c := range []struct{ method, path, allowed string }{
		{"GET", "services/a/b/backends/10.0.0.1:80/drain", "POST"},
		{"POST", "services/a/b", "GET, HEAD"},
		{"POST", "services", "GET, HEAD"},
		{"PUT", "services", "GET, HEAD"},
		{"DELETE", "services/a/b", "GET, HEAD"},
		{"PUT", "services/a/b/backends/10.0.0.1:80/drain", "POST"},
		{"GET", "reload", "POST"},
	} {
		req, _ := http.NewRequestWithContext(t.Context(), c.method, srv.URL+"/api/v1/"+c.path, nil)
		resp, err := http.DefaultTransport.RoundTrip(req) // a redirect is no refusal
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusMethodNotAllowed || resp.Header.Get("Allow") != c.allowed {
			t.Errorf("%s %s: %s, Allow %q; want 405 and %q", c.method, c.path, resp.Status, resp.Header.Get("Allow"), c.allowed)
		}
	}
}

// Who asks by HEAD whether there are events uses the connection again.
func TestEventsByHeadEnd(t *testing.T) {
	srv := httptest.NewServer(handler(View{Events: &Events{}, Metrics: http.NotFoundHandler()}, t.Context().Done()))
	defer srv.Close()
	client := http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{MaxConnsPerHost: 1}}
	defer client.CloseIdleConnections()
	resp, err := client.Head(srv.URL + "/api/v1/events")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if got := resp.Header.Get("Content-Type"); resp.StatusCode != 200 || got != "text/event-stream" {
		t.Errorf("HEAD is answered with %s, %q; want what GET is", resp.Status, got)
	}
	resp, err = client.Get(srv.URL + "/healthz")
	if err != nil {
		t.Fatalf("the next request on the connection: %v; want an answer", err)
	}
	_ = resp.Body.Close()
}
