package proxy

import (
	"strconv"
	"strings"
	"sync"

	"portside/proxy/http1"
	"portside/proxy/http2"
)

// request is what is sent to backends: the client's, with what belongs to its connection
// alone left out and what a gateway has to say put in.
func (s *stream) request() http2.Out {
	out := http2.Out{Mute: s.Method == "HEAD", Body: &s.Body, Block: getBlock(), Trails: trails}
	if s.grpc {
		out.Trails = trailsCall
	}
	add := func(f http2.Field) {
		out.Block = http2.AppendField(out.Block, f)
		out.Size += http2.SizeOf(f)
	}
	add(http2.Field{Name: ":method", Value: s.Method})
	add(http2.Field{Name: ":scheme", Value: "http"})
	add(http2.Field{Name: ":authority", Value: s.Authority})
	add(http2.Field{Name: ":path", Value: s.Path}) // as it came: no intermediary rewrites it (RFC 9110 7.7)
	how := s.cfg.HTTP.Forwarded
	var via, host, proto string
	for _, f := range s.Fields {
		switch {
		case f.Name == "te":
			if f.Value == "trailers" {
				add(f) // gRPC's servers insist on it
			}
		case f.Name == "host", f.Name == "expect", hopByHop(f.Name):
		case how == ForwardedOff:
			add(f)
		case how == ForwardedReplace && names(f.Name):
		case f.Name == "x-forwarded-for":
			if f.Value != "" {
				via += f.Value + ", "
			}
		default:
			switch f.Name {
			case "x-forwarded-host":
				host = f.Value
			case "x-forwarded-proto":
				proto = f.Value
			}
			add(f)
		}
	}
	if how == ForwardedOff {
		return out
	}
	add(http2.Field{Name: "x-forwarded-for", Value: via + s.client.address})
	if host == "" {
		add(http2.Field{Name: "x-forwarded-host", Value: s.Authority})
	}
	if proto == "" {
		add(http2.Field{Name: "x-forwarded-proto", Value: "http"})
	}
	add(http2.Field{Name: "via", Value: "2.0 portside"})
	return out
}

// names reports whether a field names the client, or what it asked for; as
// [http1.Fields.OmitPrefixed] reads it.
func names(field string) bool {
	field = strings.ReplaceAll(field, "_", "-")
	return strings.HasPrefix(field, "x-forwarded-") || field == "forwarded" || field == "x-real-ip"
}

// hopByHop reports whether a field is about a connection (RFC 9110 7.6.1), for which
// HTTP/2 has no use (RFC 9113 8.2.2), or has the credentials between a client and its
// first proxy (RFC 9110 11.7).
func hopByHop(field string) bool {
	switch field {
	case "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade", "te", "http2-settings",
		"proxy-authenticate", "proxy-authorization", "proxy-authentication-info":
		return true
	}
	return false
}

// blocks are what heads are put together in.
var blocks = sync.Pool{New: func() any { return new([1 << 10]byte) }}

func getBlock() []byte { return blocks.Get().(*[1 << 10]byte)[:0] }

// putBlock gives a block back, unless it has outgrown the others.
func putBlock(b []byte) {
	if cap(b) == 1<<10 {
		blocks.Put((*[1 << 10]byte)(b[:1<<10]))
	}
}

// trails reports whether a field may come behind a body (RFC 9110 6.5.1).
func trails(field string) bool { return !hopByHop(field) && http1.Trails(field) }

// trailsCall is trails for a call: there the application says what it likes, as metadata
// (PROTOCOL-HTTP2.md, "Responses"), x-request-id and retry-after among it.
func trailsCall(field string) bool { return !hopByHop(field) && field != "content-length" }

// appendResponse appends the head of a response as it is passed on.
func appendResponse(b []byte, r *http2.Response) []byte {
	b = http2.AppendField(b, http2.Field{Name: ":status", Value: strconv.Itoa(r.Status)})
	for _, f := range r.Fields {
		if !hopByHop(f.Name) {
			b = http2.AppendField(b, f)
		}
	}
	return b
}
