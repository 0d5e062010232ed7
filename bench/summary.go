package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
)

// summary is a line a workload: portside's value of the figure that counts, and
// its ratio to the better of HAProxy and nginx.
func summary(results []result) string {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "workload\tportside\tratio\tagainst the better of\t")
	for _, r := range results {
		f, against, values := r.headline()
		ratio, verdict := "–", ""
		if len(values) > 0 {
			ratio, verdict = ratioCell(values), judge(f, values)
		}
		fmt.Fprintf(t, "%s\t%s %s\t%s\t%s\t%s\n", r.workload.name, cell(column(r.rounds, "portside", f)), f.label(), ratio, against, verdict)
	}
	_ = t.Flush()
	return b.String()
}

// judge says whether portside wins or loses, if all rounds agree.
func judge(f figure, values []float64) string {
	wins, losses := 0, 0
	for _, v := range values {
		if better(f, v, 1) {
			wins++
		} else {
			losses++
		}
	}
	switch {
	case losses == 0:
		return "portside wins"
	case wins == 0:
		return "portside loses"
	}
	return "rounds disagree"
}
