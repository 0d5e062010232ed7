package main

import (
	"encoding/xml"
	"fmt"
	"slices"
	"strings"
)

// plot draws a workload: a bar a subject for each of its first figures, the
// median, and a dot a round.
func plot(r result) string {
	const width, row, head = 720, 22, 30
	panels := r.figures()
	panels = panels[:min(4, len(panels))]
	var b strings.Builder
	y := head + 14
	for _, f := range panels {
		y = panel(&b, r, f, y, row) + 16
	}
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">
<rect width="100%%" height="100%%" fill="#fff"/>
<text x="10" y="20" font-size="14" font-weight="bold">%s</text>
%s</svg>
`, width, y, escape(r.workload.name+": "+r.workload.says), b.String())
}

// panel draws one figure from y on, and reports where it ends.
func panel(b *strings.Builder, r result, f figure, y, row int) int {
	const left, room = 90, 540
	most := 0.0
	for _, name := range r.names {
		most = max(most, slices.Max(append(column(r.rounds, name, f), 0)))
	}
	hint := "less is better"
	if f.more {
		hint = "more is better"
	}
	fmt.Fprintf(b, `<text x="10" y="%d" fill="#555">%s, %s</text>`+"\n", y, escape(f.label()), hint)
	y += 6
	for _, name := range r.names {
		values := column(r.rounds, name, f)
		if len(values) == 0 || most == 0 {
			continue
		}
		scale := func(v float64) float64 { return v / most * room }
		color := "#9ab"
		if name == "portside" {
			color = "#2a7"
		}
		fmt.Fprintf(b, `<text x="10" y="%d">%s</text><rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`+"\n",
			y+15, escape(name), left, y+3, scale(median(values)), row-6, color)
		for _, v := range values {
			fmt.Fprintf(b, `<circle cx="%.1f" cy="%d" r="2.5" fill="#333" fill-opacity=".6"/>`, left+scale(v), y+row/2)
		}
		fmt.Fprintf(b, `<text x="%.1f" y="%d" fill="#333">%s</text>`+"\n", left+scale(slices.Max(values))+8, y+15, escape(cell(values)))
		y += row
	}
	return y
}

func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder does not fail
	return b.String()
}
