package proxy

import (
	"bytes"
	"encoding/binary"
	"log/slog"
	"sync/atomic"

	"portside/proxy/socket"
)

// hints says once a service that its clients speak something else than it does, or than
// its backends do.
type hints struct{ said [hintCount]atomic.Bool }

type hint int

const (
	hintHTTP2 hint = iota
	hintHTTP1
	hintTLS
	hintHTTP
	hintCount
)

func (h *hints) say(log *slog.Logger, what hint) {
	if h.said[what].Swap(true) {
		return
	}
	log.Warn([hintCount]string{
		hintHTTP2: "a client speaks HTTP/2 with prior knowledge (h2c, gRPC), but a backend does not; HTTP/2 is not translated to HTTP/1.1",
		hintHTTP1: "a client speaks HTTP/1, but a backend speaks nothing but HTTP/2 with prior knowledge (h2c, gRPC); HTTP/1.1 is not translated to HTTP/2",
		hintTLS:   "a client speaks TLS to a plain HTTP port; say http:// in its URL, or use protocol: tcp",
		hintHTTP:  "clients of this TCP service speak HTTP; with protocol: http each request would be balanced and retried",
	}[what])
}

// hinted is how many of a TCP service's first clients are looked at for a hint.
const hinted = 64

// hint looks whether a TCP service's client speaks HTTP, as far as its first
// bytes are there already. It takes none of them.
func (t *TCP) hint(client socket.Stream) {
	if t.stats.Connections.Load() > hinted || t.hints.said[hintHTTP].Load() {
		return
	}
	raw, err := client.SyscallConn()
	if err != nil {
		return
	}
	var first [24]byte
	n := 0
	_ = raw.Control(func(fd uintptr) {
		if socket.Unread(fd) {
			n, _ = socket.Peek(fd, first[:])
		}
	})
	if n > 0 && speaksHTTP(first[:n]) {
		t.hints.say(t.config().Log, hintHTTP)
	}
}

// speaksHTTP reports whether b begins a request of HTTP/1.1 or the preface of
// HTTP/2.
func speaksHTTP(b []byte) bool {
	for _, start := range []string{"GET /", "POST /", "PUT /", "HEAD /", "DELETE /", "PATCH /", "OPTIONS ", "PRI * HTTP/2"} {
		if bytes.HasPrefix(b, []byte(start)) {
			return true
		}
	}
	return false
}

// tlsAlert is fatal, protocol_version (RFC 8446 6): TLS clients say so.
var tlsAlert = [...]byte{21, 3, 1, 0, 2, 2, 70}

// goAway is what an HTTP/2 client understands: an empty SETTINGS frame, then
// GOAWAY with HTTP_1_1_REQUIRED (RFC 9113 6.8, 7).
func goAway() []byte {
	const text = "portside: this connection speaks HTTP/1.1"
	const settings, goaway, http11Required = 4, 7, 13
	b := []byte{0, 0, 0, settings, 0, 0, 0, 0, 0}
	b = append(b, 0, 0, byte(8+len(text)), goaway, 0, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint32(b, 0) // no stream was processed
	b = binary.BigEndian.AppendUint32(b, http11Required)
	return append(b, text...)
}
