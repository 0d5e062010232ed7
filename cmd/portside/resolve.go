package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"portside/cmd/portside/admin"
	"portside/cmd/portside/config"
	"portside/discovery"
	"portside/discovery/etcd"
	"portside/discovery/record"
)

func newResolve(std stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "resolve NAME",
		Short: "What etcd says of a service, decoded: a line for each endpoint",
		Long: `Reads what etcd has for NAME now, as a portside would: the address, weight, zone
and version of each record, the format it was read in, its key, and what is left of
its lease. Keys that yield no endpoint are listed with the reason. A service that has
a fixed list in the configuration is not looked for in etcd: its list is printed.`,
		Args: argsBetween(1, 1, "a name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			asJSON, err := wantJSON(cmd)
			if err != nil {
				return err
			}
			if args[0] == "" { // it would be the whole of etcd.prefix
				return usage("resolve wants a name; see %s --help", cmd.CommandPath())
			}
			cfg, err := loadConfig(cmd, std, nil)
			if err != nil {
				return err
			}
			s := serviceNamed(cfg, args[0])
			if len(s.Endpoints) > 0 {
				return resolveFixed(cmd, std, s, cfg.Source, asJSON)
			}
			r, err := newResolver(cmd, cfg, s)
			if err != nil {
				return err
			}
			return r.run(cmd, std, asJSON)
		},
	}
	addConfigFlags(cmd)
	outputFlag(cmd)
	cmd.Flags().BoolP("watch", "w", false, "follow changes: + and - are endpoints, ~ changes of them, ! keys that are skipped and why")
	cmd.Flags().Duration("timeout", 5*time.Second, "how long to wait for etcd; unless given, less when it refuses connections")
	cmd.Flags().String("format", "", "how records are read (default the configuration's, auto)")
	return cmd
}

// resolver reads one service's records.
type resolver struct {
	name, prefix string
	client       *etcd.Client
	decoder      *record.Decoder
}

// serviceNamed looks name up in the configuration; a name that is not there is under
// etcd.prefix.
func serviceNamed(cfg *config.Config, name string) config.Service {
	for _, s := range cfg.Services {
		if s.Name == name {
			return s
		}
	}
	return config.Service{Name: name, Prefix: cfg.Etcd.Prefix + name + "/"}
}

func newResolver(cmd *cobra.Command, cfg *config.Config, s config.Service) (*resolver, error) {
	if cfg.Etcd.Embedded {
		return nil, usage("an embedded etcd lives in the portside that runs it: give its address, which that one's log says, as --etcd")
	}
	if f, _ := cmd.Flags().GetString("format"); f != "" {
		s.Format = f
	}
	d, err := decoderFor(s)
	if err != nil {
		return nil, usage("%v", err)
	}
	return &resolver{name: s.Name, prefix: s.Prefix, client: etcd.New(cfg.Etcd.Config, slog.New(slog.DiscardHandler)), decoder: d}, nil
}

// run asks etcd as cmd's flags say, and prints what it answers.
func (r *resolver) run(cmd *cobra.Command, std stdio, asJSON bool) error {
	ctx, cancel := context.WithCancel(cmd.Context())
	done := make(chan error, 1)
	go func() { done <- r.client.Run(ctx) }()
	defer func() { cancel(); <-done }()
	if watch, _ := cmd.Flags().GetBool("watch"); watch {
		return r.watch(ctx, std.out, std.err, asJSON)
	}
	timeout, _ := cmd.Flags().GetDuration("timeout")
	found, err := r.resolveWithin(ctx, timeout, cmd.Flags().Changed("timeout"))
	if err != nil {
		return err
	}
	if asJSON {
		return writeJSON(std.out, found)
	}
	return writeWhole(std.out, found.print)
}

