package main

import (
	"math"
	"slices"
)

// median of values; NaN without any.
func median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	v := slices.Sorted(slices.Values(values))
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}

// spread is half the range of values in percent of their median.
func spread(values []float64) float64 {
	if len(values) < 2 {
		return 0
	}
	m := median(values)
	if m == 0 {
		return 0
	}
	return 50 * (slices.Max(values) - slices.Min(values)) / math.Abs(m)
}

// round is what each subject of a workload showed in one turn, by its name.
type round map[string]sample

// column are a subject's values of a figure, of those rounds that have one.
func column(rounds []round, name string, f figure) (out []float64) {
	for _, r := range rounds {
		if v, ok := r[name][f.name]; ok {
			out = append(out, v)
		}
	}
	return out
}

// ratios is, for each round, name's value over the best that any of others showed
// in that same round. Rounds that lack either are left out.
func ratios(rounds []round, f figure, name string, others ...string) (out []float64) {
	for _, r := range rounds {
		v, ok := r[name][f.name]
		best, found := 0.0, false
		for _, o := range others {
			w, has := r[o][f.name]
			if has && (!found || better(f, w, best)) {
				best, found = w, true
			}
		}
		if ok && found && best != 0 {
			out = append(out, v/best)
		}
	}
	return out
}

func better(f figure, a, b float64) bool {
	if f.more {
		return a > b
	}
	return a < b
}

func maximum(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	return slices.Max(values)
}
