package config

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// weight is a positive number.
var weight = scalarForm(parseWeight,
	func(v float64) *node { return word(strconv.FormatFloat(v, 'f', -1, 64)) },
	numberOrVariable(schema{"type": "number", "exclusiveMinimum": 0, "maximum": maxWeight}))

const maxWeight = 1e6

func parseWeight(text string) (float64, string, string) {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || !(v > 0 && v <= maxWeight) {
		return 0, "wants a weight above 0 and at most 1000000, has " + shown(text), "1 is an ordinary share, 2 twice that"
	}
	return v, "", ""
}

// longest is as long as a duration may be: some are multiplied.
const longest = 10 * 365 * 24 * time.Hour

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
		case d > longest:
			return 0, text + " is too long", "at most " + writeDuration(longest) + ", which is ten years"
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

// ratio is above 0 and at most 1: 20% or 0.2. A share may be nothing, too.
var (
	ratio = ratioFrom(math.SmallestNonzeroFloat64)
	share = ratioFrom(0)
)

func ratioFrom(least float64) form[float64] {
	parse := func(text string) (float64, string, string) { return parseRatio(text, least) }
	return scalarForm(parse, writeRatio, numberOrVariable(
		schema{"type": "number", "minimum": least, "maximum": 1},
		schema{"type": "string", "pattern": `^[0-9]*\.?[0-9]+%$`}))
}

func parseRatio(text string, least float64) (float64, string, string) {
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
	case v < least || v > 1:
		return 0, shown(text) + " is out of range", "from " + lowest(least) + " to 100%"
	}
	return max(v, 0), "", "" // max: -0 is 0
}

// lowest is least in words.
func lowest(least float64) string {
	if least > 0 && least < 0.01 {
		return "above 0%"
	}
	return strconv.FormatFloat(least*100, 'f', -1, 64) + "%"
}

// writeRatio writes the percentage where it reads back as exactly v.
func writeRatio(v float64) *node {
	percent := strconv.FormatFloat(v*100, 'f', -1, 64) + "%"
	if back, _, _ := parseRatio(percent, 0); back == v {
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
		return numberOrVariable(schema{"type": "integer", "minimum": 1, "maximum": 100}, schema{"type": "string", "pattern": "^[0-9]+%$"})
	},
}

// units of size, the largest first of each kind.
var units = []struct {
	name  string
	bytes int64
}{
	{"GiB", 1 << 30},
	{"MiB", 1 << 20},
	{"KiB", 1 << 10},
	{"GB", 1e9},
	{"MB", 1e6},
	{"KB", 1e3},
	{"B", 1},
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
		if n > 0 && n%u.bytes == 0 && strings.HasSuffix(u.name, "iB") {
			return fmt.Sprintf("%d%s", n/u.bytes, u.name)
		}
	}
	return fmt.Sprintf("%dB", n)
}
