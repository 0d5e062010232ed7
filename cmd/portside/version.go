package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// release is set by the linker for a release: -ldflags "-X main.release=v1.2.3".
var release string

// version is the release, or what the build knows of itself.
func version() string {
	if release != "" {
		return release
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}

func newVersion(std stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print what was built",
		Args:  argsBetween(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			asJSON, err := wantJSON(cmd)
			if err != nil {
				return err
			}
			v := struct {
				Version  string `json:"version"`
				Commit   string `json:"commit,omitempty"`
				Date     string `json:"date,omitempty"`
				Go       string `json:"go"`
				Platform string `json:"platform"`
			}{Version: version(), Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
			if info, ok := debug.ReadBuildInfo(); ok {
				for _, s := range info.Settings {
					switch s.Key {
					case "vcs.revision":
						v.Commit = s.Value
					case "vcs.time":
						v.Date = s.Value
					}
				}
			}
			if asJSON {
				return writeJSON(std.out, v)
			}
			fmt.Fprintf(std.out, "portside %s %s %s\n", v.Version, v.Go, v.Platform)
			if v.Commit != "" {
				fmt.Fprintf(std.out, "commit %s %s\n", v.Commit, v.Date)
			}
			return nil
		},
	}
	outputFlag(cmd)
	return cmd
}