// resolveFixed prints the list that the configuration gives s, of which etcd knows nothing.
func resolveFixed(cmd *cobra.Command, std stdio, s config.Service, source string, asJSON bool) error {
	if source == "-" {
		source = "standard input"
	}
	if watch, _ := cmd.Flags().GetBool("watch"); watch {
		return usage("%s has a fixed list in %s, so there is nothing in etcd to watch", s.Name, source)
	}
	found := resolution{Name: s.Name, Source: "static", Endpoints: []resolved{}, Skipped: []admin.Skipped{}}
	for _, e := range s.Endpoints {
		found.Endpoints = append(found.Endpoints, resolved{Address: e.Address, Weight: e.Weight, Zone: e.Zone, Version: e.Version})
	}
	if asJSON {
		return writeJSON(std.out, found)
	}
	t := tabwriter.NewWriter(std.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ADDRESS\tWEIGHT\tZONE\tVERSION")
	for _, e := range found.Endpoints {
		fmt.Fprintf(t, "%s\t%.4g\t%s\t%s\n", legible(e.Address), e.Weight, orDash(e.Zone), orDash(e.Version))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(std.out, "%s has this fixed list in %s; etcd was not asked\n", s.Name, source)
	return err
}

// resolution is what etcd had at a revision, or the configuration has.
type resolution struct {
	Name      string          `json:"name"`
	Source    string          `json:"source"` // etcd or static
	Prefix    string          `json:"prefix"`
	Revision  int64           `json:"revision"`
	Endpoints []resolved      `json:"endpoints"`
	Skipped   []admin.Skipped `json:"skipped"`
}

// resolved is one endpoint of one record.
type resolved struct {
	Address  string            `json:"address"`
	Weight   float64           `json:"weight"`
	Zone     string            `json:"zone,omitempty"`
	Version  string            `json:"version,omitempty"`
	Draining bool              `json:"draining"`
	Format   string            `json:"format"`
	Key      string            `json:"key"`
	Revision int64             `json:"revision"`
	Lease    string            `json:"lease,omitempty"`
	TTL      float64           `json:"ttl_seconds,omitempty"`
	Metadata map[string]string `json:"metadata,omitempty"`
	Warning  string            `json:"warning,omitempty"`
}

// refusedFor is how long an etcd that refuses connections is waited for, unless
// the user says how long: it may be starting.
const refusedFor = time.Second

// resolveWithin waits for etcd's answer for as long as timeout. The client runs on
// when that is over: its own end would hide what was in the way.
func (r *resolver) resolveWithin(ctx context.Context, timeout time.Duration, meant bool) (resolution, error) {
	ctx, stop := context.WithTimeout(ctx, timeout)
	defer stop()
	if !meant {
		found, err := r.tryFor(ctx, refusedFor)
		if err == nil || strings.Contains(err.Error(), syscall.ECONNREFUSED.Error()) {
			return found, err
		}
	}
	return r.tryFor(ctx, timeout)
}

func (r *resolver) tryFor(ctx context.Context, d time.Duration) (resolution, error) {
	ctx, stop := context.WithTimeout(ctx, d)
	defer stop()
	return r.resolve(ctx)
}

func (r *resolver) resolve(ctx context.Context) (resolution, error) {
	records, revision, err := r.client.Records(ctx, r.prefix)
	if err != nil {
		return resolution{}, err
	}
	found := resolution{Name: r.name, Source: "etcd", Prefix: r.prefix, Revision: revision, Endpoints: []resolved{}, Skipped: []admin.Skipped{}}
	for _, rec := range records {
		reading, err := r.decoder.Decode(rec.Key, rec.Value)
		switch {
		case err != nil:
			found.Skipped = append(found.Skipped, admin.Skipped{Key: rec.Key, Reason: err.Error()})
		case len(reading.Endpoints) == 0:
			found.Skipped = append(found.Skipped, admin.Skipped{Key: rec.Key, Reason: reading.Reason})
		}
		for _, e := range reading.Endpoints {
			found.Endpoints = append(found.Endpoints, resolvedOf(e, rec, reading))
		}
	}
	slices.SortStableFunc(found.Endpoints, func(a, b resolved) int { return strings.Compare(a.Address, b.Address) })
	return found, nil
}

func resolvedOf(e discovery.Endpoint, rec etcd.Record, reading record.Reading) resolved {
	v := resolved{
		Address: e.Address, Weight: e.Weight, Zone: e.Zone, Version: e.Version, Draining: e.Draining,
		Format: string(reading.Format), Key: rec.Key, Revision: rec.Revision, TTL: rec.TTL.Seconds(),
		Metadata: e.Metadata, Warning: reading.Warning,
	}
	if rec.Lease != 0 {
		v.Lease = fmt.Sprintf("%x", rec.Lease)
	}
	return v
}

func (f resolution) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if len(f.Endpoints) > 0 {
		fmt.Fprintln(t, "ADDRESS\tWEIGHT\tZONE\tVERSION\tFORMAT\tREVISION\tLEASE\tKEY\tNOTE")
	}
	for _, e := range f.Endpoints {
		lease := "none"
		switch {
		case e.TTL > 0:
			lease = fmt.Sprintf("%.0fs left", e.TTL)
		case e.Lease != "":
			lease = "unknown" // etcd has not said in time, or may not say
		}
		note := e.Warning
		if e.Draining {
			note = strings.TrimSpace("draining " + note)
		}
		fmt.Fprintf(t, "%s\t%.4g\t%s\t%s\t%s\t%d\t%s\t%s\t%s\n", legible(e.Address), e.Weight, orDash(e.Zone), orDash(e.Version), e.Format, e.Revision, lease, legible(e.Key), legible(note))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if len(f.Endpoints) == 0 {
		fmt.Fprintf(w, "no endpoints under %s at revision %d\n", legible(f.Prefix), f.Revision)
	}
	for _, s := range f.Skipped {
		fmt.Fprintf(w, "skipped %s: %s\n", legible(s.Key), legible(s.Reason))
	}
	return nil
}

func orDash(s string) string { return cmp.Or(legible(s), "-") }
