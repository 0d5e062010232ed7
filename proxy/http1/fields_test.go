package http1

import (
	"strings"
	"testing"
)

func TestEveryKnownNameIsRecognised(t *testing.T) {
	for n := Other + 1; n < names; n++ {
		lower := n.String()
		for _, name := range []string{lower, strings.ToUpper(lower), strings.ToUpper(lower[:1]) + lower[1:]} {
			if got := lookup([]byte(name)); got != n {
				t.Errorf("%s is taken for %q; two names share a hash, or one is missing", name, got)
			}
		}
		for i := range lower {
			for _, c := range "!_x0" {
				near := lower[:i] + string(c) + lower[i+1:]
				if got := lookup([]byte(near)); got != Other && got.String() != near {
					t.Errorf("%s is taken for %s", near, got)
				}
			}
		}
		if got := lookup([]byte(lower + "s")); got != Other {
			t.Errorf("%ss is taken for %s", lower, got)
		}
	}
}

func TestFieldsAreFoundAndLeftOut(t *testing.T) {
	r := parseRequest(t, get("X-Forwarded-For: 1", "A: b", "x-forwarded-for: 2", "Via: c"))
	if got := r.Get(XForwardedFor); string(got) != "1" {
		t.Errorf("Get is %q, want the first", got)
	}
	if r.Get(Cookie) != nil || r.Has(Cookie) || r.Next(Cookie, 0) != -1 {
		t.Error("a field was found that is not there")
	}
	if i := r.Next(XForwardedFor, r.Next(XForwardedFor, 0)+1); string(r.Name(i)) != "x-forwarded-for" || string(r.Value(i)) != "2" {
		t.Errorf("line %d is %s: %s, want the second", i, r.Name(i), r.Value(i))
	}
	r.OmitAll(XForwardedFor)
	r.Omit(r.Next(Via, 0))
	want := get("A: b")
	if got := AppendEnd(r.AppendHead(nil)); string(got) != want {
		t.Errorf("sent on %q, want %q", got, want)
	}
	for i := range r.n {
		if r.lines[i].omit == (string(r.Name(i)) == "A") {
			t.Errorf("line %s: omitted %v", r.Name(i), r.lines[i].omit)
		}
	}
}

func TestTheFirstLineIsFoundToo(t *testing.T) {
	r := parseResponse(t, "HTTP/1.1 204 x\r\nVia: a\r\nX: y\r\n\r\n", GET)
	r.OmitAll(Via)
	if got, want := string(r.AppendHead(nil)), "HTTP/1.1 204 x\r\nX: y\r\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestViewsCannotGrowOverTheBuffer(t *testing.T) {
	r := parseRequest(t, get("A: b", "C: d"))
	_ = append(r.Value(1), "XXXXXXXX"...)
	_ = append(r.Name(1), "XXXXXXXX"...)
	if got, want := string(AppendEnd(r.AppendHead(nil))), get("A: b", "C: d"); got != want {
		t.Errorf("appending to a view changed the head to %q", got)
	}
}

func TestAppendFieldTakesStringsAndBytes(t *testing.T) {
	got := AppendField(AppendField([]byte("x"), "A", []byte("b")), []byte("C"), "")
	if want := "xA: b\r\nC: \r\n"; string(got) != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
