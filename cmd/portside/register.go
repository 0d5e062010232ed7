package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"portside/cmd/portside/config"
)

func newRegister(std stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "register NAME ADDR [-- COMMAND …]",
		Short: "Keep one server in etcd while it can serve",
		Long: `Keeps ADDR under NAME in etcd while it passes its check, whatever etcd does
meanwhile. On SIGTERM it leaves etcd first, waits for leave-delay, then ends. With
-- COMMAND it starts that command, registers it when it can serve, and exits with
its code.`,
		Example: `  portside register orders 10.0.0.5:8080 --check http://127.0.0.1:8080/healthz
  portside register orders 10.0.0.5:8080 --format kratos -- ./server`,
		RunE: func(cmd *cobra.Command, args []string) error {
			log, err := newLog(cmd, std)
			if err != nil {
				return err
			}
			args, command, err := splitCommand(cmd, args)
			if err != nil {
				return err
			}
			if err := argsBetween(2, 2, "a name and an address")(cmd, args); err != nil {
				return err
			}
			set, err := registrationSettings(cmd, args[0], args[1])
			if err != nil {
				return err
			}
			cfg, err := loadConfig(cmd, std, nil, set...)
			if err != nil {
				return err
			}
			keepOnly(cfg, args[0], cmd.Flags().Changed("admin"))
			return serve(cmd.Context(), cfg, runOptions{log: log, command: command, std: std})
		},
	}
	addConfigFlags(cmd)
	f := cmd.Flags()
	f.String("admin", "", "address of an admin API (default: none)")
	f.String("ttl", "", "how long the key outlives us (default 10s)")
	f.String("key", "", "the whole key (default PREFIX NAME/ADDR)")
	f.String("format", "", "how the record is written (default plain)")
	f.String("weight", "", "share of work relative to an ordinary peer (default 1)")
	f.String("zone", "", "where the server runs")
	f.String("version", "", "of what the server runs")
	f.String("service", "", "the name in its record (kratos; default NAME)")
	f.String("protocol", "", "what the server speaks, in its record (kratos; default http)")
	f.StringArray("meta", nil, "KEY=VALUE of the record's metadata; may be given again")
	f.String("check", "", "URL that answers while the server can serve (default: a connect to ADDR)")
	f.String("leave-delay", "", "between leaving etcd and stopping (default 2s)")
	f.String("stop-timeout", "", "the most COMMAND may take to end (default 30s)")
	return cmd
}

// registrationSettings are the arguments and flags as settings of name's registration.
func registrationSettings(cmd *cobra.Command, name, address string) (set []config.Setting, err error) {
	at := func(origin, value string, path ...string) {
		set = append(set, config.Setting{Origin: origin, Path: append([]string{"register", name}, path...), Value: value})
	}
	at("argument ADDR", address, "address")
	keys := map[string][]string{
		"ttl": {"ttl"}, "key": {"key"}, "format": {"format"}, "weight": {"weight"}, "zone": {"zone"},
		"version": {"version"}, "service": {"service"}, "protocol": {"protocol"},
		"check": {"check", "http"}, "leave-delay": {"leave_delay"}, "stop-timeout": {"stop_timeout"},
	}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if path := keys[f.Name]; path != nil {
			at("flag --"+f.Name, f.Value.String(), path...)
		}
	})
	metas, _ := cmd.Flags().GetStringArray("meta")
	for _, m := range metas {
		k, v, ok := strings.Cut(m, "=")
		if !ok || k == "" {
			return nil, usage("--meta %q is no KEY=VALUE", m)
		}
		at(fmt.Sprintf("flag --meta %s", m), v, "metadata", k)
	}
	return set, nil
}

// keepOnly removes all but name's registration from cfg: a file may have much else.
func keepOnly(cfg *config.Config, name string, admin bool) {
	cfg.Services = nil
	for _, r := range cfg.Register {
		if r.Name == name {
			cfg.Register = []config.Registration{r}
		}
	}
	if !admin {
		cfg.Admin = ""
	}
	cfg.Source = "" // the file is not what runs, so its changes are not to be applied
}
