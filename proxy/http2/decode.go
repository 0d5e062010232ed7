package http2

import (
	"strings"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/http2/hpack"
)

// decoder turns blocks of fields into fields. It belongs to a connection, whose table it
// keeps: every block must go through it, wanted or not.
type decoder struct {
	hpack *hpack.Decoder
	limit int // of a block's size, as the peer was told

	fields []Field // valid until the next block
	size   int
	raw    int
	large  bool   // the block is larger than limit: the fields are not all
	bad    string // why it is malformed (RFC 9113 8.2, 8.3); empty: it is not
	plain  bool   // a field came that is no pseudo-field
}

// rawMost is how many times its limit a block may take on the wire, frames' heads
// included: who sends more is after something else (CVE-2024-27316).
const rawMost = 4

func newDecoder(limit int) *decoder {
	d := &decoder{limit: limit}
	d.hpack = hpack.NewDecoder(4096, d.emit)
	return d
}

// begin begins a block.
func (d *decoder) begin() {
	d.fields = d.fields[:0]
	d.size, d.raw, d.large, d.bad, d.plain = 0, 0, false, "", false
	d.hpack.SetEmitEnabled(true)
}

// take takes in a part of the block.
func (d *decoder) take(p []byte, last bool) error {
	d.raw += frameHead + len(p) // a frame without any costs us something, too
	if d.raw > rawMost*d.limit {
		return fault(EnhanceYourCalm, "a head without an end")
	}
	_, err := d.hpack.Write(p)
	if err == nil && last {
		err = d.hpack.Close()
	}
	if err != nil {
		return fault(CompressionError, "a head that cannot be decoded: "+err.Error())
	}
	return nil
}

func (d *decoder) emit(f Field) {
	d.size += SizeOf(f)
	if d.size > d.limit {
		d.large = true
		d.hpack.SetEmitEnabled(false)
		return
	}
	if d.bad == "" {
		d.bad = d.fault(f)
	}
	d.fields = append(d.fields, f)
}

// fault says what is wrong with a field.
func (d *decoder) fault(f Field) string {
	if strings.HasPrefix(f.Name, ":") {
		if d.plain {
			return "a pseudo-field behind others"
		}
		return ""
	}
	d.plain = true
	switch {
	case !validName(f.Name):
		return "a field's name is not valid"
	case !httpguts.ValidHeaderFieldValue(f.Value):
		return "a field's value is not valid"
	}
	return ""
}

// validName reports whether a field may be called so: a token without capitals.
func validName(name string) bool {
	for i := range len(name) {
		if c := name[i]; c >= 'A' && c <= 'Z' || !httpguts.IsTokenRune(rune(c)) {
			return false
		}
	}
	return name != ""
}
