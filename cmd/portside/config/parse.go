package config

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

const maxFile = 1 << 20 // bytes; thousands of services fit

// parse reads the one YAML document in data. Nil, with a fault, when there is
// none or it cannot be read; other faults leave out what they are about.
func (r *reader) parse(from *origin, data []byte) *node {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	whole := position{from: from}
	if len(data) > maxFile {
		r.fault(whole, "", "is larger than 1 MiB", "")
		return nil
	}
	data = oneBreak(data)
	if at, what := unreadable(data); what != "" {
		r.fault(locate(from, data, at), "", what, "save it as UTF-8 text")
		return nil
	}
	from.lines = hideSecrets(string(data))
	file := r.parseYAML(from, data)
	if file == nil {
		return nil
	}
	t := translator{reader: r, from: from, anchors: map[string]*node{}}
	return t.document(file)
}

// unreadable finds the first byte that no text file holds.
func unreadable(data []byte) (at int, what string) {
	if bytes.HasPrefix(data, []byte{0xff, 0xfe}) || bytes.HasPrefix(data, []byte{0xfe, 0xff}) {
		return 0, "is UTF-16"
	}
	for i := 0; i < len(data); {
		c, size := utf8.DecodeRune(data[i:])
		switch {
		case c == utf8.RuneError && size == 1:
			return i, "a byte that is not UTF-8"
		case c < ' ' && c != '\t' && c != '\n' && c != '\r', c == 0x7f:
			return i, fmt.Sprintf("a control character (0x%02x)", c)
		}
		i += size
	}
	return 0, ""
}

// oneBreak makes every line break a line feed, as YAML 1.2.2 section 5.4 demands: inside a
// text the parser counts a CR LF as two lines.
func oneBreak(data []byte) []byte {
	data = bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n"))
	return bytes.ReplaceAll(data, []byte("\r"), []byte("\n"))
}

func locate(from *origin, data []byte, at int) position {
	before := data[:at]
	line := before[bytes.LastIndexByte(before, '\n')+1:]
	return position{from, 1 + bytes.Count(before, []byte("\n")), 1 + utf8.RuneCount(line)}
}

// parseYAML is data as the parser reads it; nil, with a fault, if it cannot. The parser is
// young, and its panic must not end a process that reloads.
func (r *reader) parseYAML(from *origin, data []byte) (file *ast.File) {
	defer func() {
		if p := recover(); p != nil {
			file = nil
			r.fault(position{from: from}, "", fmt.Sprintf("not YAML: the parser gave up: %v", p), "")
		}
	}()
	tokens := lexer.Tokenize(string(data))
	if deep := tooDeep(tokens); deep != nil {
		at := position{from, deep.Position.Line, deep.Position.Column}
		r.fault(at, "", fmt.Sprintf("more than %d lists and tables in one another", deepest), "")
		return nil
	}
	// Duplicates are allowed here so that translate can report each with both its lines.
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		r.syntaxFault(from, tokens, err)
		return nil
	}
	return file
}

// deepest is how many brackets may be open, and dashes stand in a row, at once. The parser
// recurses for each, and no recover helps when the stack or the memory is exhausted.
const deepest = 100

// tooDeep is the first token that is deeper than that, or nil. Tables without brackets cannot
// get so deep: each level is indented, and a file may not be that large.
func tooDeep(tokens token.Tokens) *token.Token {
	open, dashes := 0, 0
	for _, t := range tokens {
		switch t.Type {
		case token.MappingStartType, token.SequenceStartType:
			open++
		case token.MappingEndType, token.SequenceEndType:
			open = max(open-1, 0)
		}
		if dashes++; t.Type != token.SequenceEntryType {
			dashes = 0
		}
		if open+dashes > deepest {
			return t
		}
	}
	return nil
}

func (r *reader) syntaxFault(from *origin, tokens token.Tokens, err error) {
	at, message, hint := position{from: from}, err.Error(), ""
	if bad, ok := errors.AsType[yaml.Error](err); ok {
		message = bad.GetMessage()
		at = position{from, bad.GetToken().Position.Line, bad.GetToken().Position.Column}
		if p := bareVariable(tokens); p != nil {
			r.fault(position{from, p.Line, p.Column - 1}, "", "not YAML: a variable without quotes", `in {…} and […] write "${NAME}", in quotes: a brace begins a table there`)
			return
		}
	}
	switch {
	case strings.Contains(message, "'\t'"):
		message, hint = "a tab", "YAML is indented with spaces"
	case strings.HasPrefix(message, "mapping value is not allowed"):
		hint = "either the indentation is off, or a value with a colon in it needs quotes"
	}
	r.fault(at, "", "not YAML: "+message, hint)
}

