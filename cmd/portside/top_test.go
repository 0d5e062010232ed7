package main

import "testing"

// A terminal that is given more than it has room for scrolls, and shows the end of it.
func TestTopShowsTheBeginningInASmallTerminal(t *testing.T) {
	for _, c := range []struct {
		name, page    string
		columns, rows int
		want          string
	}{
		{"all of it", "a\nb\nc\n", 80, 4, "a\nb\nc\n"},
		{"a line too many", "a\nb\nc\n", 80, 3, "a\nb\n… 1 line more"},
		{"a line that takes two rows", "a\nbbbbb\nc\n", 4, 3, "a\n… 2 lines more"},
		{"colours, which take no room", "\x1b[H\x1b[2J\x1b[1ma\x1b[0m\nb\nc\n", 3, 4, "\x1b[H\x1b[2J\x1b[1ma\x1b[0m\nb\nc\n"},
		{"letters of two bytes", "éé\nb\nc\n", 2, 4, "éé\nb\nc\n"},
		{"one row", "a\nb\nc\n", 80, 1, "… 3 lines more"},
	} {
		if got := clip(c.page, c.columns, c.rows); got != c.want {
			t.Errorf("%s: %q in %d columns and %d rows is %q, want %q", c.name, c.page, c.columns, c.rows, got, c.want)
		}
	}
}
