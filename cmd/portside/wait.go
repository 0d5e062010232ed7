package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"portside/cmd/portside/admin"
	"portside/pool"
)

func newWait(std stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "wait NAME …",
		Short: "Return once services have backends, for scripts and init containers",
		Long: `Asks a running portside until each NAME has at least --min backends that take
work, and exits with 0; with 1 when --timeout is over first, saying what is missing.`,
		Args: argsBetween(1, -1, "names"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := newAdminClient(cmd, std)
			if err != nil {
				return err
			}
			least, _ := cmd.Flags().GetInt("min")
			timeout, _ := cmd.Flags().GetDuration("timeout")
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			for {
				missing := lacking(ctx, c, args, least)
				if missing == nil {
					return nil
				}
				pause(ctx, 100*time.Millisecond)
				if ctx.Err() != nil {
					return fmt.Errorf("not within %s: %w", timeout, missing)
				}
			}
		},
	}
	addAdminFlag(cmd)
	cmd.Flags().Int("min", 1, "how many backends each must have")
	cmd.Flags().Duration("timeout", 30*time.Second, "how long to wait")
	return cmd
}

// lacking says which of the services have too few backends, or nil.
func lacking(ctx context.Context, c adminClient, names []string, least int) error {
	var services []admin.Service
	if err := c.get(ctx, "/api/v1/services", &services); err != nil {
		return err
	}
	var missing []error
	for _, name := range names {
		n, known := usable(services, name)
		switch {
		case !known:
			missing = append(missing, fmt.Errorf("no service is named %s", name))
		case n < least:
			missing = append(missing, fmt.Errorf("%s has %d backends of %d", name, n, least))
		}
	}
	return errors.Join(missing...)
}

// usable counts the backends of the named service that take work.
func usable(services []admin.Service, name string) (n int, known bool) {
	for _, s := range services {
		if s.Name != name {
			continue
		}
		for _, b := range s.Backends {
			if b.State == pool.Active || b.State == pool.Suspect {
				n++
			}
		}
		return n, true
	}
	return 0, false
}
