package main

// figure is one quantity that is measured.
type figure struct {
	name, unit string
	more       bool // more is better; otherwise less is
}

// sample is what one measurement showed, by name of figure.
type sample map[string]float64

var (
	cpuOp       = figure{name: "cpu", unit: "µs/op"}
	cpuGB       = figure{name: "cpu/GB", unit: "s/GB"}
	inUser      = figure{name: "user", unit: "% of cpu"}
	rate        = figure{name: "rate", unit: "op/s", more: true}
	volume      = figure{name: "volume", unit: "MB/s", more: true}
	p50         = figure{name: "p50", unit: "µs"}
	p99         = figure{name: "p99", unit: "µs"}
	p999        = figure{name: "p99.9", unit: "µs"}
	pss         = figure{name: "pss", unit: "MiB"}
	fds         = figure{name: "fds"}
	pssConn     = figure{name: "pss/conn", unit: "KiB"}
	rssConn     = figure{name: "rss/conn", unit: "KiB"}
	fdsConn     = figure{name: "fds/conn"}
	slowShare   = figure{name: "slow", unit: "% of requests"}
	elapsed     = figure{name: "time", unit: "ms"}
	worst       = figure{name: "max", unit: "ms"}
	gone        = figure{name: "gone", unit: "ms"}
	faults      = figure{name: "errors"}
	generatorOp = figure{name: "generator", unit: "µs/op"}
	generatorGB = figure{name: "generator/GB", unit: "s/GB"}
	backendOp   = figure{name: "backends", unit: "µs/op"}
)

// label is a figure's heading in a table.
func (f figure) label() string {
	if f.unit == "" {
		return f.name
	}
	return f.name + " " + f.unit
}
