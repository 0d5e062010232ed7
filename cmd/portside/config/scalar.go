package config

import (
	"fmt"
	"math"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// scalarForm is the form of what one plain value says. parse returns what is
// wrong with a text and what would be right; its message never needs the value.
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

// text is any text of printable characters.
var text = scalarForm(parseText, phrase, schema{"type": []string{"string", "number", "boolean"}})

func parseText(text string) (string, string, string) {
	if i := strings.IndexFunc(text, unicode.IsControl); i >= 0 {
		return "", "holds a control character", "a block written with | ends in a newline, one with |- does not"
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
		abs, err := filepath.Abs(filepath.Join(dirOf(p, name), name))
		if err != nil {
			r.wrong(p, err.Error(), "")
			return
		}
		*v = abs
	},
	write:    phrase,
	describe: text.describe,
}

func dirOf(p place, name string) string {
	if filepath.IsAbs(name) {
		return ""
	}
	return p.at.from.dir
}

// enum is one of a few words. instead says what to write in place of others.
func enum[T ~string](what string, known []T, instead map[string]string) form[T] {
	list := make([]string, len(known))
	for i, k := range known {
		list[i] = string(k)
	}
	parse := func(text string) (T, string, string) {
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
	return scalarForm(parse, write, anyOrVariable(schema{"enum": list}))
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
			return anyOrVariable(schema{"type": "integer", "minimum": least, "maximum": most})
		},
	}
}

// weight is a positive number.
var weight = scalarForm(parseWeight,
	func(v float64) *node { return word(strconv.FormatFloat(v, 'f', -1, 64)) },
	anyOrVariable(schema{"type": "number", "exclusiveMinimum": 0, "maximum": maxWeight}))

const maxWeight = 1e6

func parseWeight(text string) (float64, string, string) {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || !(v > 0 && v <= maxWeight) {
		return 0, "wants a weight above 0, has " + shown(text), "1 is an ordinary share, 2 twice that"
	}
	return v, "", ""
}

// duration is a time with its unit, at least the given one.
func duration(least time.Duration) form[time.Duration] {
	parse := func(text string) (time.Duration, string, string) {
		d, err := time.ParseDuration(text)
		switch {
		case isNumber(text) && text != "0":
			return 0, "a duration without a unit", fmt.Sprintf("write %ss", text)
		case err != nil || text == "0":
			return 0, shown(text) + " is no duration", "write 250ms, 5s, 1m30s or 2h"
		case d < least && least == 0:
			return 0, text + " is negative", "write 0s or more"
		case d < least:
			return 0, text + " is too short", "at least " + writeDuration(least)
		}
		return d, "", ""
	}
	pattern := `^([0-9]*\.?[0-9]+(ns|us|µs|ms|s|m|h))+$`
	return scalarForm(parse, func(d time.Duration) *node { return word(writeDuration(d)) }, patternOrVariable(pattern))
}

// writeDuration is 5m where the standard library writes 5m0s.
func writeDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}

var number = regexp.MustCompile(`^[+-]?[0-9]*\.?[0-9]+$`)

func isNumber(text string) bool { return number.MatchString(text) }

// ratio is above 0 and at most 1: 20% or 0.2.
var ratio = scalarForm(parseRatio, writeRatio, anyOrVariable(
	schema{"type": "string", "pattern": `^[0-9]*\.?[0-9]+%$`},
	schema{"type": "number", "exclusiveMinimum": 0, "maximum": 1}))

func parseRatio(text string) (float64, string, string) {
	digits, percent := strings.CutSuffix(text, "%")
	v, err := strconv.ParseFloat(digits, 64)
	if percent {
		v /= 100
	}
	switch {
	case err != nil || math.IsNaN(v):
		return 0, shown(text) + " is no ratio", "write 20% or 0.2"
	case v > 1 && !percent && v <= 100:
		return 0, text + " is more than 1", fmt.Sprintf("write %s%%", text)
	case v <= 0 || v > 1:
		return 0, text + " is out of range", "above 0%, at most 100%"
	}
	return v, "", ""
}

// writeRatio writes the percentage where it reads back as exactly v.
func writeRatio(v float64) *node {
	percent := strconv.FormatFloat(v*100, 'f', -1, 64) + "%"
	if back, _, _ := parseRatio(percent); back == v {
		return word(percent)
	}
	return word(strconv.FormatFloat(v, 'f', -1, 64))
}

// percent is a whole number of hundredths, with or without its sign.
var percent = form[int]{
	read: func(r *reader, p place, v *int) {
		text, ok := r.plain(p)
		if !ok {
			return
		}
		n, err := strconv.Atoi(strings.TrimSuffix(text, "%"))
		if err != nil || n < 1 || n > 100 {
			r.wrong(p, "wants a percentage from 1 to 100, has "+shown(text), "")
			return
		}
		*v = n
	},
	write: count(1, 100).write,
	describe: func(vocabulary, int) schema {
		return anyOrVariable(schema{"type": "integer", "minimum": 1, "maximum": 100}, schema{"type": "string", "pattern": "^[0-9]+%$"})
	},
}

// units of size, the largest first of each kind.
var units = []struct {
	name  string
	bytes int64
}{
	{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3}, {"B", 1},
}

// size is a number of bytes with its unit, in a range.
func size(least, most int64) form[int64] {
	parse := func(text string) (int64, string, string) {
		n, problem := parseSize(text)
		if problem != "" {
			hint := "write 64KiB, 1MiB or 10MB"
			if isNumber(text) {
				hint = fmt.Sprintf("write %sB, or a number of KiB or MiB", text)
			}
			return 0, problem, hint
		}
		if n < least || n > most {
			return 0, text + " is out of range", fmt.Sprintf("from %s to %s", writeSize(least), writeSize(most))
		}
		return n, "", ""
	}
	return scalarForm(parse, func(n int64) *node { return word(writeSize(n)) }, patternOrVariable(`^[0-9]+ ?([KMG]i?)?B$`))
}

func parseSize(text string) (n int64, problem string) {
	if isNumber(text) {
		return 0, "a size without a unit"
	}
	for _, u := range units {
		digits, ok := strings.CutSuffix(text, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSuffix(digits, " "), 10, 64)
		if err != nil || n < 0 || n > math.MaxInt64/u.bytes {
			break
		}
		return n * u.bytes, ""
	}
	return 0, shown(text) + " is no size"
}

func writeSize(n int64) string {
	for _, u := range units {
		if n > 0 && n%u.bytes == 0 && strings.Contains(u.name+"B", "iB") {
			return fmt.Sprintf("%d%s", n/u.bytes, u.name)
		}
	}
	return fmt.Sprintf("%dB", n)
}
