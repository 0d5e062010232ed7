package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newReload(std stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Have a running portside read its configuration again",
		Args:  argsBetween(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := newAdminClient(cmd, std)
			if err != nil {
				return err
			}
			if err := c.post(cmd.Context(), "/api/v1/reload"); err != nil {
				return err
			}
			fmt.Fprintln(std.out, "applied")
			return nil
		},
	}
	addAdminFlag(cmd)
	return cmd
}