// bareVariable is the place of the brace of the first ${ that stands without quotes inside
// brackets, where plain text may hold no brace (YAML 1.2.2 section 7.3.3); nil when there is
// none. The parser's own message is about commas, and hides the mistake.
func bareVariable(tokens token.Tokens) *token.Position {
	for _, t := range tokens {
		before := t.Prev
		if t.Type == token.MappingStartType && before != nil && before.Type == token.StringType && strings.HasSuffix(before.Value, "$") &&
			before.Position.Line == t.Position.Line {
			return t.Position
		}
	}
	return nil
}

// A translator makes nodes of the parser's tree: aliases followed, merge keys
// written out, duplicates and what has no place in a configuration reported.
type translator struct {
	*reader
	from    *origin
	anchors map[string]*node // complete ones only, so none can hold itself
}

// document is the one that the file holds; nil, with a fault, when there is none.
func (t *translator) document(file *ast.File) *node {
	var docs []*ast.DocumentNode
	for _, doc := range file.Docs {
		if _, directive := doc.Body.(*ast.DirectiveNode); !directive && doc.Body != nil {
			docs = append(docs, doc)
		}
	}
	if len(docs) > 1 {
		at := t.begin(docs[1].Body)
		if docs[1].Start != nil {
			at = t.at(docs[1].Start)
		}
		t.fault(at, "", "a second document", "one file is one document")
	}
	root := &node{}
	if len(docs) > 0 {
		root = t.translate("", docs[0].Body)
	}
	switch root.kind {
	case null:
		t.fault(position{from: t.from}, "", "is empty", "it needs at least `services:` or `register:`")
		return nil
	case broken:
		return nil
	}
	return root
}

func (t *translator) at(tok *token.Token) position {
	return position{t.from, tok.Position.Line, tok.Position.Column}
}

func (t *translator) translate(path string, n ast.Node) *node {
	switch n := n.(type) {
	case *ast.MappingNode:
		if len(n.Values) == 1 && glued(n.Values[0]) && !n.IsFlowStyle { // which has no braces of its own
			return t.glue(n.Values[0])
		}
		return t.table(path, t.start(n), n.Values)
	case *ast.MappingValueNode:
		if glued(n) {
			return t.glue(n)
		}
		return t.table(path, t.at(n.Key.GetToken()), []*ast.MappingValueNode{n})
	case *ast.SequenceNode:
		return t.list(path, n)
	case *ast.AnchorNode:
		v := t.translate(path, n.Value)
		t.anchors[n.Name.GetToken().Value] = v
		return v
	case *ast.AliasNode:
		return t.alias(path, n)
	case *ast.TagNode:
		t.fault(t.at(n.GetToken()), path, fmt.Sprintf("a tag, %s", shown(n.Start.Value)), "leave it out; values have the type their key asks for")
		return t.translate(path, n.Value)
	case *ast.LiteralNode:
		return &node{kind: scalar, at: t.at(n.GetToken()), text: n.Value.Value, quoted: true}
	case *ast.NullNode, nil:
		return t.null(n)
	}
	tok := n.GetToken()
	quoted := tok.Type == token.SingleQuoteType || tok.Type == token.DoubleQuoteType
	return &node{kind: scalar, at: t.at(tok), text: tok.Value, quoted: quoted}
}

// glued reports whether n is plain text with a colon in it, 10.0.0.7:5432, which
// the parser takes for a key and a value inside brackets. YAML 1.2 7.3.3: a colon
// makes a key only with a space, a comma or a bracket behind it.
func glued(n *ast.MappingValueNode) bool {
	key, value := n.Key.GetToken(), n.Value.GetToken()
	return value != nil && n.Start != nil && plain(key) && plain(value) &&
		value.Position.Line == n.Start.Position.Line && value.Position.Offset == n.Start.Position.Offset+1
}

