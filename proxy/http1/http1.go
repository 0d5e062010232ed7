// Package http1 reads and writes HTTP/1.1 messages on the wire, strictly: a head
// is either understood in one way or refused, its framing is decided once, and
// what is sent on is rebuilt from what was understood (RFC 9110, RFC 9112).
//
// A head is parsed where it lies, in the caller's buffer, without allocating:
//
//	var req http1.Request
//	n, err := req.Parse(buf, http1.Limits{})
//	switch {
//	case err == http1.ErrIncomplete: // read more behind buf, call Parse again
//	case err != nil:                 // a *SyntaxError says which status to answer
//	}
//	out = req.AppendHead(out[:0])
//	out = http1.AppendField(out, "X-Forwarded-Proto", "http")
//	out = http1.AppendEnd(out)
//
// A body is Framing.Length bytes, or goes through a [ChunkReader], or lasts until
// the connection ends.
//
// The package does no I/O, keeps no connections, and knows neither routes nor
// policies: whether an Upgrade is wanted, whether a request may be tried again,
// what to add about the client, is for the caller to say.
package http1

import (
	"bytes"
	"iter"
	"strings"
)

// Kind is how the end of a message's body is found.
type Kind uint8

// The ways a body ends (RFC 9112 6.3).
const (
	None       Kind = iota // there is no body
	Length                 // after Framing.Length bytes
	Chunked                // where the chunked coding says so
	UntilClose             // with the connection; responses only
)

// String names the kind.
func (k Kind) String() string {
	switch k {
	case None:
		return "none"
	case Length:
		return "length"
	case Chunked:
		return "chunked"
	}
	return "until close"
}

// Framing is how a message's body is delimited. It is decided once, by Parse,
// and all that follows keeps to it.
type Framing struct {
	Kind   Kind
	Length int64 // bytes; only for Kind Length, where it may be 0
}

// Empty reports that no byte of body follows the head.
func (f Framing) Empty() bool {
	return f.Kind == None || f.Kind == Length && f.Length == 0
}

// Limits bounds a head. The zero value is every default.
type Limits struct {
	// Head is the most bytes a head may have, its empty lines included.
	// Zero: 64 KiB.
	Head int
	// Target is the most bytes a request-target may have. Zero: 16 KiB.
	Target int
	// Fields is the most field lines a request's head may have, at most [MaxFields].
	// Zero: MaxFields. A response's may have [MaxAnswerFields].
	Fields int
}

// MaxFields is the most field lines that a request's head may have, MaxAnswerFields that
// a response's may: servers set each cookie by a line of its own.
const (
	MaxFields       = 128
	MaxAnswerFields = 2 * MaxFields
)

// Refuse says why a request whose head came another way, in HTTP/2's frames, would
// not be served had it come this way, with its target in origin-form and fields of those
// values. It is nil for one that would.
func (l Limits) Refuse(method, target, host string, values iter.Seq[string]) *SyntaxError {
	m, t := []byte(method), []byte(target)
	lines := 0
	for v := range values {
		lines++
		if v != "" && (isSpace(v[0]) || isSpace(v[len(v)-1])) {
			return errPadded
		}
	}
	switch {
	case len(t) > l.target():
		return errTargetLong
	case lines > l.fields():
		return errFields
	case bytes.ContainsFunc(m, func(c rune) bool { return c >= 0x80 || class[c]&token == 0 }):
		return errMethod
	case targetEnd(t, 0) != len(t), !strings.HasPrefix(target, "/") && target != "*":
		return errTarget
	}
	err := targetError(m, t)
	if err == nil {
		err = hostError([]byte(host))
	}
	bad, _ := err.(*SyntaxError)
	return bad
}

func (l Limits) head() int   { return orDefault(l.Head, 64<<10) }
func (l Limits) target() int { return orDefault(l.Target, 16<<10) }
func (l Limits) fields() int { return min(orDefault(l.Fields, MaxFields), MaxFields) }

func orDefault(n, otherwise int) int {
	if n > 0 {
		return n
	}
	return otherwise
}
