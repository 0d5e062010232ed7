package proxy

import (
	"context"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"

	"portside/pool"
)

// request is what is sent to b: the client's, with what belongs to its connection
// alone left out and what a gateway has to say put in.
// Sent is true as soon as anything of it may be out; hints pass on what comes before
// its response.
func (s *stream) request(ctx context.Context, b *pool.Backend, sent *atomic.Bool, hints *interim) *http.Request {
	u := *s.r.URL
	u.Scheme, u.Host, u.User = "http", b.Address(), nil
	if path, _, _ := strings.Cut(s.r.RequestURI, "?"); !strings.HasPrefix(path, "//") {
		u.Opaque = path // as it came: no intermediary rewrites it (RFC 9110 7.7)
	}
	out := (&http.Request{
		Method: s.r.Method, URL: &u, Host: s.r.Host, Header: s.head(),
		ContentLength: s.r.ContentLength,
	}).WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteHeaders:   func() { sent.Store(true) },
		Got1xxResponse: hints.pass,
	}))
	if s.body != nil {
		out.Body, out.Trailer = s.body.Open()
	}
	return out
}

// head is the request's fields. Their values are shared: none may be changed.
func (s *stream) head() http.Header {
	h := make(http.Header, len(s.r.Header)+4)
	for name, values := range s.r.Header {
		h[name] = values
	}
	for _, name := range hopByHop {
		delete(h, name)
	}
	if te := s.r.Header.Get("Te"); strings.EqualFold(te, "trailers") {
		h["Te"] = []string{"trailers"} // gRPC's servers insist on it
	}
	delete(h, "Expect") // net/http says 100 when the body is asked for
	if _, ok := h["User-Agent"]; !ok {
		h["User-Agent"] = []string{""} // none, instead of net/http's
	}
	s.forward(h)
	return h
}

// hopByHop are fields about a connection (RFC 9110 7.6.1), for which HTTP/2 has no
// use (RFC 9113 8.2.2), and the credentials between a client and its first proxy
// (RFC 9110 11.7).
var hopByHop = [...]string{
	"Connection", "Proxy-Connection", "Keep-Alive", "Transfer-Encoding", "Upgrade", "Te", "Http2-Settings",
	"Proxy-Authenticate", "Proxy-Authorization", "Proxy-Authentication-Info",
}

// forward says who the client is and what it asked for, as appendForwarded does.
func (s *stream) forward(h http.Header) {
	how := s.cfg.HTTP.Forwarded
	if how == ForwardedOff {
		return
	}
	if how == ForwardedReplace {
		for name := range h {
			if strings.HasPrefix(name, "X-Forwarded-") {
				delete(h, name)
			}
		}
		delete(h, "Forwarded")
		delete(h, "X-Real-Ip")
	}
	var via []string
	for _, v := range h["X-Forwarded-For"] {
		if v != "" {
			via = append(via, v)
		}
	}
	h["X-Forwarded-For"] = []string{strings.Join(append(via, s.client.address), ", ")}
	if _, ok := h["X-Forwarded-Host"]; !ok {
		h["X-Forwarded-Host"] = []string{s.r.Host}
	}
	if _, ok := h["X-Forwarded-Proto"]; !ok {
		h["X-Forwarded-Proto"] = []string{"http"}
	}
	h["Via"] = append(h["Via"][:len(h["Via"]):len(h["Via"])], "2.0 portside")
}

// copyHead puts the fields of a response into dst, and has net/http add nothing
// but a date.
func copyHead(dst, from http.Header) {
	for name, values := range from {
		dst[name] = values
	}
	for _, name := range hopByHop {
		delete(dst, name)
	}
	for _, name := range [...]string{"Content-Type", "Content-Length"} {
		if _, ok := dst[name]; !ok {
			dst[name] = nil
		}
	}
}

// pathOf is what the access log calls a path: the query is a part of it.
func pathOf(u *url.URL) []byte { return []byte(u.RequestURI()) }
