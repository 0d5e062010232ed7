package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// report writes results.json, report.md and the plots.
func (b *bed) report(results []result) error {
	out := b.options.out
	data, err := json.MarshalIndent(b.asJSON(results), "", " ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(out, "results.json"), data, 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(out, "report.md"), []byte(b.markdown(results)), 0o644); err != nil {
		return err
	}
	for _, r := range results {
		if err := os.WriteFile(filepath.Join(out, r.file()), []byte(plot(r)), 0o644); err != nil {
			return err
		}
	}
	fmt.Printf("%s\nWritten: %s\n", summary(results), filepath.Join(out, "report.md"))
	return nil
}

// file is the name of a workload's plot.
func (r result) file() string { return strings.ReplaceAll(r.workload.name, "/", "-") + ".svg" }

type jsonResult struct {
	Workload string             `json:"workload"`
	Says     string             `json:"says"`
	Figures  map[string]string  `json:"figures"` // name to unit
	Rounds   []round            `json:"rounds"`
	Ratios   map[string]float64 `json:"ratios"` // of the first figure, portside ÷ other, median of rounds
	Skipped  []string           `json:"skipped,omitempty"`
}

func (b *bed) asJSON(results []result) any {
	var all []jsonResult
	for _, r := range results {
		j := jsonResult{
			Workload: r.workload.name, Says: r.workload.says, Rounds: r.rounds, Skipped: r.skipped,
			Figures: map[string]string{}, Ratios: map[string]float64{},
		}
		for _, f := range r.workload.figures {
			j.Figures[f.name] = f.unit
		}
		for _, c := range r.comparisons() {
			if v := ratios(r.rounds, r.workload.figures[0], c.who, c.names...); len(v) > 0 {
				j.Ratios[strings.TrimPrefix(c.label(), "÷ ")] = median(v)
			}
		}
		all = append(all, j)
	}
	return struct {
		Machine machine      `json:"machine"`
		Seconds float64      `json:"seconds"`
		Results []jsonResult `json:"results"`
	}{b.machine, b.options.window.length.Seconds(), all}
}

func (b *bed) markdown(results []result) string {
	var w strings.Builder
	m := b.machine
	fmt.Fprintf(&w, "# portside beside its peers\n\nCommit %s, %s. %d × %s, Linux %s with %s, %s; load average at the start %s.\n"+
		"%d rounds of %v.\n\n", m.Commit, m.Time.Format("2006-01-02 15:04 MST"), m.Cores, m.CPU, m.Kernel, cmp.Or(m.TCP, "unknown congestion control"), m.Go, m.Load,
		b.options.rounds, b.options.window.length)
	for _, v := range m.Versions {
		fmt.Fprintf(&w, "- %s\n", v)
	}
	for _, v := range b.missing {
		fmt.Fprintf(&w, "- left out: %s\n", v)
	}
	fmt.Fprintf(&w, "\n```\n%s```\n\nMedians of the rounds; ± is half their range. ÷ rows are portside's value, or the named one's, over the other's in the same round; best is the better of the other two among portside, HAProxy and nginx.\n", summary(results))
	for _, r := range results {
		fmt.Fprintf(&w, "\n## %s\n\n![](%s)\n\n```\n", r.workload.name, r.file())
		printResult(&w, r)
		fmt.Fprint(&w, "```\n")
	}
	return w.String()
}
