package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Fault is one thing wrong with a configuration. No field of it ever holds a
// password.
type Fault struct {
	File    string // the file, or `argument "…"`, `flag --…`, `environment …`
	Line    int    // from 1; zero when not in a file or about all of it
	Column  int    // from 1, in characters
	Path    string // services.orders.balance; empty when about the whole
	Message string // what is wrong
	Hint    string // what would be right; empty when the message says so
	Excerpt string // the line of the file, passwords hidden; may be empty

	order int // of its origin
}

// String is the fault in one line.
func (f Fault) String() string {
	s := f.headline()
	if f.Hint != "" {
		s += "; " + f.Hint
	}
	return s
}

func (f Fault) headline() string {
	parts := []string{f.File}
	if f.Line > 0 {
		parts[0] = fmt.Sprintf("%s:%d:%d", f.File, f.Line, f.Column)
	}
	if f.File == "" {
		parts = nil
	}
	if f.Path != "" {
		parts = append(parts, f.Path)
	}
	return strings.Join(append(parts, f.Message), ": ")
}

// pretty is the fault with the line it is about and a mark under the place.
func (f Fault) pretty() string {
	var b strings.Builder
	fmt.Fprintln(&b, f.headline())
	if f.Excerpt != "" {
		text, column := window(f.Excerpt, f.Column)
		fmt.Fprintf(&b, "%5d | %s\n      | %s^\n", f.Line, text, strings.Repeat(" ", column-1))
	}
	if f.Hint != "" {
		fmt.Fprintf(&b, "      = %s\n", f.Hint)
	}
	return b.String()
}

// window cuts a line to what a terminal shows, around column.
func window(line string, column int) (string, int) {
	const before, width = 60, 100
	text := []rune(strings.ReplaceAll(line, "\t", " "))
	if from := column - before; len(text) > width && from > 0 {
		text, column = text[min(from, len(text)):], before
	}
	return string(text[:min(width, len(text))]), max(column, 1)
}

// Faults are all that is wrong, in the order of the file; it is the error that
// [Load] returns.
type Faults []Fault

// Error is one line a fault.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, fault := range f {
		lines[i] = fault.String()
	}
	return strings.Join(lines, "\n")
}

// Pretty is the faults for people: each with its line and a mark under the
// place. It ends in a newline.
func (f Faults) Pretty() string {
	var b strings.Builder
	for _, fault := range f {
		b.WriteString(fault.pretty())
	}
	return b.String()
}

// sorted puts the faults in order of their origin and place in it.
func (f Faults) sorted() Faults {
	slices.SortStableFunc(f, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.order, b.order), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return f
}

// shown quotes a value for a message, cut to a length people read.
func shown(text string) string {
	const most = 60
	if utf8.RuneCountInString(text) > most {
		text = string([]rune(text)[:most]) + "…"
	}
	return fmt.Sprintf("%q", text)
}
