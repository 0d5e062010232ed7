package config

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// listOf is a list of at least one item.
func listOf[T any](item form[T], example string) form[[]T] {
	return form[[]T]{
		read: func(r *reader, p place, v *[]T) { readList(r, p, v, item, example) },
		write: func(v []T) *node {
			n := &node{kind: list}
			for _, one := range v {
				n.items = append(n.items, item.write(one))
			}
			return n
		},
		describe: func(w vocabulary, _ []T) schema {
			var one T
			return schema{"type": "array", "minItems": 1, "items": item.describe(w, one)}
		},
	}
}

func readList[T any](r *reader, p place, v *[]T, item form[T], example string) {
	items := p.items
	switch {
	case p.kind == scalar && p.at.from.inline():
		items = split(p.node)
	case p.kind != list:
		r.mismatch(p, "a list", "write "+example)
		return
	}
	if len(items) == 0 {
		r.wrong(p, "is an empty list", "write "+example+", or leave the key out")
		return
	}
	all := make([]T, 0, len(items))
	for i, n := range items {
		var one T // stays zero on a fault, so that places keep their number
		if c, ok := r.child(p, entry{strconv.Itoa(i), n.at, n}); ok {
			item.read(r, c, &one)
		}
		all = append(all, one)
	}
	*v = all
}

// split makes a list of the text of a flag, a variable or an argument.
func split(n *node) []*node {
	if n.text == "" {
		return nil
	}
	var items []*node
	for text := range strings.SplitSeq(n.text, n.at.from.separator) {
		items = append(items, &node{kind: scalar, at: n.at, text: strings.TrimSpace(text)})
	}
	return items
}

// named is a table whose keys are the users' own: names of what fresh makes.
// What is there already is changed, not replaced.
func named[T any](f form[T], fresh func(name string) T, nameOf func(T) string) form[[]T] {
	return form[[]T]{
		read: func(r *reader, p place, v *[]T) {
			at := map[string]int{}
			for i, one := range *v {
				at[nameOf(one)] = i
			}
			readNamed(r, p, func(c place, name string) {
				i, ok := at[name]
				if !ok {
					i = len(*v)
					at[name], *v = i, append(*v, fresh(name))
				}
				f.read(r, c, &(*v)[i])
			})
		},
		write: func(v []T) *node {
			n := &node{kind: table}
			for _, one := range v {
				n.entries = append(n.entries, entry{key: nameOf(one), value: f.write(one)})
			}
			return n
		},
		describe: func(w vocabulary, _ []T) schema {
			return schema{
				"type": []string{"object", "null"}, "propertyNames": schema{"pattern": nameSyntax.String()},
				"additionalProperties": f.describe(w, fresh("")),
			}
		},
	}
}

func readNamed(r *reader, p place, one func(p place, name string)) {
	if p.blank() {
		return
	}
	if p.kind != table {
		r.mismatch(p, "a table of names", "write `NAME:` and its keys below")
		return
	}
	for _, e := range p.entries {
		c, ok := r.child(p, e)
		if !ok {
			continue
		}
		if why := badName(e.key); why != "" {
			r.fault(e.at, c.path, fmt.Sprintf("name %s %s", shown(e.key), why), "names are letters, digits and . _ - with / between parts")
			continue
		}
		one(c, e.key)
	}
}

// pairs is a table of texts, such as metadata. What is there already is added to:
// a flag that gives one text leaves the file's others alone.
var pairs = form[map[string]string]{
	read: func(r *reader, p place, v *map[string]string) {
		if p.kind != table {
			r.mismatch(p, "a table of texts", "write {KEY: VALUE}")
			return
		}
		for _, e := range p.entries {
			if c, ok := r.child(p, e); ok {
				one := ""
				text.read(r, c, &one)
				if *v == nil {
					*v = map[string]string{}
				}
				(*v)[e.key] = one
			}
		}
	},
	write: func(v map[string]string) *node {
		if len(v) == 0 {
			return nil
		}
		n := &node{kind: table}
		for _, k := range slices.Sorted(maps.Keys(v)) {
			n.entries = append(n.entries, entry{key: k, value: text.write(v[k])})
		}
		return n
	},
	describe: func(w vocabulary, _ map[string]string) schema {
		return schema{"type": "object", "additionalProperties": text.describe(w, "")}
	},
}
