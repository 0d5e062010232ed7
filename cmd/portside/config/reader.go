package config

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// maxValues bounds the values of one load, aliases and merge keys followed: without it a few
// lines of YAML can stand for billions.
const maxValues = 1 << 17

// A reader turns nodes into values and collects the faults on its way.
type reader struct {
	env     func(string) (string, bool)
	words   vocabulary
	faults  Faults
	said    map[saying]bool
	spots   map[string]spot // by path, the last place each was written
	values  int
	origins int
}

// A saying is a fault that was reported. Through aliases one place is read more than once,
// and what is wrong with it is to be reported once.
type saying struct {
	at      position
	path    string // outside a file, where a place is not enough
	message string
}

func newReader(o Options) *reader {
	return &reader{
		env: o.env(), words: vocabulary{o.Formats, o.Written},
		said: map[saying]bool{}, spots: map[string]spot{},
	}
}

// A spot is where a key and its value were written.
type spot struct{ key, value position }

// A vocabulary is the words that other packages define.
type vocabulary struct {
	formats []string // that can be read; empty: any
	written []string // that can be written; empty: any
}

// A place is a node and the path that led to it.
type place struct {
	*node
	path string
	key  position
	via  position // the alias it was reached through; zero: none
}

func (r *reader) origin(name, separator string) *origin {
	r.origins++
	return &origin{name: name, separator: separator, order: r.origins}
}

// root is the place of a whole document.
func (r *reader) root(n *node) place { return place{node: n, key: n.at} }

// child is the place of an entry of p. ok is false when there is nothing to
// read: its value is broken, or enough has been read.
func (r *reader) child(p place, e entry) (_ place, ok bool) {
	c := place{e.value, join(p.path, e.key), e.at, cmp.Or(p.via, e.value.alias)}
	// A wrong value is shown where it is written. What is wrong only at this path is not
	// the anchor's fault, and is shown at the alias.
	r.spots[c.path] = spot{cmp.Or(p.via, c.key), cmp.Or(c.via, c.where())}
	return c, r.spend(e.at) && c.kind != broken
}

// where is the position of p's value, or of its key when it has none.
func (p place) where() position {
	if p.kind == null {
		return p.key
	}
	return p.at
}

// spend counts a value. It reports false, with one fault, when there are too many.
func (r *reader) spend(at position) bool {
	if r.values++; r.values == maxValues {
		r.fault(at, "", fmt.Sprintf("more than %d values once aliases and merge keys are followed", maxValues), "write them out")
	}
	return !r.exhausted()
}

func (r *reader) exhausted() bool { return r.values >= maxValues }

var plainKey = regexp.MustCompile(`^[A-Za-z0-9_/-]+$`)

// join extends a path by a key, in quotes where a path could be misread.
func join(path, key string) string {
	if !plainKey.MatchString(key) {
		key = strconv.Quote(key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

func (r *reader) fault(at position, path, message, hint string) {
	s := saying{at: at, message: message}
	if at.line == 0 {
		s.path = path
	}
	if r.said[s] {
		return
	}
	r.said[s] = true
	f := Fault{
		File: at.from.name, Line: at.line, Column: at.column, order: at.from.order,
		Path: path, Message: message, Hint: hint, Excerpt: at.from.line(at.line),
	}
	r.faults = append(r.faults, f)
}

// wrong reports that p's value will not do.
func (r *reader) wrong(p place, message, hint string) { r.fault(p.where(), p.path, message, hint) }

// wrongAt is wrong for a path whose place is no longer at hand. A path that was
// not written is reported at the key it is missing under.
func (r *reader) wrongAt(path, message, hint string) {
	at, ok := r.spots[path]
	if ok {
		r.fault(at.value, path, message, hint)
		return
	}
	for above := path; above != "" && !ok; {
		above = above[:max(strings.LastIndexByte(above, '.'), 0)]
		at, ok = r.spots[above]
	}
	if !ok {
		at.key = position{from: &origin{}}
	}
	r.fault(at.key, path, message, hint)
}

// faulty reports whether a fault of path, or of what is below it, is known.
func (r *reader) faulty(path string) bool {
	return slices.ContainsFunc(r.faults, func(f Fault) bool {
		return f.Path == path || strings.HasPrefix(f.Path, path+".")
	})
}

// wrote reports whether the user wrote path.
func (r *reader) wrote(path string) bool {
	_, ok := r.spots[path]
	return ok
}

// mismatch reports that p is another kind of thing than wanted.
func (r *reader) mismatch(p place, wanted, hint string) {
	r.wrong(p, fmt.Sprintf("wants %s, has %s", wanted, p.kind), hint)
}

// plain is p's text with its variables replaced; ok is false, with a
// fault, when it has none.
func (r *reader) plain(p place) (_ string, ok bool) {
	if p.kind == null {
		r.wrong(p, "has no value", "write one, or leave the key out")
		return "", false
	}
	if p.kind != scalar {
		r.mismatch(p, scalar.String(), "")
		return "", false
	}
	if p.at.from.inline() {
		return p.text, true
	}
	text, err := expand(p.text, r.env)
	if err != nil {
		r.wrong(p, err.Error(), "")
		return "", false
	}
	return text, true
}

// bare is plain for values that must not be in quotes, where 5 and "5" are not the same. A
// variable may be in quotes.
func (r *reader) bare(p place, wanted string) (_ string, ok bool) {
	text, ok := r.plain(p)
	if ok && p.quoted && text == p.text {
		r.wrong(p, fmt.Sprintf("wants %s, has text in quotes", wanted), "leave the quotes out")
		return "", false
	}
	return text, ok
}

// says reports whether p is the given word, or a variable that holds it.
func (r *reader) says(p place, word string) bool {
	if p.kind != scalar {
		return false
	}
	if p.at.from.inline() || p.text == word {
		return p.text == word
	}
	text, err := expand(p.text, r.env)
	return err == nil && text == word
}

// negative reports whether p is another form of off: tools that follow YAML 1.1 write false or
// no for it.
func (p place) negative() bool {
	return p.kind == scalar && !p.quoted && isNegative(p.text)
}

func isNegative(text string) bool { return text == "false" || text == "no" }

// blank reports whether p is written but says nothing: a key without a value.
func (p place) blank() bool {
	return p.kind == null || p.kind == scalar && p.text == "" && p.at.from.inline()
}
