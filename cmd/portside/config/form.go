package config

import (
	"fmt"
	"slices"
	"strings"
)

// A form is how one kind of value is read from what a user wrote, written back,
// and described to editors.
type form[T any] struct {
	// read sets v from p. On a fault it leaves v as it was.
	read func(r *reader, p place, v *T)
	// write is v as a user would have written it; nil leaves the key out.
	write func(v T) *node
	// describe is the JSON Schema of what read takes; v is the default.
	describe func(w vocabulary, v T) schema
}

// A key is one key of a section over S.
type key[S any] struct {
	name, doc string
	read      func(r *reader, p place, s *S)
	write     func(s S) *node
	describe  func(w vocabulary, s S) schema
}

// at is the key that keeps a value of form f in the field that of points to.
func at[S, T any](name, doc string, f form[T], of func(*S) *T) key[S] {
	return key[S]{
		name: name, doc: doc,
		read:     func(r *reader, p place, s *S) { f.read(r, p, of(s)) },
		write:    func(s S) *node { return f.write(*of(&s)) },
		describe: func(w vocabulary, s S) schema { return f.describe(w, *of(&s)) },
	}
}

// over is the key that may touch more than one field of S.
func over[S any](name, doc string, f form[S]) key[S] {
	return at(name, doc, f, func(s *S) *S { return s })
}

// when keeps the key out of what is written unless it means something for s.
func (k key[S]) when(meant func(S) bool) key[S] {
	write := k.write
	k.write = func(s S) *node {
		if !meant(s) {
			return nil
		}
		return write(s)
	}
	return k
}

// section is a table with these keys and no others.
func section[S any](keys ...key[S]) form[S] {
	return form[S]{
		read:     func(r *reader, p place, s *S) { readSection(r, p, s, keys) },
		write:    func(s S) *node { return writeSection(s, keys) },
		describe: func(w vocabulary, s S) schema { return describeSection(w, s, keys) },
	}
}

func readSection[S any](r *reader, p place, s *S, keys []key[S]) {
	if p.blank() {
		return
	}
	if p.kind != table {
		r.mismatch(p, table.String(), "its keys are "+nameAll(names(keys)))
		return
	}
	for _, e := range p.entries {
		i := slices.IndexFunc(keys, func(k key[S]) bool { return k.name == e.key })
		if i < 0 {
			r.unknown(p, e, names(keys))
			continue
		}
		if c, ok := r.child(p, e); ok {
			keys[i].read(r, c, s)
		}
	}
}

func (r *reader) unknown(p place, e entry, known []string) {
	const short = 8 // a list that people still read
	message, hint := fmt.Sprintf("unknown key `%s`", e.key), ""
	if e.key == "true" && slices.Contains(known, "on") {
		r.fault(e.at, join(p.path, e.key), message, "did you mean `on`? Some tools read that as true: write \"on\", in quotes, where they read it")
		return
	}
	if near := nearest(e.key, known); near != "" {
		hint = fmt.Sprintf("did you mean `%s`?", near)
	}
	if hint == "" || len(known) <= short {
		hint = strings.TrimSpace(hint + " known are " + nameAll(known))
	}
	r.fault(e.at, join(p.path, e.key), message, hint)
}

func names[S any](keys []key[S]) []string {
	all := make([]string, len(keys))
	for i, k := range keys {
		all[i] = k.name
	}
	return all
}

func nameAll(words []string) string { return strings.Join(words, ", ") }

func writeSection[S any](s S, keys []key[S]) *node {
	n := &node{kind: table}
	for _, k := range keys {
		if v := k.write(s); v != nil {
			n.entries = append(n.entries, entry{key: k.name, value: v})
		}
	}
	return n
}

func describeSection[S any](w vocabulary, s S, keys []key[S]) schema {
	properties := schema{}
	for _, k := range keys {
		d := k.describe(w, s)
		d["description"] = k.doc
		if v := k.write(s); v != nil && v.kind == scalar && d["properties"] == nil {
			d["default"] = v.json()
		}
		properties[k.name] = d
	}
	return schema{"type": []string{"object", "null"}, "properties": properties, "additionalProperties": false}
}

// orOff is f, or the word off. A key without a value is neither: `tls:` whose keys are
// all commented out must not switch TLS on.
func orOff[T any](f form[T], fresh func() T, isOff func(T) bool, off func(*T)) form[T] {
	return form[T]{
		read: func(r *reader, p place, v *T) {
			if r.says(p, "off") || p.negative() {
				off(v)
				return
			}
			if p.blank() {
				r.wrong(p, "has no value", offHint(p))
				return
			}
			if isOff(*v) {
				*v = fresh()
			}
			f.read(r, p, v)
		},
		write: func(v T) *node {
			if isOff(v) {
				return word("off")
			}
			return f.write(v)
		},
		describe: func(w vocabulary, v T) schema {
			d := f.describe(w, fresh())
			d["type"] = "object" // a section by itself may be null
			return anyOrVariable(schema{"enum": []any{"off", false}}, d)
		},
	}
}

// offHint is what to write for a section that is there and says nothing.
func offHint(p place) string {
	if p.kind != null { // in an argument, which has neither tables nor braces
		return "write off, or leave the key out"
	}
	return "write its keys below it, {} for all of its defaults, or off; or leave the key out"
}

// optional is f, or the word off for nil.
func optional[T any](f form[T], fresh func() T) form[*T] {
	held := form[*T]{
		read:     func(r *reader, p place, v **T) { f.read(r, p, *v) },
		write:    func(v *T) *node { return f.write(*v) },
		describe: func(w vocabulary, v *T) schema { return f.describe(w, *v) },
	}
	return orOff(held,
		func() *T { v := fresh(); return &v },
		func(v *T) bool { return v == nil },
		func(v **T) { *v = nil })
}
