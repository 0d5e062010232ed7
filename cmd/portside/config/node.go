package config

import (
	"regexp"
	"strings"
)

// A node is one value as it was written, wherever that was.
type node struct {
	kind    kind
	at      position
	text    string   // of a scalar, variables not yet expanded
	quoted  bool     // of a scalar: in quotes, so text whatever it looks like
	items   []*node  // of a list
	entries []entry  // of a table, in order, no key twice
	alias   position // the alias through which it was reached; zero: none
}

// An entry is one key of a table.
type entry struct {
	key   string
	at    position
	value *node
}

// through is e as it is reached through an alias.
func (e entry) through(alias position) entry {
	if alias == (position{}) {
		return e
	}
	v := *e.value
	v.alias = alias
	e.value = &v
	return e
}

type kind uint8

const (
	null kind = iota
	scalar
	list
	table
	broken // reported already
)

func (k kind) String() string {
	return [...]string{"nothing", "a plain value", "a list", "a table of keys", "nothing"}[k]
}

// word is a scalar that is written without quotes.
func word(text string) *node { return &node{kind: scalar, text: text} }

// phrase is a scalar that may be any text, so that it is written in quotes where YAML needs
// them.
func phrase(text string) *node { return &node{kind: scalar, text: text, quoted: true} }

// A position is a place in an origin; line zero is all of it.
type position struct {
	from         *origin
	line, column int
}

// An origin is where values were written: a file, a variable, a flag, an argument.
type origin struct {
	name      string
	dir       string   // what relative paths are relative to
	lines     []string // of a file, passwords hidden
	separator string   // between the items of a list outside a file; empty in one
	order     int      // among the origins of one load
}

// inline reports whether the origin is not a file: its values have no variables, and its
// lists are texts joined by the separator.
func (o *origin) inline() bool { return o.separator != "" }

// line is the text of line n, for people; "" when there is none.
func (o *origin) line(n int) string {
	if n < 1 || n > len(o.lines) {
		return ""
	}
	return o.lines[n-1]
}

var (
	secretKey = regexp.MustCompile(`(?i)(pas+w|pwd|secret|token)[\w-]*["']?\s*:`)
	userinfo  = regexp.MustCompile(`(://|\b[\w.-]+:)[^\s"']*@`)
)

// hideSecrets returns the lines of a file fit to be shown: what follows a key
// that looks like a password's is gone, and so are the deeper lines after it.
func hideSecrets(text string) []string {
	lines := strings.Split(text, "\n")
	depth := -1 // of the last such key
	for i, line := range lines {
		line = userinfo.ReplaceAllString(strings.TrimRight(line, "\r"), "${1}***@")
		indent := len(line) - len(strings.TrimLeft(line, " "))
		if depth >= 0 && (indent > depth || strings.TrimSpace(line) == "") {
			lines[i] = "***"
			continue
		}
		depth = -1
		if at := secretKey.FindStringIndex(line); at != nil {
			depth, line = indent, line[:at[1]]+" ***"
		}
		lines[i] = line
	}
	return lines
}
