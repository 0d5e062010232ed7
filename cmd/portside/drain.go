package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

// newVerb is a verb about one backend.
func newVerb(std stdio, verb string) *cobra.Command {
	short := map[string]string{
		"drain":   "Take one backend out of rotation until undrain, or until it leaves; what it has may finish",
		"undrain": "Bring a drained backend back",
		"forget":  "Let go of a suspect: a backend that the registry no longer has",
	}
	cmd := &cobra.Command{
		Use:   verb + " NAME ADDR",
		Short: short[verb],
		Args:  argsBetween(2, 2, "a service's name and a backend's address"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[0] == "" || args[1] == "" {
				return usage("%s wants a service's name and a backend's address; portside status lists them", verb)
			}
			c, err := newAdminClient(cmd, std)
			if err != nil {
				return err
			}
			if err := c.post(cmd.Context(), "/api/v1/services/"+args[0]+"/backends/"+args[1]+"/"+verb); err != nil {
				return err
			}
			done := map[string]string{"drain": "drained", "undrain": "back", "forget": "forgotten"}
			fmt.Fprintf(std.out, "%s: %s is %s\n", args[0], args[1], done[verb])
			return nil
		},
	}
	addAdminFlag(cmd)
	return cmd
}
