package config

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// scalarForm is the form of what one plain value says. parse returns what is
// wrong with a text and what would be right.
func scalarForm[T any](parse func(string) (v T, problem, hint string), write func(T) *node, s schema) form[T] {
	return form[T]{
		read: func(r *reader, p place, v *T) {
			text, ok := r.plain(p)
			if !ok {
				return
			}
			parsed, problem, hint := parse(text)
			if problem != "" {
				r.wrong(p, problem, hint)
				return
			}
			*v = parsed
		},
		write:    write,
		describe: func(vocabulary, T) schema { return s.clone() },
	}
}

// text is any text of printable characters in UTF-8: it is shown, and labels metrics.
var text = scalarForm(parseText, phrase, schema{"type": []string{"string", "number", "boolean"}})

func parseText(text string) (string, string, string) {
	if i := strings.IndexFunc(text, unicode.IsControl); i >= 0 {
		return "", "holds a control character", "a block written with | ends in a newline, one with |- does not"
	}
	if !utf8.ValidString(text) {
		return "", "is not UTF-8", ""
	}
	return text, "", ""
}

// secret is text that is never shown again: where it was is a variable's name.
func secret(variable string) form[string] {
	return scalarForm(parseText, func(v string) *node {
		if v == "" {
			return nil
		}
		return word("${" + variable + "}")
	}, schema{"type": []string{"string", "number"}})
}

// path is a file or folder, relative to the file that names it.
var path = form[string]{
	read: func(r *reader, p place, v *string) {
		name := ""
		if text.read(r, p, &name); name == "" {
			*v = ""
			return
		}
		*v = absolute(r, p, name)
	},
	write:    phrase,
	describe: text.describe,
}

// absolute is name, written at p, wherever portside runs.
func absolute(r *reader, p place, name string) string {
	if !filepath.IsAbs(name) {
		name = filepath.Join(p.at.from.dir, name)
	}
	abs, err := filepath.Abs(name)
	if err != nil {
		r.wrong(p, err.Error(), "")
		return name
	}
	return abs
}

// enum is one of a few words. instead says what to write in place of others.
func enum[T ~string](what string, known []T, instead map[string]string) form[T] {
	list, described := make([]string, len(known)), make([]any, len(known))
	for i, k := range known {
		list[i], described[i] = string(k), string(k)
	}
	mayBeOff := slices.Contains(list, "off")
	if mayBeOff {
		described = append(described, false)
	}
	parse := func(text string) (T, string, string) {
		if mayBeOff && isNegative(text) {
			return "off", "", ""
		}
		if slices.Contains(list, text) {
			return T(text), "", ""
		}
		problem, hint := oneOf(what, text, list)
		if better, ok := instead[text]; ok {
			hint = better
		}
		return "", problem, hint
	}
	write := func(v T) *node { return word(string(v)) }
	return scalarForm(parse, write, anyOrVariable(schema{"enum": described}))
}

func oneOf(what, text string, known []string) (problem, hint string) {
	hint = "one of " + nameAll(known)
	if near := nearest(text, known); near != "" {
		hint = fmt.Sprintf("did you mean %s? %s", near, hint)
	}
	return fmt.Sprintf("unknown %s %s", what, shown(text)), hint
}

// boolean is true or false, without quotes, and no other word.
var boolean = form[bool]{
	read: func(r *reader, p place, v *bool) {
		text, ok := r.bare(p, "true or false")
		if !ok {
			return
		}
		if text != "true" && text != "false" {
			r.wrong(p, "wants true or false, has "+shown(text), "")
			return
		}
		*v = text == "true"
	},
	write:    func(v bool) *node { return word(strconv.FormatBool(v)) },
	describe: func(vocabulary, bool) schema { return anyOrVariable(schema{"type": "boolean"}) },
}

// count is a whole number in a range, in decimal.
func count(least, most int) form[int] {
	return form[int]{
		read: func(r *reader, p place, v *int) {
			wanted := fmt.Sprintf("a whole number from %d to %d", least, most)
			text, ok := r.bare(p, wanted)
			if !ok {
				return
			}
			n, err := strconv.Atoi(text)
			if err != nil || n < least || n > most {
				r.wrong(p, "wants "+wanted+", has "+shown(text), "")
				return
			}
			*v = n
		},
		write: func(v int) *node { return word(strconv.Itoa(v)) },
		describe: func(vocabulary, int) schema {
			return numberOrVariable(schema{"type": "integer", "minimum": least, "maximum": most})
		},
	}
}
