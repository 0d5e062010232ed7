package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"portside/cmd/portside/admin"
	"portside/discovery"
	"portside/pool"
)

func newStatus(std stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status [NAME]",
		Short: "What a running portside sees: services, backends, states and why",
		Args:  argsBetween(0, 1, "at most one name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, asJSON, err := newQuery(cmd, std)
			if err != nil {
				return err
			}
			services, err := fetch(cmd, c, args)
			if err != nil {
				return err
			}
			if asJSON {
				if len(args) == 1 {
					return writeJSON(std.out, services[0])
				}
				return writeJSON(std.out, services)
			}
			var registrations []admin.Registration
			if len(args) == 0 {
				if err := c.get(cmd.Context(), "/api/v1/registrations", &registrations); err != nil {
					return err
				}
			}
			return writeWhole(std.out, func(w io.Writer) error {
				return printStatus(w, services, registrations, painter(colourful(std.out)))
			})
		},
	}
	addAdminFlag(cmd)
	outputFlag(cmd)
	return cmd
}

// fetch asks for the services that args name, or all.
func fetch(cmd *cobra.Command, c adminClient, args []string) ([]admin.Service, error) {
	if len(args) == 0 {
		var all []admin.Service
		err := c.get(cmd.Context(), "/api/v1/services", &all)
		return all, err
	}
	var one admin.Service
	err := c.get(cmd.Context(), "/api/v1/services/"+args[0], &one)
	if err == nil && one.Name != args[0] {
		err = c.notPortside("it speaks of no service")
	}
	return []admin.Service{one}, err
}

// printStatus prints a paragraph a service: a line about it, a line a backend.
func printStatus(w io.Writer, services []admin.Service, registrations []admin.Registration, paint painter) error {
	for i, s := range services {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "%s  %s  %s  %s  %s\n", paint.bold(s.Name), s.Listen, s.Protocol, s.Balance, aboutDiscovery(s.Discovery, paint))
		if s.FailOpen {
			fmt.Fprintln(w, "  "+paint.red("every backend left in rotation is failing; they are used all the same"))
		}
		if len(s.Backends) == 0 {
			fmt.Fprintln(w, "  no backends")
			continue
		}
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "  BACKEND\tSTATE\tIN FLIGHT\tREQUESTS\tFAILURES\tLATENCY\tWEIGHT\tFOR\tWHY")
		for _, b := range s.Backends {
			fmt.Fprintf(t, "  %s\t%s\t%d\t%d\t%d\t%s\t%.4g\t%s\t%s\n", legible(b.Address), paint.state(b.State), b.InFlight, b.Requests, b.Failures,
				latency(b.Latency), b.Weight, age(time.Since(b.Since)), legible(why(b)))
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	return printRegistrations(w, len(services) > 0, registrations, paint)
}

func printRegistrations(w io.Writer, gap bool, registrations []admin.Registration, paint painter) error {
	if len(registrations) == 0 {
		return nil
	}
	if gap {
		fmt.Fprintln(w)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "REGISTRATION\tKEY\tSTATE\tLOSSES\tFOR\tWHY")
	for _, r := range registrations {
		state := paint.red(r.State)
		if r.Registered {
			state = paint.green(r.State)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\t%s\n", paint.bold(r.Name), legible(r.Key), state, r.Losses, age(time.Since(r.Since)), legible(r.Reason))
	}
	return t.Flush()
}

// aboutDiscovery says how sure the list is.
func aboutDiscovery(d admin.Discovery, paint painter) string {
	text := d.Source
	if d.Prefix != "" {
		text += " " + legible(d.Prefix)
	}
	state := paint.green(string(d.State))
	if d.State != discovery.Synced {
		state = paint.yellow(string(d.State))
	}
	text += "  " + state
	if d.Age >= 0 && d.Source != "static" {
		text += fmt.Sprintf(" (proven %s ago)", age(time.Duration(d.Age*float64(time.Second))))
	}
	if n := len(d.Skipped); n > 0 {
		text += fmt.Sprintf("  %d keys skipped", n)
	}
	if d.Reason != "" {
		text += "  " + legible(d.Reason)
	}
	return text
}

func latency(ms float64) string {
	if ms == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2fms", ms)
}

// why is a backend's reason and what follows from it.
func why(b admin.Backend) string {
	if b.Until == nil {
		return b.Reason
	}
	left := time.Until(*b.Until).Round(100 * time.Millisecond)
	switch {
	case b.State == pool.Ejected && left <= 0:
		return b.Reason + "; the next client is its trial"
	case b.State == pool.Ejected:
		return fmt.Sprintf("%s; next trial in %s", b.Reason, left)
	default:
		return fmt.Sprintf("%s; for %s more at the most", b.Reason, left.Round(time.Second))
	}
}
