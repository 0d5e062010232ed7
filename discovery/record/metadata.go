package record

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Bounds on the metadata of an endpoint; a registry is not a place for documents.
const (
	maxEntries   = 64
	maxMetadata  = 4 << 10 // bytes of keys and values together
	maxFlattened = 4       // levels of nesting that become dotted keys
)

// metadata flattens any JSON value: {"a":{"b":1}} becomes a.b=1, an array its
// own text, and a value that is no object goes by the name "metadata". Nulls
// and empty strings say nothing and are left out.
func metadata(raw json.RawMessage) map[string]string {
	into := map[string]string{}
	flatten(into, "", raw, 0)
	return into
}

func flatten(into map[string]string, name string, raw json.RawMessage, depth int) {
	if len(raw) > 0 && raw[0] == '{' && depth < maxFlattened {
		flattenObject(into, name, raw, depth)
		return
	}
	if name == "" {
		name = "metadata"
	}
	if text := textOf(raw); text != "" {
		into[name] = text
	}
}

func flattenObject(into map[string]string, name string, raw json.RawMessage, depth int) {
	var object map[string]json.RawMessage
	if json.Unmarshal(raw, &object) != nil {
		return // cannot be: raw is a part of a value that parsed
	}
	if name != "" {
		name += "."
	}
	// In order, so that of two fields with one dotted name the same one stays.
	for _, k := range slices.Sorted(maps.Keys(object)) {
		flatten(into, name+k, object[k], depth+1)
	}
}

// textOf is a JSON scalar as text; of an array or object, the compact source.
func textOf(raw json.RawMessage) string {
	var text loose
	if text.UnmarshalJSON(raw) != nil {
		return ""
	}
	return string(text)
}

// loose is a JSON value of which writers disagree whether it is a string: 5, "5", true.
type loose string

// UnmarshalJSON accepts any value. Null is the empty string.
func (l *loose) UnmarshalJSON(raw []byte) error {
	*l = ""
	switch {
	case len(raw) == 0 || string(raw) == "null":
		return nil
	case raw[0] == '"':
		var s string
		err := json.Unmarshal(raw, &s)
		*l = loose(strings.TrimSpace(s))
		return err
	case raw[0] == '{' || raw[0] == '[':
		var compact bytes.Buffer
		err := json.Compact(&compact, raw)
		*l = loose(compact.String())
		return err
	}
	*l = loose(raw)
	return nil
}

func isTrue(s string) bool  { return isWord(s, "true", "1", "yes", "on") }
func isFalse(s string) bool { return isWord(s, "false", "0", "no", "off") }

func isWord(s string, words ...string) bool {
	return slices.ContainsFunc(words, func(w string) bool { return strings.EqualFold(s, w) })
}

// parse reads the whole value as a JSON object. Field names match whatever
// their case, which is how one struct reads what Go and Java write.
func (in entry) parse(into any) error {
	if !strings.HasPrefix(in.text, "{") {
		return fmt.Errorf("value %q is not a JSON object", short(in.text))
	}
	if err := json.Unmarshal([]byte(in.text), into); err != nil {
		return fmt.Errorf("value %q: %w", short(in.text), err)
	}
	return nil
}

// take removes name, or Name as a Go struct would have it, and returns its value.
func take(m map[string]string, name string) string {
	for _, k := range []string{name, strings.ToUpper(name[:1]) + name[1:]} {
		if v, ok := m[k]; ok {
			delete(m, k)
			return v
		}
	}
	return ""
}

// with sets name unless value is empty, making the map when there is none.
func with(m map[string]string, name, value string) map[string]string {
	if value == "" {
		return m
	}
	if m == nil {
		m = map[string]string{}
	}
	m[name] = value
	return m
}

// bound keeps what fits, in the order of names, and says what it left out.
func bound(m map[string]string) (kept map[string]string, warning string) {
	size, dropped := 0, 0
	for k, v := range m {
		size += len(k) + len(v)
	}
	if len(m) == 0 {
		return nil, ""
	}
	if len(m) <= maxEntries && size <= maxMetadata {
		return m, ""
	}
	kept, size = map[string]string{}, 0
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if n := len(k) + len(m[k]); len(kept) < maxEntries && size+n <= maxMetadata {
			kept[k], size = m[k], size+n
			continue
		}
		dropped++
	}
	return kept, fmt.Sprintf("%d of %d metadata entries left out: the most is %d entries and %d bytes",
		dropped, len(m), maxEntries, maxMetadata)
}
