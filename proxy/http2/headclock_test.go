package http2

import (
	"testing"
	"time"
)

func frame(kind, flags, stream byte, payload ...byte) []byte {
	n := len(payload)
	return append([]byte{byte(n >> 16), byte(n >> 8), byte(n), kind, flags, 0, 0, 0, stream}, payload...)
}

// The clock of heads sees them however the bytes are cut.
func TestHeadClockFollowsFrames(t *testing.T) {
	var bytes []byte
	add := func(f []byte) { bytes = append(bytes, f...) }
	add([]byte(Preface))
	add(frame(typeSettings, 0, 0))
	add(frame(typeHeaders, flagEndHeaders, 1, 1, 2, 3))
	add(frame(0, 0, 1, make([]byte, 100)...))
	add(frame(typeHeaders, 0, 3, 1, 2, 3))
	add(frame(typeContinuation, 0, 3))
	add(frame(typeContinuation, flagEndHeaders, 3))
	add(frame(typeHeaders, flagEndHeaders, 5))
	for size := 1; size <= len(bytes); size++ {
		h := NewHeadClock(time.Hour, nil)
		for rest := bytes; len(rest) > 0; rest = rest[min(size, len(rest)):] {
			h.See(rest[:min(size, len(rest))])
		}
		if h.heads != 3 || h.open || h.slow != nil {
			t.Fatalf("in pieces of %d: %d heads, one open: %t", size, h.heads, h.open)
		}
	}
}
