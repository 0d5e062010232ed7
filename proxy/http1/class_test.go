package http1

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Every byte at every offset to the words of eight, behind every other.
func TestScansStopAtTheFirstByteThatDoesNotBelong(t *testing.T) {
	text := func(c byte) bool { return c >= ' ' && c != 0x7f || c == '\t' }
	visible := func(c byte) bool { return c > ' ' && c < 0x7f && c != '#' }
	for _, scan := range []struct {
		name string
		end  func([]byte, int) int
		ok   func(byte) bool
	}{{"valueEnd", valueEnd, text}, {"targetEnd", targetEnd, visible}} {
		rapid.Check(t, func(t *rapid.T) {
			b := rapid.SliceOfN(rapid.SampledFrom([]byte("aaaaaaaaaaaaaaaaz \t\r\n\x00\x1f\x7e\x7f\x80\x81\xa0\xff#!\"")), 0, 40).Draw(t, "bytes")
			i := rapid.IntRange(0, len(b)).Draw(t, "from")
			want := i
			for want < len(b) && scan.ok(b[want]) {
				want++
			}
			if got := scan.end(b, i); got != want {
				t.Fatalf("%s(%q, %d) = %d, want %d", scan.name, b, i, got, want)
			}
		})
		for c := range 256 {
			for at := range 17 {
				b := bytes.Repeat([]byte("a"), 20)
				b[at] = byte(c)
				want := 20
				if !scan.ok(byte(c)) {
					want = at
				}
				if got := scan.end(b, 0); got != want {
					t.Fatalf("%s: byte %#x at %d: stops at %d, want %d", scan.name, c, at, got, want)
				}
			}
		}
	}
}

func TestTokensAreThoseOfTheRFC(t *testing.T) {
	for c := range 256 {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		want := letter || c < 0x80 && strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c))
		if got := isToken([]byte{byte(c)}); got != want {
			t.Errorf("byte %#x: token %v, want %v (RFC 9110 5.6.2)", c, got, want)
		}
	}
}

func TestAddressesAreThoseOfNetip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		part := rapid.SampledFrom([]string{":", ":", "::", "0", "1", "ab", "FFFF", "12345", ".", "1.2.3.4", "255", "256", "01", "g"})
		s := strings.Join(rapid.SliceOfN(part, 0, 18).Draw(t, "parts"), "")
		addr, err := netip.ParseAddr(s)
		if want := err == nil && addr.Is6(); isIPv6([]byte(s)) != want {
			t.Fatalf("isIPv6(%q) = %v, want %v", s, !want, want)
		}
	})
}

func TestIsComparesTokensAlone(t *testing.T) {
	for b, want := range map[string]bool{"h2c": true, "H2C": true, "h2": false, "h2cc": false, "": false, "h\x12c": false, "h2\x43": true} {
		if got := Is([]byte(b), "h2c"); got != want {
			t.Errorf("Is(%q, h2c) = %v, want %v", b, got, want)
		}
	}
	if Is(nil, "") {
		t.Error("nothing is taken for a token")
	}
}
