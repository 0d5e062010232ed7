package main

import (
	"cmp"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/lmittmann/tint"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"portside/cmd/portside/config"
	"portside/discovery/record"
)

func newRoot(std stdio) *cobra.Command {
	root := &cobra.Command{
		Use:   "portside",
		Short: "One local port for each service in etcd",
		Long: `portside runs beside an application, which talks to localhost:PORT instead of
doing service discovery. portside knows from etcd which backends serve that name
now, picks one, keeps the failing ones out of the way, and keeps a server's own
registration alive.`,
		Example: `  portside demo                    # the whole thing on one machine, nothing installed
  portside run orders=7001         # localhost:7001 leads to what etcd has under service/orders/
  portside register orders 10.0.0.5:8080 -- ./server`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetIn(std.in)
	root.SetOut(std.out)
	root.SetErr(std.err)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage("%v; see %s --help", err, cmd.CommandPath())
	})
	root.PersistentFlags().String("log-level", cmp.Or(os.Getenv("PORTSIDE_LOG_LEVEL"), "info"), "debug, info, warn or error")
	root.PersistentFlags().String("log-format", cmp.Or(os.Getenv("PORTSIDE_LOG_FORMAT"), "text"), "text or json")
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		if flags := cmd.Flags(); !flags.Changed("log-level") && !flags.Changed("log-format") {
			return nil
		}
		_, err := newLog(cmd, std) // even where nothing is logged, to report a mistake
		return err
	}
	root.AddCommand(
		newRun(std), newDemo(std), newRegister(std), newResolve(std), newWait(std), newCheck(std), newConfig(std),
		newStatus(std), newExplain(std), newTop(std), newVerb(std, "drain"), newVerb(std, "undrain"), newVerb(std, "forget"), newDrill(std), newReload(std), newHealthcheck(std), newVersion(std),
	)
	root.InitDefaultCompletionCmd()
	refuseUnknown(root)
	root.InitDefaultHelpCmd()
	help, _, _ := root.Find([]string{"help"})
	help.Args = func(_ *cobra.Command, args []string) error {
		if found, rest, _ := root.Find(args); len(rest) > 0 {
			return usage("unknown command %q; see %s --help", rest[0], found.CommandPath())
		}
		return nil
	}
	for _, cmd := range root.Commands() {
		if cmd.HasSubCommands() {
			refuseUnknown(cmd)
		}
	}
	completion, _, _ := root.Find([]string{"completion"})
	for _, shell := range completion.Commands() {
		shell.Args = argsBetween(0, 0, "no arguments") // cobra's own is no usage error to us
	}
	return root
}

// refuseUnknown has cmd, which only holds other commands, refuse a word that is none of them;
// cobra would print the help and exit with 0.
func refuseUnknown(cmd *cobra.Command) {
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return usage("unknown command %q; see %s --help", args[0], cmd.CommandPath())
		}
		return nil
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
}

// addConfigFlags gives cmd the flags that say where the configuration is and
// override it.
func addConfigFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringP("config", "c", "", "configuration file, - for standard input (default $PORTSIDE_CONFIG, ./portside.yaml, /etc/portside/portside.yaml)")
	refuseSecondFile(cmd)
	f.String("etcd", "", "etcd endpoints, separated by commas (default http://127.0.0.1:2379)")
	f.String("etcd-prefix", "", "where services live in etcd (default service/)")
	f.String("etcd-username", "", "etcd user; the password is $PORTSIDE_ETCD_PASSWORD")
	f.String("etcd-ca", "", "file of the authorities to trust")
	f.String("etcd-cert", "", "file of the client certificate")
	f.String("etcd-key", "", "file of its key")
	f.String("etcd-server-name", "", "name expected in etcd's certificate")
}

// addRunFlags gives cmd the flags of commands that run.
func addRunFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.String("admin", "", `address of the admin API, "" for none (default 127.0.0.1:7070)`)
	f.String("state-dir", "", "where the last known endpoints are kept for a start without etcd")
	f.String("drain-delay", "", "still accepting, no longer ready, after SIGTERM (default 0s)")
	f.String("drain-timeout", "", "the most that work may take to finish (default 30s)")
	f.Bool("pprof", false, "serve /debug/pprof/ on the admin address")
}

// loadConfig reads the configuration that cmd's flags and args say.
func loadConfig(cmd *cobra.Command, std stdio, args []string, set ...config.Setting) (*config.Config, error) {
	return load(configOptions(cmd, std, args, set...))
}

// load reads a configuration, and checks that each service's records can be read, and each
// registration written, in the format that it names.
func load(o config.Options) (*config.Config, error) {
	o.Resolve = func(address string) (string, error) { return resolveAuto(address, os.Getenv, net.InterfaceAddrs) }
	o.Fits = func(rc config.Registration) error {
		_, err := recordOf(rc)
		return err
	}
	o.Reads = func(sc config.Service) error {
		_, err := decoderFor(sc)
		return err
	}
	return config.Load(o)
}

func configOptions(cmd *cobra.Command, std stdio, args []string, set ...config.Setting) config.Options {
	flags := map[string]string{}
	cmd.Flags().Visit(func(f *pflag.Flag) { flags[f.Name] = f.Value.String() })
	return config.Options{
		Path: flags["config"], Args: args, Flags: flags, Set: set, Stdin: std.in,
		Formats: record.Words(), Written: formatNames(record.Writable()),
	}
}

func formatNames(formats []record.Format) (all []string) {
	for _, f := range formats {
		all = append(all, string(f))
	}
	return all
}

// newLog returns the log that cmd's flags ask for, on standard error. Writing to it does not
// block.
func newLog(cmd *cobra.Command, std stdio) (*slog.Logger, error) {
	var level slog.Level
	name, _ := cmd.Flags().GetString("log-level")
	if err := level.UnmarshalText([]byte(name)); err != nil {
		return nil, usage("unknown log level %q; one of debug, info, warn, error", name)
	}
	switch format, _ := cmd.Flags().GetString("log-format"); format {
	case "text":
		return slog.New(tint.NewTextHandler(std.logs, &tint.Options{
			Level: level, TimeFormat: time.TimeOnly + ".000", NoColor: !colourful(std.err), ReplaceAttr: legibleAttr,
		})), nil
	case "json":
		return slog.New(slog.NewJSONHandler(legibleJSON{std.logs}, &slog.HandlerOptions{Level: level, ReplaceAttr: readableAttr})), nil
	default:
		return nil, usage("unknown log format %q; text or json", format)
	}
}

// argsBetween is cobra's argument check with our exit code.
func argsBetween(least, most int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if n := len(args); n < least || most >= 0 && n > most {
			return usage("%s takes %s; see %s --help", cmd.Name(), what, cmd.CommandPath())
		}
		return nil
	}
}
