package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"portside/cmd/portside/admin"
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
			address := c.backend(cmd.Context(), args[0], args[1])
			if err := c.post(cmd.Context(), "/api/v1/services/"+args[0]+"/backends/"+address+"/"+verb); err != nil {
				return err
			}
			done := map[string]string{"drain": "drained", "undrain": "back", "forget": "forgotten"}
			fmt.Fprintf(std.out, "%s: %s is %s\n", args[0], address, done[verb])
			return nil
		},
	}
	addAdminFlag(cmd)
	return cmd
}

// backend is the address under which the service lists the backend that is called
// address. What is wrong with the question, the one that follows is told as well.
func (c adminClient) backend(ctx context.Context, service, address string) string {
	var s admin.Service
	if c.get(ctx, "/api/v1/services/"+service, &s) != nil {
		return address
	}
	return asListed(s, address)
}
