package main

import (
	"github.com/spf13/cobra"
)

func newHealthcheck(std stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "healthcheck",
		Short: "Exit with 0 if a running portside is alive, for images without a shell",
		Args:  argsBetween(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := newAdminClient(cmd, std)
			if err != nil {
				return err
			}
			if ready, _ := cmd.Flags().GetBool("ready"); ready {
				return c.probe(cmd.Context(), "/readyz", "ready")
			}
			return c.probe(cmd.Context(), "/healthz", "ok")
		},
	}
	addAdminFlag(cmd)
	cmd.Flags().Bool("ready", false, "ask whether it is ready instead")
	return cmd
}
