package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"portside/cmd/portside/config"
	"portside/discovery/record"
)

func newCheck(std stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check [NAME=LISTEN[,key=value…] …]",
		Short: "Validate a configuration: every fault at once, with its place",
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := newLog(cmd, std); err != nil { // what the environment asks for
				return err
			}
			cfg, err := loadConfig(cmd, std, args)
			if err != nil {
				return err
			}
			if show, _ := cmd.Flags().GetBool("effective"); show {
				_, err := std.out.Write(cfg.Effective())
				return err
			}
			source := cfg.Source
			if source == "" && len(args) == 0 && cmd.Flags().NFlag() == 0 {
				return usage("nothing to check: no portside.yaml here, and no /etc/portside/portside.yaml; write -c FILE, or say NAME=LISTEN, such as orders=7001")
			}
			switch source {
			case "":
				source = "no file"
			case "-":
				source = "standard input" // as faults say
			}
			for _, doubt := range cfg.Doubts() {
				fmt.Fprintf(std.err, "%s: warning: %s\n", source, doubt)
			}
			fmt.Fprintf(std.out, "%s: ok, %s, %s\n", source, count(len(cfg.Services), "service"), count(len(cfg.Register), "registration"))
			return nil
		},
	}
	addConfigFlags(cmd)
	cmd.Flags().Bool("effective", false, "print the whole configuration, defaults filled in; a password stands as ${PORTSIDE_ETCD_PASSWORD}")
	return cmd
}

func newConfig(std stdio) *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "About the configuration file"}
	cmd.AddCommand(&cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of portside.yaml, for editors",
		Args:  argsBetween(0, 0, "no arguments"),
		RunE: func(*cobra.Command, []string) error {
			_, err := std.out.Write(config.Schema(record.Words(), formatNames(record.Writable())))
			return err
		},
	})
	return cmd
}
