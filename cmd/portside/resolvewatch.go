package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"portside/discovery"
)

// watch prints each change until ctx ends, and to trouble what is in the way.
func (r *resolver) watch(ctx context.Context, w, trouble io.Writer, asJSON bool) error {
	last := map[string]discovery.Endpoint{}
	read := decode(r.decoder, slog.New(slog.DiscardHandler))
	// It is asked about each value once, by who calls the function below.
	source := r.client.Source(r.prefix, func(key string, value []byte) ([]discovery.Endpoint, string, error) {
		endpoints, reason, err := read(key, value)
		switch {
		case err != nil && yieldsEndpoint(last, key):
			printSkip(w, asJSON, "bad", key, err.Error())
		case err != nil:
			printSkip(w, asJSON, "skip", key, err.Error())
		case len(endpoints) == 0:
			printSkip(w, asJSON, "skip", key, reason)
		}
		return endpoints, reason, err
	})
	var complaining sync.WaitGroup
	complaining.Go(func() { complain(ctx, source.Status, trouble) })
	defer complaining.Wait()
	_ = source.Run(ctx, func(endpoints []discovery.Endpoint) {
		next := map[string]discovery.Endpoint{}
		for _, e := range endpoints {
			next[e.Address] = e
			was, known := last[e.Address]
			back := known && e.Returns > was.Returns
			if back {
				printChange(w, asJSON, "remove", was)
			}
			switch {
			case back, !known:
				printChange(w, asJSON, "add", e)
			case !was.Equal(e):
				printChange(w, asJSON, "change", e)
			}
		}
		for _, a := range slices.Sorted(maps.Keys(last)) {
			if _, ok := next[a]; !ok {
				printChange(w, asJSON, "remove", last[a])
			}
		}
		last = next
	})
	return nil
}

// complain says why etcd is not followed, for as long as it is not, until ctx ends.
func complain(ctx context.Context, status func() discovery.Status, w io.Writer) {
	said := ""
	for {
		pause(ctx, time.Second)
		if ctx.Err() != nil {
			return
		}
		reason := ""
		if s := status(); s.State != discovery.Synced {
			reason = s.Reason
		}
		switch {
		case reason == said:
		case reason == "":
			fmt.Fprintln(w, "portside: etcd is followed again")
		default:
			fmt.Fprintln(w, "portside:", reason)
		}
		said = reason
	}
}

// yieldsEndpoint reports whether an endpoint comes from key.
func yieldsEndpoint(endpoints map[string]discovery.Endpoint, key string) bool {
	for _, e := range endpoints {
		if slices.Contains(e.Keys, key) {
			return true
		}
	}
	return false
}

// printSkip says that a key yields nothing, or nothing new: skip or bad.
func printSkip(w io.Writer, asJSON bool, what, key, reason string) {
	now := time.Now()
	if asJSON {
		_ = writeLine(w, struct {
			Time   time.Time `json:"time"`
			Event  string    `json:"event"`
			Key    string    `json:"key"`
			Reason string    `json:"reason"`
		}{now.UTC(), what, key, reason})
		return
	}
	means := map[string]string{"skip": "is skipped", "bad": "has gone bad, what it said before stands"}[what]
	fmt.Fprintf(w, "%s ! %s %s: %s\n", now.Format(time.TimeOnly), legible(key), means, legible(reason))
}

func printChange(w io.Writer, asJSON bool, what string, e discovery.Endpoint) {
	now := time.Now()
	if asJSON {
		_ = writeLine(w, struct {
			Time     time.Time `json:"time"`
			Event    string    `json:"event"`
			Address  string    `json:"address"`
			Weight   float64   `json:"weight"`
			Zone     string    `json:"zone,omitempty"`
			Version  string    `json:"version,omitempty"`
			Draining bool      `json:"draining"`
			Keys     []string  `json:"keys"`
		}{now.UTC(), what, e.Address, e.Weight, e.Zone, e.Version, e.Draining, e.Keys})
		return
	}
	sign := map[string]string{"add": "+", "change": "~", "remove": "-"}[what]
	note := ""
	if e.Draining {
		note = "  draining"
	}
	fmt.Fprintf(w, "%s %s %s  weight %.4g  %s%s\n", now.Format(time.TimeOnly), sign, legible(e.Address), e.Weight, legible(strings.Join(e.Keys, " ")), note)
}
