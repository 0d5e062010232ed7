package main

import (
	"fmt"
	"io"
	"math"

	"github.com/spf13/cobra"

	"portside/cmd/portside/admin"
	"portside/pool"
)

func newDrill(std stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "drill [NAME]",
		Short: "What a running portside would do if etcd failed in this way or that; touches nothing",
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
			drills := []drilled{}
			for _, s := range services {
				drills = append(drills, drill(s))
			}
			switch {
			case asJSON && len(args) == 1:
				return writeJSON(std.out, drills[0])
			case asJSON:
				return writeJSON(std.out, drills)
			}
			return writeWhole(std.out, func(w io.Writer) error {
				for _, d := range drills {
					d.print(w, painter(colourful(std.out)))
				}
				return nil
			})
		},
	}
	addAdminFlag(cmd)
	outputFlag(cmd)
	return cmd
}

// drilled is what would become of a service.
type drilled struct {
	Service string      `json:"service"`
	Note    string      `json:"note,omitempty"` // why there are no cases
	Cases   []drillCase `json:"cases"`
}

type drillCase struct {
	If   string `json:"if"`
	Then string `json:"then"`
}

// drill says what would become of s.
func drill(s admin.Service) drilled {
	if s.Discovery.Source != "etcd" {
		return drilled{s.Name, "has a fixed list: nothing that befalls etcd befalls it", []drillCase{}}
	}
	listed, draining := 0, 0
	for _, b := range s.Backends {
		switch b.State {
		case pool.Draining:
			draining++
		case pool.Active, pool.Ejected:
			listed++
		}
	}
	half := (listed + 1) / 2
	all, announced := listed+draining, ""
	switch {
	case draining == 1:
		announced = "; the one that is draining leaves at once"
	case draining > 1:
		announced = fmt.Sprintf("; the %d that are draining leave at once", draining)
	}
	stand := fmt.Sprintf("its %d backends stand", all)
	if all == 1 {
		stand = "its one backend stands"
	}
	return drilled{Service: s.Name, Cases: []drillCase{
		{"etcd goes away, or falls silent", stand + "; stale once it has proven nothing for etcd.liveness, in status, metrics and the log; nothing is dropped when it is back"},
		{"etcd answers with an empty list", departure(s.Guard, listed, listed) + announced},
		{fmt.Sprintf("half of the keys are gone at once, %d of %d", half, listed), departure(s.Guard, half, all)},
		{"one key is deleted", "it leaves at once; what it has begun may finish"},
		{"etcd is restored from a backup", fmt.Sprintf("it is listed anew though its revision falls below %d; only what differs changes", s.Discovery.Revision)},
	}}
}

func (d drilled) print(w io.Writer, paint painter) {
	fmt.Fprintln(w, paint.bold(d.Service))
	if d.Note != "" {
		fmt.Fprintln(w, "  "+d.Note)
	}
	for _, c := range d.Cases {
		fmt.Fprintf(w, "  if %s:\n    %s\n", c.If, c.Then)
	}
}

// departure says what happens when n of listed, none of them draining, leave at once.
func departure(g admin.Guard, n, listed int) string {
	switch {
	case n == 0:
		return "there is nothing to lose"
	case n == 1:
		return "the one leaves at once: one is never a mass"
	case g.Off:
		return fmt.Sprintf("the %d leave at once: the guard is off", n)
	case float64(n) <= math.Max(g.MaxLeave, 0)*float64(listed):
		return fmt.Sprintf("the %d leave at once: no more than %.0f%% of %d", n, g.MaxLeave*100, listed)
	}
	return fmt.Sprintf("the %d become suspects: each stays while it answers probes, for %s at most", n, g.SuspectMax)
}
