package config

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
)

// plainText is text that YAML reads as it stands, without quotes.
var plainText = regexp.MustCompile(`^[A-Za-z0-9/][A-Za-z0-9_./+-]*(:[A-Za-z0-9_./+-]+)*$`)

// yaml writes n as a block at that depth.
func (n *node) yaml(b *strings.Builder, depth int) {
	indent := strings.Repeat("  ", depth)
	for _, e := range n.entries {
		fmt.Fprintf(b, "%s%s:", indent, writeKey(e.key))
		e.value.yamlValue(b, depth)
	}
	for _, item := range n.items {
		fmt.Fprintf(b, "%s-", indent)
		item.yamlValue(b, depth)
	}
}

func (n *node) yamlValue(b *strings.Builder, depth int) {
	switch {
	case n.kind == scalar:
		fmt.Fprintf(b, " %s\n", n.yamlScalar())
	case n.kind == table && len(n.entries) == 0:
		b.WriteString(" {}\n")
	default:
		b.WriteByte('\n')
		n.yaml(b, depth+1)
	}
}

func (n *node) yamlScalar() string {
	if !n.quoted {
		return n.text
	}
	return writeKey(escape(n.text))
}

// writeKey is text as it stands where YAML cannot mistake it, else in quotes.
func writeKey(text string) string {
	switch strings.ToLower(text) {
	case "null", "true", "false":
		return doubleQuote(text)
	}
	if plainText.MatchString(text) {
		return text
	}
	return doubleQuote(text)
}

// doubleQuote writes a double-quoted scalar (YAML 1.2.2 section 7.3.1).
func doubleQuote(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range text {
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteRune(c)
		case unicode.IsPrint(c):
			b.WriteRune(c)
		default:
			fmt.Fprintf(&b, `\U%08X`, c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// Effective is the whole configuration as YAML, every default filled in. It
// loads to an equal [Config] but for Source. In place of the password of etcd
// stands ${PORTSIDE_ETCD_PASSWORD}: set it to load the text.
func (c *Config) Effective() []byte {
	var b strings.Builder
	fileSection.write(*c).yaml(&b, 0)
	return []byte(b.String())
}
