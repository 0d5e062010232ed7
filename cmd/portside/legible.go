package main

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// legible is s as it may be sent to a terminal. What is in etcd was written by others, and
// some of what cannot be printed are commands to a terminal. Such characters become what
// they are in Go's source, such as \x1b; all others stay.
func legible(s string) string {
	if isLegible(s) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case strconv.IsPrint(r):
			b.WriteRune(r)
		default:
			quoted := strconv.QuoteRune(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
		s = s[size:]
	}
	return b.String()
}

// isLegible reports whether a terminal shows s as it is.
func isLegible(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) })
}

// legibleAttr keeps tint, the text log's handler, from cutting a text short at the first byte
// that is not UTF-8 (or at U+FFFD), and from leaving out what follows an ESC. As bytes, such
// a text is quoted whole.
func legibleAttr(groups []string, a slog.Attr) slog.Attr {
	if k := a.Value.Kind(); k != slog.KindString && k != slog.KindAny {
		return a
	}
	s := a.Value.String()
	switch {
	case isLegible(s) && !strings.ContainsRune(s, utf8.RuneError):
		return a
	case len(groups) == 0 && a.Key == slog.MessageKey: // it stands without quotes
		return slog.String(a.Key, legible(s))
	}
	return slog.Any(a.Key, []byte(s))
}

// legibleJSON writes JSON as a terminal may have it. Encoders escape what JSON must not
// have; U+009B, which is ESC [ to some terminals, U+0085, a line's end to some readers,
// and what turns text around they write as it is. All of it stands within strings, where
// \u means the same. Whoever writes to it writes whole documents.
type legibleJSON struct{ io.Writer }

func (w legibleJSON) Write(p []byte) (int, error) {
	odd := func(r rune) bool { return r != '\n' && !strconv.IsPrint(r) }
	if !bytes.ContainsFunc(p, odd) {
		return w.Writer.Write(p)
	}
	var b bytes.Buffer
	for _, r := range string(p) {
		if !odd(r) {
			b.WriteRune(r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&b, `\u%04x`, unit)
		}
	}
	if _, err := w.Writer.Write(b.Bytes()); err != nil {
		return 0, err
	}
	return len(p), nil
}

// readableAttr makes durations, signals and addresses in a JSON log what they are in a text
// log: 30s, not 30000000000; terminated, not 15; 10.0.0.5:80, not an object.
func readableAttr(_ []string, a slog.Attr) slog.Attr {
	if d := a.Value; d.Kind() == slog.KindDuration {
		return slog.String(a.Key, d.Duration().String())
	}
	switch v := a.Value.Any().(type) {
	case os.Signal:
		return slog.String(a.Key, v.String())
	case net.Addr:
		return slog.String(a.Key, v.String())
	}
	return a
}
