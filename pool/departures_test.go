package pool

import (
	"strings"
	"testing"
	"time"

	"portside/discovery"
)

func TestMass(t *testing.T) {
	for _, c := range []struct {
		missing, size, present int
		max                    float64
		want                   bool
	}{
		{1, 1, 0, 0.5, false},
		{1, 2, 1, 0.5, false},
		{1, 10, 9, 0.05, false}, // one is never a mass
		{2, 2, 0, 0.5, true},
		{2, 3, 1, 0.5, true},
		{2, 4, 2, 0.5, false},
		{3, 6, 3, 0.5, false},
		{20, 20, 0, 0.5, true},
		{11, 20, 9, 0.5, true},
		{10, 20, 10, 0.5, false},
		{3, 20, 17, 0.1, true},
		{2, 2, 1, 0.5, true},  // one came instead of two
		{2, 2, 2, 0.5, false}, // two
		{2, 2, 3, 0.5, false},
	} {
		if got := mass(c.missing, c.size, c.present, c.max); got != c.want {
			t.Errorf("mass(%d missing of %d, %d there, %v) = %v, want %v", c.missing, c.size, c.present, c.max, got, c.want)
		}
	}
}

// Each step is what the registry lists, a letter a backend, a capital one that announces
// its departure; a second lies between two of them.
func TestWhoIsDoubted(t *testing.T) {
	for _, c := range []struct{ name, steps, want string }{
		{"one key, rewritten", "a b c d", ""},
		{"one key, rewritten and deleted", "a b -", ""},
		{"one after another, never two at once", "a - b - c -", ""},
		{"one that flaps", "abc bc abc bc abc bc", ""},
		{"two keys, rewritten in turn", "ab cb cd ed ef", ""},
		{"a rollout that starts three and stops three", "abc abcdef def", ""},
		{"a rollout that stops one and starts one", "abcd bcd bcde cde cdef def defg efg efgh", ""},
		{"all replaced at once", "abcd efgh", ""},
		{"all at once", "abcd -", "abcd"},
		{"all of two", "ab -", "ab"},
		{"one by one", "abcd bcd cd d -", "abcd"},
		{"half", "abcd cd", ""},
		{"more than half", "abcd d", "abc"},
		{"more than half, and one comes", "abc d", "abc"},
		{"all, after one was replaced", "abcd ebcd -", "bcde"},
		{"all, after one was replaced a little later", "abcd bcd bcde -", "bcde"},
		{"most, while some come back", "abc bc c ac a", "bc"},
		{"all, and all are back", "abc - abc", ""},
		{"all of two, and one comes, which is rewritten", "ab c d", "ab"},
		{"half, and one key beside, which is rewritten", "abcd cd cde cdf cdg cd", ""},
		{"one that had come since leaves as announced", "abcd bcd bcde bcdE bcd cd", ""},
		{"all, with a pause that is longer than the window", "abc bc bc bc bc bc bc b b b b b b -", ""},
		{"half, most of which come back, and then all but one", "abcdefghij fghij bcdefghij j", "bcdefghi"},
		{"two, one of which comes back, and then that and another", "abcd cd acd c", "ad"},
		{"all, in the middle of a rollout", "abcd cd cde ce cef ef -", "abcdef"},
		{"all, when fewer have come for half", "abcdef def defgh -", "abcdefgh"},
		{"suspects are back, one by one, and all but one go again", "abcdef ef abef abcef b", "acdef"},
		{"some announced, most of the others not", "abcde ABCde de -", "de"},
		{"some announced, one of the others not", "abcde ABCde de e", ""},
	} {
		inBubble(t, Config{}, func(t *testing.T, f *fleet) {
			for step := range strings.FieldsSeq(c.steps) {
				var es []discovery.Endpoint
				for _, l := range strings.Trim(step, "-") {
					letter := strings.ToLower(string(l))
					es = append(es, discovery.Endpoint{Address: letter, Draining: letter != string(l)})
				}
				f.Update(es)
				time.Sleep(time.Second)
			}
			got := ""
			for _, b := range f.Status().Backends {
				if b.State == Suspect {
					got += b.Address
				}
			}
			if got != c.want {
				t.Errorf("%s, %s: doubted are %q, want %q", c.name, c.steps, got, c.want)
			}
		})
	}
}
