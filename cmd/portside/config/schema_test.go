package config

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// An editor must not underline what Load takes, nor keep quiet about a key it
// does not.
func TestSchemaAgreesWithLoad(t *testing.T) {
	s := readSchema(t)
	sample, err := os.ReadFile("testdata/sample.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"sample": string(sample), "full": full,
		"effective":              string(load(t, testOptions(full)).Effective()),
		"variables":              "admin: ${A}\ndrain: {timeout: \"${T}\"}\nservices: {a: {listen: 1, balance: \"${B}\", retry: {attempts: \"${N}\"}}}\n",
		"variables for tables":   "etcd: {endpoints: \"${E:-embedded}\", tls: \"${T:-off}\"}\nservices: {a: {listen: 1, guard: \"${G:-off}\", health: \"${H:-off}\", access_log: \"${L:-off}\"}}\n",
		"numbers in quotes":      "services: {a: {listen: 1, eject: {max_percent: \"50\"}, retry: {attempts: \"2\", budget: \"0.5\"}}}\nregister: {a: {address: \"h:1\", weight: \"2\"}}\n",
		"off as YAML 1.1 has it": "etcd: {tls: false}\nservices: {a: {listen: 1, protocol: http, guard: false, eject: false, health: false, access_log: false, forwarded: false}}\nregister: {a: {address: \"h:1\", check: false}}\n",
		"nothing":                "services:\nregister:\n",
	} {
		if why := s.accepts(document(t, text)); why != "" {
			t.Errorf("the schema refuses %s: %s", name, why)
		}
	}
	for _, text := range []string{
		"ballance: 1\n", "services: {a: {ballance: ewma}}\n", "services: {a: {balance: rr}}\n", "services: {a: {guard: {windo: 1s}}}\n",
		"services: {a: {retry: {attempts: 0}}}\n", "services: {a: {format: kratus}}\n", "services: {/a: {}}\n",
		"drain: {timeout: 5}\n", "drain: {timeout: -5s}\n", "register: {a: {check: {exec: x}}}\n", "register: {a: {format: auto}}\n",
		"services: {a: {endpoints: []}}\n", "services: [a]\n", "services: {a: {access_log: {errors_only: maybe}}}\n",
		"etcd:\n  tls:\n", "services: {a: {access_log: }}\n", "register: {a: {check: }}\n",
	} {
		if s.accepts(document(t, text)) == "" {
			t.Errorf("the schema accepts what Load does not:\n%s", text)
		}
	}
}

func TestSchemaDescribesEveryKeyAndItsDefault(t *testing.T) {
	s := readSchema(t)
	timeouts := s.at("properties", "services", "additionalProperties", "properties", "timeouts", "properties", "connect")
	if timeouts["default"] != "1s" || timeouts["description"] == "" {
		t.Errorf("services.*.timeouts.connect is described as %v, want its default, 1s, and a sentence", timeouts)
	}
	if got := s.at("properties", "admin")["default"]; got != "127.0.0.1:7070" {
		t.Errorf("default of admin = %v", got)
	}
}

func document(t *testing.T, text string) any {
	t.Helper()
	var v any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func readSchema(t *testing.T) checked {
	t.Helper()
	o := testOptions("")
	var s checked
	if err := json.Unmarshal(Schema(o.Formats, o.Written), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// checked is as much of a JSON Schema validator as our schema needs. accepts
// says why it does not.
type checked map[string]any

func (s checked) at(path ...string) checked {
	for _, p := range path {
		s = s[p].(map[string]any)
	}
	return s
}

func (s checked) accepts(v any) string {
	for keyword, want := range s {
		if why := s.holds(keyword, want, v); why != "" {
			return why
		}
	}
	return ""
}

func (s checked) holds(keyword string, want, v any) string {
	switch keyword {
	case "$schema", "title", "description", "default":
		return ""
	case "anyOf":
		var all []string
		for _, w := range want.([]any) {
			why := checked(w.(map[string]any)).accepts(v)
			if why == "" {
				return ""
			}
			all = append(all, why)
		}
		return strings.Join(all, " and ")
	case "type":
		types, many := want.([]any)
		if !many {
			types = []any{want}
		}
		return unless(slices.ContainsFunc(types, func(t any) bool { return isType(v, t.(string)) }), "%v is no %v", v, want)
	case "enum":
		return unless(slices.Contains(want.([]any), v), "%v is none of %v", v, want)
	case "const":
		return unless(v == want, "%v is not %v", v, want)
	}
	switch v := v.(type) {
	case string:
		return unless(keyword != "pattern" || regexp.MustCompile(want.(string)).MatchString(v), "%q does not match %v", v, want)
	case []any:
		return s.holdsList(keyword, want, v)
	case map[string]any:
		return s.holdsTable(keyword, want, v)
	}
	number, ok := numberOf(v)
	switch keyword {
	case "minimum":
		return unless(!ok || number >= want.(float64), "%v < %v", v, want)
	case "maximum":
		return unless(!ok || number <= want.(float64), "%v > %v", v, want)
	case "exclusiveMinimum":
		return unless(!ok || number > want.(float64), "%v <= %v", v, want)
	}
	return ""
}

func (s checked) holdsList(keyword string, want any, v []any) string {
	switch keyword {
	case "minItems":
		return unless(len(v) >= int(want.(float64)), "%d items", len(v))
	case "items":
		for _, item := range v {
			if why := checked(want.(map[string]any)).accepts(item); why != "" {
				return why
			}
		}
	}
	return ""
}

func (s checked) holdsTable(keyword string, want any, v map[string]any) string {
	for key, value := range v {
		known, _ := s["properties"].(map[string]any)
		_, is := known[key]
		why := ""
		switch below, table := want.(map[string]any); {
		case keyword == "maxProperties":
			why = unless(len(v) <= int(want.(float64)), "%d keys", len(v))
		case keyword == "properties" && is:
			why = checked(below[key].(map[string]any)).accepts(value)
		case keyword == "propertyNames":
			why = checked(below).accepts(key)
		case keyword == "additionalProperties" && !is && table:
			why = checked(below).accepts(value)
		case keyword == "additionalProperties" && !is:
			why = "unknown key"
		}
		if why != "" {
			return key + ": " + why
		}
	}
	return ""
}

func unless(ok bool, format string, args ...any) string {
	if ok {
		return ""
	}
	return fmt.Sprintf(format, args...)
}

func isType(v any, want string) bool {
	_, isNumber := numberOf(v)
	switch v := v.(type) {
	case nil:
		return want == "null"
	case string:
		return want == "string"
	case bool:
		return want == "boolean"
	case []any:
		return want == "array"
	case map[string]any:
		return want == "object"
	case float64, float32:
		return want == "number"
	default:
		_ = v
		return isNumber && (want == "number" || want == "integer")
	}
}

func numberOf(v any) (float64, bool) {
	switch v := v.(type) {
	case int64:
		return float64(v), true
	case uint64:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}
