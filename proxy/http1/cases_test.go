package http1

import (
	"bytes"
	"errors"
	"testing"

	"portside/proxy/http1/http1test"

	"github.com/google/go-cmp/cmp"
)

// message is what was understood of one message, in plain values.
type message struct {
	Status              int // of the refusal
	InBody              bool
	Head, Body, Trailer string
	Rest                string
}

func wanted(c http1test.Case) message {
	return message{c.Status, c.InBody, c.Head, c.Body, c.Trailer, c.Rest}
}

// readBody takes the body off rest, feeding a chunked one in pieces of step bytes.
func readBody(m message, f Framing, rest []byte, step int) message {
	rest = bytes.Clone(rest) // Decode moves bytes
	switch f.Kind {
	case Length:
		n := min(int(f.Length), len(rest))
		m.Body, rest = string(rest[:n]), rest[n:]
	case UntilClose:
		m.Body, rest = string(rest), nil
	case Chunked:
		var c ChunkReader
		for !c.Done() && len(rest) > 0 {
			data, n, err := c.Decode(rest[:min(step, len(rest))])
			m.Body += string(data)
			rest = rest[n:]
			if err != nil {
				m.InBody, m.Status = true, statusOf(err)
				return m
			}
		}
		m.Trailer = string(c.Trailer)
	}
	m.Rest = string(rest)
	return m
}

func statusOf(err error) int {
	var syntax *SyntaxError
	if !errors.As(err, &syntax) {
		return -1
	}
	return syntax.Status
}

// readRequest gives a parser raw in pieces of step bytes, as they would arrive.
func readRequest(raw []byte, step int) message {
	var r Request
	n, err := drip(raw, step, func(b []byte) (int, error) { return r.Parse(b, Limits{}) })
	if err != nil {
		return message{Status: statusOf(err)}
	}
	m := message{Head: string(AppendEnd(r.AppendHead(nil)))}
	return readBody(m, r.Framing, raw[n:], step)
}

func readResponse(raw []byte, method Method, step int) message {
	var r Response
	n, err := drip(raw, step, func(b []byte) (int, error) { return r.Parse(b, method, Limits{}) })
	if err != nil {
		return message{Status: 502}
	}
	m := message{Head: string(AppendEnd(r.AppendHead(nil)))}
	if m = readBody(m, r.Framing, raw[n:], step); m.InBody {
		m.Status = 502
	}
	return m
}

// drip calls parse with more and more of raw, step bytes at a time, each time in
// another buffer, until it is content or no more is left.
func drip(raw []byte, step int, parse func([]byte) (int, error)) (n int, err error) {
	for end := 0; end < len(raw); {
		end = min(end+step, len(raw))
		if n, err = parse(bytes.Clone(raw[:end])); err != ErrIncomplete {
			return n, err
		}
	}
	return 0, err
}

// steps are sizes of pieces: everything at once, byte by byte, and odd ones.
func steps(raw string) []int {
	if len(raw) > 4<<10 {
		return []int{1 << 20, 1021}
	}
	return []int{1 << 20, 1, 2, 3, 7, 64}
}

func TestEveryRequestIsUnderstoodInOneWayOrRefused(t *testing.T) {
	for _, c := range http1test.Requests() {
		t.Run(c.Name, func(t *testing.T) {
			for _, step := range steps(c.Raw) {
				got := readRequest([]byte(c.Raw), step)
				if diff := cmp.Diff(wanted(c), got); diff != "" {
					t.Fatalf("%s, in pieces of %d bytes: want -, got +\n%s", c.Clause, step, diff)
				}
			}
		})
	}
}

func TestEveryResponseIsUnderstoodInOneWayOrRefused(t *testing.T) {
	for _, c := range http1test.Responses() {
		t.Run(c.Name, func(t *testing.T) {
			for _, step := range steps(c.Raw) {
				got := readResponse([]byte(c.Raw), methodID([]byte(c.Method)), step)
				if diff := cmp.Diff(wanted(c), got); diff != "" {
					t.Fatalf("%s, in pieces of %d bytes: want -, got +\n%s", c.Clause, step, diff)
				}
			}
		})
	}
}

func TestCasesHaveNamesOfTheirOwn(t *testing.T) {
	for _, cases := range [][]http1test.Case{http1test.Requests(), http1test.Responses()} {
		seen := map[string]bool{}
		for _, c := range cases {
			if seen[c.Name] || c.Name == "" || c.Clause == "" {
				t.Errorf("case %q (%s): want a name of its own and a clause, to be found by", c.Name, c.Clause)
			}
			seen[c.Name] = true
		}
		t.Logf("%d cases", len(cases))
	}
}

// What goes on is canonical: read again it is the same, and so is what is made
// of it.
func TestWhatIsSentOnIsAFixedPoint(t *testing.T) {
	for _, c := range http1test.Requests() {
		if c.Head == "" {
			continue
		}
		if again := readRequest([]byte(c.Head), 1<<20); c.Head != again.Head && c.Head != "GET / HTTP/1.1\r\nHost: \r\n\r\n" {
			t.Errorf("%s: sent on %q, read by the next as %q", c.Name, c.Head, again.Head)
		}
	}
	for _, c := range http1test.Responses() {
		if c.Head == "" {
			continue
		}
		if again := readResponse([]byte(c.Head), methodID([]byte(c.Method)), 1<<20); c.Head != again.Head {
			t.Errorf("%s: sent on %q, read by the next as %q", c.Name, c.Head, again.Head)
		}
	}
}
