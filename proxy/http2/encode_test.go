package http2

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/http2/hpack"
	"pgregory.net/rapid"
)

// What is encoded is what a decoder of the library's reads, which has no table.
func TestFieldsAreReadAsTheyWereWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var fields []Field
		for range rapid.IntRange(0, 20).Draw(t, "n") {
			name := rapid.OneOf(rapid.SampledFrom([]string{":status", ":method", "content-type", "via", "te"}), rapid.StringMatching(`[a-z0-9-]{1,300}`)).Draw(t, "name")
			value := rapid.OneOf(rapid.SampledFrom([]string{"200", "GET", "gzip, deflate", ""}), rapid.StringN(0, 300, -1)).Draw(t, "value")
			fields = append(fields, Field{Name: name, Value: value, Sensitive: rapid.Bool().Draw(t, "sensitive")})
		}
		d := hpack.NewDecoder(0, nil)
		got, err := d.DecodeFull(Block(nil, fields))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(fields, got); len(fields) > 0 && diff != "" {
			t.Errorf("- written, + read:\n%s", diff)
		}
	})
}

// The static table is the library's.
func TestStaticTable(t *testing.T) {
	d := hpack.NewDecoder(4096, nil)
	for i := uint64(1); i <= 61; i++ {
		got, err := d.DecodeFull(appendInt(nil, 0x80, 7, i))
		if err != nil {
			t.Fatal(err)
		}
		at, ok := static[got[0].Name]
		if !ok || uint64(at.name) > i || got[0].Value != "" && uint64(at.values[got[0].Value]) != i {
			t.Errorf("%d is %v, and ours says %v", i, got[0], at)
		}
	}
}
