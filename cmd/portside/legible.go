package main

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"
)

// legible is s as a terminal may have it: what is in etcd was written by others,
// and a terminal takes some of what cannot be printed for orders. Such bytes are
// written as Go writes them, \x1b; all others stay.
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

// legibleAttr keeps a text log's handler from cutting a text short, which tint
// does at the first byte that is not UTF-8 (and at U+FFFD), and from leaving out
// what follows an ESC. It quotes bytes as they are.
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

// readableAttr has a JSON log say durations, signals and addresses as a text log does:
// 30s rather than 30000000000, terminated rather than 15, 10.0.0.5:80 rather than an object.
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
