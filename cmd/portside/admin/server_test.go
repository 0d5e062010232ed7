package admin

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
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

// BenchmarkTellOfManyServices is an event among those of as many services as are
// remembered: each backend that comes at a start is one.
func BenchmarkTellOfManyServices(b *testing.B) {
	var es Events
	names := make([]string, 3000)
	for i := range names {
		names[i] = fmt.Sprintf("s%04d", i)
	}
	for i := 0; b.Loop(); i++ {
		es.Tell(Event{Service: names[i%len(names)]})
	}
}

func TestAServiceWithMuchToTellErasesNoneOfTheOthersEvents(t *testing.T) {
	var es Events
	es.Tell(Event{Service: "quiet", Backend: "first"})
	for i := range 3 * remembered {
		es.Tell(Event{Service: "loud", Backend: strconv.Itoa(i)})
	}
	es.Tell(Event{Service: "quiet", Backend: "last"})
	past, l := es.listen()
	defer es.leave(l)
	if len(past) != remembered || past[0].Backend != "first" || past[remembered-1].Backend != "last" {
		t.Fatalf("%d events are remembered, the oldest %v and the newest %v, want %d with both of the quiet service's", len(past), past[0], past[len(past)-1], remembered)
	}
	if want := strconv.Itoa(2*remembered + 2); past[1].Backend != want {
		t.Errorf("the oldest of the loud service is %s, want %s: its own oldest go", past[1].Backend, want)
	}
	for i := range 4 * remembered { // each has one, so the oldest goes
		es.Tell(Event{Service: strconv.Itoa(i)})
	}
	if len(es.count) != remembered || len(es.past) != remembered {
		t.Errorf("%d services are counted of %d events, want %d of %d: what is forgotten is not counted", len(es.count), len(es.past), remembered, remembered)
	}
}
