package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"portside/cmd/portside/admin"
)

func newTop(std stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "top",
		Short: "status, again every second",
		Long: `Shows what status shows, again every second; once where the output is no terminal.
With -o json it is each time one line: the time, the services and the registrations.`,
		Args: argsBetween(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, asJSON, err := newQuery(cmd, std)
			if err != nil {
				return err
			}
			ctx := cmd.Context()
			screen := isTerminal(std.out)
			for {
				now, err := c.glance(ctx)
				if err != nil {
					return err
				}
				// Drawn whole, then written once: no flicker.
				var page bytes.Buffer
				if asJSON {
					err = writeLine(&page, now)
				} else {
					err = now.draw(&page, c.base, screen, painter(colourful(std.out)))
				}
				if err != nil {
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
	outputFlag(cmd)
	return cmd
}

// glance is all that a portside sees at a time.
type glance struct {
	Time          time.Time            `json:"time"`
	Services      []admin.Service      `json:"services"`
	Registrations []admin.Registration `json:"registrations"`
}

func (c adminClient) glance(ctx context.Context) (s glance, err error) {
	s.Time = time.Now().UTC()
	if err := c.get(ctx, "/api/v1/services", &s.Services); err != nil {
		return s, err
	}
	err = c.get(ctx, "/api/v1/registrations", &s.Registrations)
	return s, err
}

// draw draws s as a page, on a screen in place of the one before.
func (s glance) draw(w io.Writer, base string, screen bool, paint painter) error {
	if screen {
		fmt.Fprint(w, "\x1b[H\x1b[2J")
	}
	fmt.Fprintf(w, "portside at %s, %s\n\n", base, s.Time.Local().Format(time.TimeOnly))
	return printStatus(w, s.Services, s.Registrations, paint)
}
