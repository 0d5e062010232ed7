package config

import (
	"encoding/json"
	"maps"
	"strconv"
)

// schema is a piece of JSON Schema.
type schema map[string]any

func (s schema) clone() schema { return maps.Clone(s) }

// anyOrVariable is one of the shapes, or text with a variable in it, which may
// turn out as any of them.
func anyOrVariable(shapes ...schema) schema {
	return schema{"anyOf": append(shapes, schema{"type": "string", "pattern": `\$\{`})}
}

// numberOrVariable is a number, in quotes or not, or text with a variable in it.
func numberOrVariable(number schema, others ...schema) schema {
	quoted := schema{"type": "string", "pattern": `^[0-9]*\.?[0-9]+$`}
	return anyOrVariable(append([]schema{number, quoted}, others...)...)
}

func patternOrVariable(pattern string) schema {
	return anyOrVariable(schema{"type": "string", "pattern": pattern})
}

// Schema is the JSON Schema (draft 2020-12) of the file, for editors. It comes
// from the tables that read the file, so it knows the same keys and defaults.
// Formats and written are as in [Options]; empty allows any format.
func Schema(formats, written []string) []byte {
	s := fileSection.describe(vocabulary{formats, written}, defaults())
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = "portside.yaml"
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		panic(err) // maps, slices, texts and numbers always marshal
	}
	return append(text, '\n')
}

// json is the scalar n as a value of JSON.
func (n *node) json() any {
	if n.quoted {
		return n.text
	}
	if v, err := strconv.ParseFloat(n.text, 64); err == nil {
		return v
	}
	if v, err := strconv.ParseBool(n.text); err == nil {
		return v
	}
	return n.text
}
