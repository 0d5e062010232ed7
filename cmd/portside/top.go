package main

import (
	"bytes"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"portside/cmd/portside/admin"
)

func newTop(std stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "top",
		Short: "status, again every second",
		Args:  argsBetween(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := newAdminClient(cmd, std)
			if err != nil {
				return err
			}
			ctx := cmd.Context()
			screen := colourful(std.out)
			for {
				var services []admin.Service
				var registrations []admin.Registration
				if err := c.get(ctx, "/api/v1/services", &services); err != nil {
					return err
				}
				if err := c.get(ctx, "/api/v1/registrations", &registrations); err != nil {
					return err
				}
				// Drawn whole, then written once: no flicker.
				var page bytes.Buffer
				if screen {
					page.WriteString("\x1b[H\x1b[2J")
				}
				fmt.Fprintf(&page, "portside at %s, %s\n\n", c.base, time.Now().Format(time.TimeOnly))
				if err := printStatus(&page, services, registrations, painter(screen)); err != nil {
					return err
				}
				if _, err := std.out.Write(page.Bytes()); err != nil || !screen {
					return err
				}
				pause(ctx, time.Second)
				if ctx.Err() != nil {
					return nil
				}
			}
		},
	}
	addAdminFlag(cmd)
	return cmd
}
