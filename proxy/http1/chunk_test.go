package http1

import (
	"bytes"
	"strings"
	"testing"
)

func TestAChunkIsWrappedWhereItLies(t *testing.T) {
	for _, n := range []int{1, 9, 10, 15, 16, 255, 256, 4096, 65535, 65536} {
		data := bytes.Repeat([]byte("x"), n)
		buf := append(make([]byte, ChunkRoom), data...)
		buf = append(buf, make([]byte, ChunkTail)...)
		got := WrapChunk(buf, ChunkRoom, ChunkRoom+n)
		if want := AppendChunk(nil, data); !bytes.Equal(got, want) {
			t.Errorf("%d bytes are wrapped as %.20q…, want %.20q…", n, got, want)
		}
	}
	if got := WrapChunk(make([]byte, 40), 20, 20); len(got) != 0 {
		t.Errorf("no data is wrapped as %q; a chunk of size zero would end the body", got)
	}
	if got := AppendChunk(nil, nil); len(got) != 0 {
		t.Errorf("no data is wrapped as %q; a chunk of size zero would end the body", got)
	}
}

func TestDataIsMovedTogether(t *testing.T) {
	var c ChunkReader
	data, n, err := c.Decode([]byte("1\r\na\r\n2\r\nbc\r\n3\r\nde"))
	if string(data) != "abcde" || n != 18 || err != nil {
		t.Fatalf("got %q of %d bytes, %v; want abcde of all 18", data, n, err)
	}
	data, n, err = c.Decode([]byte("f\r\n0\r\n\r\nGET"))
	if string(data) != "f" || n != 8 || err != nil || !c.Done() {
		t.Fatalf("got %q of %d bytes, %v, done %v; want f of 8, the next message untouched", data, n, err, c.Done())
	}
	if data, n, err = c.Decode([]byte("GET")); len(data) != 0 || n != 0 || err != nil {
		t.Fatalf("a body that has ended took %d more bytes (%v)", n, err)
	}
}

func TestAFaultStaysOne(t *testing.T) {
	var c ChunkReader
	data, n, err := c.Decode([]byte("1\r\nax"))
	if string(data) != "a" || n != 4 || err != errChunkEnd {
		t.Fatalf("got %q of %d bytes, %v; want a of 4 and the fault", data, n, err)
	}
	if _, n, err := c.Decode([]byte("\r\n0\r\n\r\n")); n != 0 || err != errChunkEnd || c.Done() {
		t.Fatalf("went on behind a fault: %d bytes, %v, done %v", n, err, c.Done())
	}
	c.Reset(nil)
	if _, _, err := c.Decode([]byte("0\r\n\r\n")); err != nil || !c.Done() {
		t.Fatalf("after Reset: %v, done %v", err, c.Done())
	}
}

func TestTrailersGrowInTheMemoryLent(t *testing.T) {
	var c ChunkReader
	lent := make([]byte, 7, 256)
	c.Reset(lent)
	c.Decode([]byte("0\r\nA:b\r\nHost: x\r\nC: d\r\n\r\n"))
	if string(c.Trailer) != "A: b\r\nC: d\r\n" || &c.Trailer[0] != &lent[0] {
		t.Errorf("got %q, in memory of its own: %v", c.Trailer, &c.Trailer[0] != &lent[0])
	}
	if got, want := AppendLastChunk(nil, c.Trailer), "0\r\nA: b\r\nC: d\r\n\r\n"; string(got) != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// The status alone would not tell whether the fault named is the one there is.
func TestARefusedBodySaysWhy(t *testing.T) {
	ext := func(n int) string { return "1;" + strings.Repeat("x", n-len("1;\r\n")) + "\r\na\r\n" }
	for _, tc := range []struct {
		name, wire string
		want       error
	}{
		{"no size", "x", errChunkSize},
		{"a space alone", "5 \r", errChunkSize},
		{"seventeen digits", strings.Repeat("0", 17), errChunkBig},
		{"overflow", "8000000000000000", errChunkBig},
		{"a control byte", "5;\x01", errChunkExt},
		{"a bare LF", "5;\n", errChunkExt},
		{"a bare CR", "5\r5", errBareCR},
		{"the longest size line", ext(1024), nil},
		{"a byte more", ext(1025), errChunkExtLong},
		{"as many extensions as there is data", strings.Repeat("10;"+strings.Repeat("x", 41)+"\r\n"+strings.Repeat("a", 16)+"\r\n", 1e4), nil},
		// Each of 900 bytes is 884 over: nine fit in 8 KiB, the tenth does not.
		{"too many", strings.Repeat(ext(900), 9), nil},
		{"one too many", strings.Repeat(ext(900), 10), errChunkExtLong},
		{"no CR", "1\r\nab", errChunkEnd},
		{"no LF", "1\r\na\ra", errChunkEnd},
		{"a trailer folded", "0\r\n X: y\r\n", errFold},
		{"a trailer of a name alone", "0\r\nX\r\n", errNoColon},
		{"a trailer's bare CR", "0\r\nX: y\rz", errBareCR},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var c ChunkReader
			if _, _, err := c.Decode([]byte(tc.wire)); err != tc.want {
				t.Errorf("got %v, want %v", err, tc.want)
			}
		})
	}
}