func plain(tok *token.Token) bool {
	return tok.Type != token.SingleQuoteType && tok.Type != token.DoubleQuoteType && tok.Type != token.MappingStartType && tok.Type != token.SequenceStartType
}

func (t *translator) glue(n *ast.MappingValueNode) *node {
	key := n.Key.GetToken()
	return &node{kind: scalar, at: t.at(key), text: key.Value + ":" + n.Value.GetToken().Value}
}

// begin is where n begins. The token of a table without braces is its first colon.
func (t *translator) begin(n ast.Node) position {
	switch n := n.(type) {
	case *ast.MappingNode:
		return t.start(n)
	case *ast.MappingValueNode:
		return t.at(n.Key.GetToken())
	}
	return t.at(n.GetToken())
}

// start is where a table begins: its brace, or its first key.
func (t *translator) start(n *ast.MappingNode) position {
	if n.IsFlowStyle || len(n.Values) == 0 {
		return t.at(n.Start)
	}
	return t.at(n.Values[0].Key.GetToken())
}

func (t *translator) null(n ast.Node) *node {
	if n == nil {
		return &node{at: position{from: t.from}}
	}
	return &node{at: t.at(n.GetToken())}
}

func (t *translator) list(path string, n *ast.SequenceNode) *node {
	l := &node{kind: list, at: t.at(n.Start)}
	for i, item := range n.Values {
		l.items = append(l.items, t.translate(join(path, strconv.Itoa(i)), item))
	}
	return l
}

func (t *translator) alias(path string, n *ast.AliasNode) *node {
	name := n.Value.GetToken().Value
	v, ok := t.anchors[name]
	if !ok {
		t.fault(t.at(n.Start), path, fmt.Sprintf("no anchor &%s before this", name), "text that begins with * needs quotes")
		return &node{kind: broken, at: t.at(n.Start)}
	}
	here := *v // without a copy of its items, of which aliases of aliases may make billions
	here.at, here.alias = t.at(n.Start), t.at(n.Start)
	return &here
}

func (t *translator) table(path string, at position, values []*ast.MappingValueNode) *node {
	m := &node{kind: table, at: at}
	first := map[string]position{}
	var merged []*node
	var merge position // where the first merge key is; zero: there is none
	for _, v := range values {
		tok := v.Key.GetToken()
		if v.Key.IsMergeKey() {
			if merge.line > 0 {
				t.fault(t.at(tok), path, "duplicate key `<<`", fmt.Sprintf("it is already on line %d; to merge two tables, write <<: [*a, *b]", merge.line))
				continue
			}
			merge = t.at(tok)
			merged = append(merged, t.merged(path, v.Value)...)
			continue
		}
		if _, question := v.Key.(*ast.MappingKeyNode); question {
			t.fault(t.at(tok), path, "a key that begins with ?", "write KEY: VALUE; text that begins with ? needs quotes")
			continue
		}
		if was, twice := first[tok.Value]; twice {
			t.fault(t.at(tok), join(path, tok.Value), fmt.Sprintf("duplicate key `%s`", tok.Value), fmt.Sprintf("it is already on line %d", was.line))
			continue
		}
		first[tok.Value] = t.at(tok)
		m.entries = append(m.entries, entry{tok.Value, t.at(tok), t.translate(join(path, tok.Value), v.Value)})
	}
	t.merge(path, m, merged)
	return m
}

// merged is what a merge key names: a table or a list of them.
func (t *translator) merged(path string, n ast.Node) []*node {
	v := t.translate(path, n)
	if v.kind != list {
		return []*node{v}
	}
	return v.items
}

// merge adds to m what the merged tables have and m, or an earlier one, has not.
func (t *translator) merge(path string, m *node, merged []*node) {
	has := map[string]bool{}
	for _, e := range m.entries {
		has[e.key] = true
	}
	for _, other := range merged {
		if other.kind == broken {
			continue
		}
		if other.kind != table {
			t.fault(other.at, path, "a merge key (<<) that names no table of keys", "write <<: *anchor")
			continue
		}
		for _, e := range other.entries {
			if !has[e.key] && t.spend(e.at) {
				has[e.key] = true
				m.entries = append(m.entries, e.through(other.alias))
			}
		}
	}
}
