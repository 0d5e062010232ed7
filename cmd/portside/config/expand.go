package config

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

var (
	variable = regexp.MustCompile(`^\$\{([A-Za-z_][A-Za-z0-9_]*)(:-([^}]*))?\}`)

	errLoneDollar  = errors.New(`"$" that begins no variable; write $$ for a dollar sign, ${NAME} or ${NAME:-default} for a variable`)
	errNestedValue = errors.New(`a default cannot hold another variable`)
)

// expand replaces ${NAME}, ${NAME:-default} and $$ in text. As in a shell, the
// default also stands in for a variable that is set to nothing. Errors name
// variables but never show text, which may be a password.
func expand(text string, env func(string) (string, bool)) (string, error) {
	var b strings.Builder
	for {
		before, _, found := strings.Cut(text, "$")
		b.WriteString(before)
		if !found {
			return b.String(), nil
		}
		text = text[len(before):]
		if strings.HasPrefix(text, "$$") {
			b.WriteByte('$')
			text = text[2:]
			continue
		}
		m := variable.FindStringSubmatch(text)
		if m == nil {
			return "", errLoneDollar
		}
		value, err := lookup(m[1], m[2] != "", m[3], env)
		if err != nil {
			return "", err
		}
		b.WriteString(value)
		text = text[len(m[0]):]
	}
}

func lookup(name string, hasDefault bool, otherwise string, env func(string) (string, bool)) (string, error) {
	if strings.Contains(otherwise, "${") {
		return "", errNestedValue
	}
	value, set := env(name)
	switch {
	case hasDefault && value == "":
		return otherwise, nil
	case !set:
		return "", fmt.Errorf("the variable %s is not set; set it, or write ${%s:-default}", name, name)
	}
	return value, nil
}

// escape makes text such that expand gives it back.
func escape(text string) string { return strings.ReplaceAll(text, "$", "$$") }
