package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
)

// printResult is a workload's table for a terminal.
func printResult(w io.Writer, r result) {
	fmt.Fprintf(w, "%s  %s\n", r.workload.name, r.workload.says)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	figures := r.figures()
	fmt.Fprint(t, "\t")
	for _, f := range figures {
		fmt.Fprintf(t, "%s\t", f.label())
	}
	fmt.Fprintln(t)
	for _, name := range r.names {
		fmt.Fprintf(t, "%s\t", name)
		for _, f := range figures {
			fmt.Fprintf(t, "%s\t", cell(column(r.rounds, name, f)))
		}
		fmt.Fprintln(t)
	}
	for _, line := range r.comparisons() {
		fmt.Fprintf(t, "%s\t", line.label())
		for _, f := range figures {
			fmt.Fprintf(t, "%s\t", ratioCell(ratios(r.rounds, f, line.who, line.names...)))
		}
		fmt.Fprintln(t)
	}
	_ = t.Flush()
	for _, s := range r.skipped {
		fmt.Fprintf(w, "  without %s\n", s)
	}
	fmt.Fprintln(w)
}

// figures are those of the workload for which some subject has a value other than zero.
func (r result) figures() []figure {
	return slices.DeleteFunc(slices.Clone(r.workload.figures), func(f figure) bool {
		return !slices.ContainsFunc(r.names, func(n string) bool {
			return slices.ContainsFunc(column(r.rounds, n, f), func(v float64) bool { return v != 0 })
		})
	})
}

// comparison is one subject against one or several others.
type comparison struct {
	who    string
	others string
	names  []string
}

func (c comparison) label() string {
	if c.who == "portside" {
		return "÷ " + c.others
	}
	return c.who + " ÷ " + c.others
}

// comparisons begin with the headline: portside against the better of HAProxy and nginx.
// Each of these two is compared with the better of the other two in the same way, because
// by luck alone even three equal subjects would each be worse than the better of the other
// two: the more so, the more a figure varies.
func (r result) comparisons() (all []comparison) {
	three := []string{"portside", "haproxy", "nginx"}
	if !slices.ContainsFunc(three, func(n string) bool { return !slices.Contains(r.names, n) }) {
		for i, n := range three {
			all = append(all, comparison{n, "best", slices.Delete(slices.Clone(three), i, i+1)})
		}
	}
	for _, n := range r.names {
		if n != "portside" {
			all = append(all, comparison{"portside", n, []string{n}})
		}
	}
	return all
}

// headline is portside's ratio of the figure that counts.
func (r result) headline() (f figure, against string, values []float64) {
	f = r.workload.figures[0]
	c := r.comparisons()
	if len(c) == 0 || c[0].others == direct {
		return f, "", nil
	}
	if c[0].others == "best" {
		return f, strings.Join(c[0].names, ", "), ratios(r.rounds, f, "portside", c[0].names...)
	}
	return f, c[0].others, ratios(r.rounds, f, "portside", c[0].names...)
}

func cell(values []float64) string {
	if len(values) == 0 {
		return "–"
	}
	return short(median(values)) + spreadNote(values)
}

func spreadNote(values []float64) string {
	if s := spread(values); s >= 0.5 {
		return fmt.Sprintf(" ±%.0f%%", s)
	}
	return ""
}

func ratioCell(values []float64) string {
	if len(values) == 0 {
		return "–"
	}
	return fmt.Sprintf("×%.2f%s", median(values), spreadNote(values))
}

// short is a number with three digits that matter.
func short(v float64) string {
	switch a := math.Abs(v); {
	case a >= 100 || a == math.Trunc(a):
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	case a >= 1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3f", v)
}
