package config

import (
	"slices"
	"strings"
)

// format and writtenFormat are words of the record package, which the caller
// passes on: those that can be read, and those that can be written. After a
// plus sign the former may choose among the addresses of one record (kratos+grpc).
var (
	format        = formatOf(func(w vocabulary) []string { return w.formats }, "+")
	writtenFormat = formatOf(func(w vocabulary) []string { return w.written }, "")
)

// formatOf is one of the known formats and, after plus, a choice within it; an
// empty plus allows none.
func formatOf(known func(vocabulary) []string, plus string) form[string] {
	return form[string]{
		read: func(r *reader, p place, v *string) {
			text, ok := r.plain(p)
			if !ok {
				return
			}
			base, list := text, known(r.words)
			if before, choice, ok := strings.Cut(text, plus); ok && plus != "" && choice != "" {
				base = before
			}
			if len(list) > 0 && !slices.Contains(list, base) || base == "" {
				problem, hint := oneOf("format", base, list)
				r.wrong(p, problem, hint)
				return
			}
			*v = text
		},
		write: phrase,
		describe: func(w vocabulary, _ string) schema {
			list := known(w)
			switch {
			case len(list) == 0:
				return schema{"type": "string"}
			case plus == "":
				return anyOrVariable(schema{"enum": list})
			}
			return anyOrVariable(schema{"enum": list}, schema{"type": "string", "pattern": `\+`})
		},
	}
}
