package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"portside/cmd/portside/admin"
	"portside/pool"
)

func newExplain(std stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "explain NAME [ADDR]",
		Short: "Why each backend of a service is in or out, and what happened lately",
		Args:  argsBetween(1, 2, "a name and at most one address"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, asJSON, err := newQuery(cmd, std)
			if err != nil {
				return err
			}
			services, err := fetch(cmd, c, args[:1])
			if err != nil {
				return err
			}
			address := ""
			if len(args) == 2 {
				address = asListed(services[0], args[1])
			}
			e, err := explain(cmd.Context(), c, services[0], address)
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(std.out, e)
			}
			return writeWhole(std.out, func(w io.Writer) error {
				e.print(w, painter(colourful(std.out)))
				return nil
			})
		},
	}
	addAdminFlag(cmd)
	outputFlag(cmd)
	return cmd
}

// explanation is what explain prints of a service, or of one backend.
type explanation struct {
	Service   string          `json:"service"`
	Discovery admin.Discovery `json:"discovery"`
	Backends  []admin.Backend `json:"backends"`
	Events    []admin.Event   `json:"events"`
}

func explain(ctx context.Context, c adminClient, s admin.Service, address string) (explanation, error) {
	events, err := c.pastEvents(ctx)
	e := explanation{Service: s.Name, Discovery: s.Discovery, Backends: []admin.Backend{}, Events: []admin.Event{}}
	for _, b := range s.Backends {
		if address == "" || b.Address == address {
			e.Backends = append(e.Backends, b)
		}
	}
	known := address == "" || len(e.Backends) > 0
	for _, ev := range events {
		about := canonical(ev.Backend) == canonical(address) // it may not be listed any more, so asListed cannot know
		if ev.Service == s.Name && (address == "" || about || ev.Kind == "discovery") {
			known = known || about
			e.Events = append(e.Events, ev)
		}
	}
	if err == nil && !known {
		err = fmt.Errorf("%s has no backend %s and remembers none; portside status %s lists them", s.Name, address, s.Name)
	}
	return e, err
}

// pastEvents reads the remembered events, which a new listener is told first.
func (c adminClient) pastEvents(ctx context.Context) (events []admin.Event, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	resp, err := c.send(ctx, http.MethodGet, "/api/v1/events")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, c.notPortside(resp.Status)
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, longestEvent)
	for lines.Scan() {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			var e admin.Event
			if json.Unmarshal([]byte(data), &e) == nil {
				events = append(events, e)
			}
		}
		if strings.HasPrefix(lines.Text(), ":") {
			return events, nil // from here on the stream tells what happens from now on
		}
	}
	if err := lines.Err(); err != nil {
		return nil, c.brokenOff(err)
	}
	return events, nil
}

// longestEvent bounds one event's line, in bytes. A configuration may be refused for
// hundreds of faults.
const longestEvent = 16 << 20

func (e explanation) print(w io.Writer, paint painter) {
	fmt.Fprintf(w, "%s: %s\n", paint.bold(e.Service), aboutDiscovery(e.Discovery, paint))
	for _, k := range e.Discovery.Skipped {
		fmt.Fprintf(w, "  %s is skipped: %s\n", legible(k.Key), legible(k.Reason))
	}
	for _, b := range e.Backends {
		fmt.Fprintf(w, "\n%s is %s since %s (%s)\n", paint.bold(legible(b.Address)), paint.state(b.State), b.Since.Local().Format(time.DateTime), age(time.Since(b.Since)))
		fmt.Fprintf(w, "  %s\n", consequence(b))
		if reason := why(b); reason != "" {
			fmt.Fprintf(w, "  because: %s\n", legible(reason))
		}
		fmt.Fprint(w, "  ")
		if len(b.Keys) > 0 { // a fixed endpoint has none
			fmt.Fprintf(w, "keys %s; ", legible(strings.Join(b.Keys, ", ")))
		}
		fmt.Fprintf(w, "weight %.4g; %d in flight; %d of %d failed\n", b.Weight, b.InFlight, b.Failures, b.Requests)
	}
	if len(e.Events) == 0 {
		return
	}
	fmt.Fprintln(w, "\nwhat happened")
	for _, ev := range e.Events {
		what := ev.Backend
		if what == "" {
			what = ev.Kind
		}
		fmt.Fprintf(w, "  %s  %s  %s -> %s  %s\n", ev.Time.Local().Format(time.TimeOnly), legible(what), ev.From, ev.To, legible(ev.Reason))
	}
}

// consequence is what b's state means for a client.
func consequence(b admin.Backend) string {
	switch b.State {
	case pool.Active:
		return "it takes its share of new work"
	case pool.Ejected:
		return "it gets no work but one trial at a time, when its wait is over"
	case pool.Draining:
		return "it gets no new work; what it has may finish"
	case pool.Suspect:
		return "it takes its share while it answers probes, though the registry no longer has it"
	}
	return ""
}
