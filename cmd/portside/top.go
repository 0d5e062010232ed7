package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"portside/cmd/portside/admin"
)

func newTop(std stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "top",
		Short: "status, again every second",
		Long: `Shows what status shows, again every second: as much of it as the terminal has room
for. Where the output is no terminal, all of it and once.
With -o json it is each time one line: the time, the services and the registrations.`,
		Args: argsBetween(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, asJSON, err := newQuery(cmd, std)
			if err != nil {
				return err
			}
			ctx := cmd.Context()
			screen := isTerminal(std.out)
			for {
				now, err := c.overview(ctx)
				if err != nil {
					return err
				}
				// Drawn whole, then written once: no flicker.
				var page bytes.Buffer
				if asJSON {
					err = writeLine(&page, now)
				} else {
					err = now.draw(&page, c.base, screen, painter(colourful(std.out)))
				}
				if err != nil {
					return err
				}
				shown := page.String()
				if screen && !asJSON {
					shown = fit(shown, std.out)
				}
				if _, err := io.WriteString(std.out, shown); err != nil || !screen {
					return err
				}
				pause(ctx, time.Second)
				if ctx.Err() != nil {
					return nil
				}
			}
		},
	}
	addAdminFlag(cmd)
	outputFlag(cmd)
	return cmd
}

// overview is all that a portside sees at a time.
type overview struct {
	Time          time.Time            `json:"time"`
	Services      []admin.Service      `json:"services"`
	Registrations []admin.Registration `json:"registrations"`
}

func (c adminClient) overview(ctx context.Context) (s overview, err error) {
	s.Time = time.Now().UTC()
	if err := c.get(ctx, "/api/v1/services", &s.Services); err != nil {
		return s, err
	}
	err = c.get(ctx, "/api/v1/registrations", &s.Registrations)
	return s, err
}

// draw draws s as a page, on a screen in place of the one before.
func (s overview) draw(w io.Writer, base string, screen bool, paint painter) error {
	if screen {
		fmt.Fprint(w, "\x1b[H\x1b[2J")
	}
	fmt.Fprintf(w, "portside at %s, %s\n\n", base, s.Time.Local().Format(time.TimeOnly))
	return printStatus(w, s.Services, s.Registrations, paint)
}

// fit is as much of page as the terminal w shows at once: given more it would scroll,
// and show the end.
func fit(page string, w io.Writer) string {
	f, ok := w.(*os.File)
	if !ok {
		return page
	}
	columns, rows, err := term.GetSize(int(f.Fd()))
	if err != nil || columns < 1 || rows < 1 { // some terminals do not know
		return page
	}
	return clip(page, columns, rows)
}

// clip is the beginning of page, and how much is missing, in so many rows. In the last
// is the cursor.
func clip(page string, columns, rows int) string {
	lines := strings.SplitAfter(strings.TrimSuffix(page, "\n"), "\n")
	room := rows - 1
	for i, line := range lines {
		if room -= rowsOf(line, columns); room < 0 {
			return strings.Join(lines[:i], "") + fmt.Sprintf("… %s more", count(len(lines)-i, "line"))
		}
	}
	return page
}

var colours = regexp.MustCompile(`\x1b\[[0-9;]*[A-Za-z]`)

// rowsOf is how many rows of a terminal line takes.
func rowsOf(line string, columns int) int {
	width := utf8.RuneCountInString(colours.ReplaceAllString(strings.TrimSuffix(line, "\n"), ""))
	return max((width+columns-1)/columns, 1)
}
