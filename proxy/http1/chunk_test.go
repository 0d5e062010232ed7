package http1

import (
	"bytes"
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
