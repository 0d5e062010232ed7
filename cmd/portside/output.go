package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"portside/pool"
)

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(legibleJSON{w})
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// writeWhole writes all that print prints in one piece, and returns the error if that fails:
// half a page on a full disk is no answer.
func writeWhole(w io.Writer, print func(io.Writer) error) error {
	var page bytes.Buffer
	if err := print(&page); err != nil {
		return err
	}
	_, err := page.WriteTo(w)
	return err
}

// writeLine writes v as one line of JSON.
func writeLine(w io.Writer, v any) error {
	enc := json.NewEncoder(legibleJSON{w})
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// painter colours words, when it is true.
type painter bool

func (p painter) paint(code, s string) string {
	if !p {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (p painter) bold(s string) string   { return p.paint("1", s) }
func (p painter) red(s string) string    { return p.paint("31", s) }
func (p painter) green(s string) string  { return p.paint("32", s) }
func (p painter) yellow(s string) string { return p.paint("33", s) }

func (p painter) state(s pool.State) string {
	switch s {
	case pool.Active:
		return p.green(string(s))
	case pool.Ejected:
		return p.red(string(s))
	default:
		return p.yellow(string(s))
	}
}

// age is a duration as people say it.
func age(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1fs", max(d, 0).Seconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

// count is n things.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// colourful reports whether w is a terminal, and NO_COLOR is unset or empty (no-color.org).
func colourful(w any) bool {
	return isTerminal(w) && os.Getenv("NO_COLOR") == ""
}

func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// outputFlag gives cmd -o.
func outputFlag(cmd *cobra.Command) { cmd.Flags().StringP("output", "o", "table", "table or json") }

func wantJSON(cmd *cobra.Command) (bool, error) {
	switch o, _ := cmd.Flags().GetString("output"); strings.ToLower(o) {
	case "table":
		return false, nil
	case "json":
		return true, nil
	default:
		return false, usage("unknown output %q; table or json", o)
	}
}
