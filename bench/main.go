package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"time"
)

func main() {
	if name := os.Getenv(roleEnv); name != "" {
		play(name, os.Args[1:])
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop has run
	}
}

// options are what the command line says.
type options struct {
	portside string
	out      string
	only     *regexp.Regexp
	peers    *regexp.Regexp
	rounds   int
	window   window
	rate     float64
	quick    bool
	list     bool
	profile  bool
}

// quickly matches the workloads that -quick runs, unless -run says otherwise.
const quickly = `^(http/keepalive/(1|64)|tcp/pingpong/64|tcp/bulk/down|start)$`

func parse(args []string) (o options, err error) {
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.StringVar(&o.portside, "portside", "", "the binary to measure (default: built from ./cmd/portside)")
	f.StringVar(&o.out, "out", "bench/out", "folder for the results")
	only := f.String("run", "", "regular expression of the workloads to run")
	peers := f.String("peers", "", "regular expression of the peers to run beside portside")
	f.IntVar(&o.rounds, "rounds", 5, "rounds of each workload")
	seconds := f.Float64("seconds", 2, "length of one measurement")
	f.Float64Var(&o.rate, "rate", 0, "requests a second of http/rate (default 30 % of what portside can)")
	f.BoolVar(&o.quick, "quick", false, "a minute's answer: few workloads, 3 rounds of 1 s")
	f.BoolVar(&o.list, "list", false, "list the workloads")
	f.BoolVar(&o.profile, "profile", false, "profile portside under each workload instead of measuring")
	if err = f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	if o.quick {
		o.rounds, *seconds = 3, 1
		if *only == "" {
			*only = quickly
		}
	}
	if o.rounds < 1 || *seconds <= 0 {
		return o, errors.New("rounds and seconds must be positive")
	}
	if o.only, err = regexp.Compile(*only); err != nil {
		return o, err
	}
	if o.peers, err = regexp.Compile(*peers); err != nil {
		return o, err
	}
	length := time.Duration(*seconds * float64(time.Second))
	o.window = window{warm: min(length/2, 500*time.Millisecond), length: length}
	return o, nil
}

func run(ctx context.Context, args []string) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	var chosen []workload
	for _, w := range workloads(o) {
		if o.only.MatchString(w.name) {
			chosen = append(chosen, w)
		}
	}
	if o.list {
		for _, w := range chosen {
			fmt.Printf("%-22s %s\n", w.name, w.says)
		}
		return nil
	}
	b, err := newBed(ctx, o)
	if err != nil {
		return err
	}
	defer b.close()
	if o.profile {
		return b.profileAll(ctx, chosen)
	}
	return b.measureAll(ctx, chosen)
}
