package main

import (
	"fmt"
	"os/exec"
	"strings"
)

func portsidePeer(binary string) (peer, error) {
	version, err := versionOf(binary, "version")
	return peer{name: "portside", version: version, command: func(dir string, s setup) (*exec.Cmd, error) {
		path, err := writeConfig(dir, "portside.yaml", portsideConfig(s))
		if err != nil {
			return nil, err
		}
		args := []string{"run", "--log-level", "error", "-c", path}
		if s.Admin != "" {
			args = append(args, "--pprof")
		}
		return exec.Command(binary, args...), nil
	}}, err
}

// portsideConfig leaves every default as it is, but for the guard, which would
// take churn for an accident.
func portsideConfig(s setup) string {
	var b strings.Builder
	fmt.Fprintf(&b, "admin: %q\n", s.Admin)
	if s.Etcd != "" {
		fmt.Fprintf(&b, "etcd: {endpoints: [%q]}\n", s.Etcd)
	}
	protocol := s.Protocol
	if protocol == "grpc" {
		protocol = "http" // and HTTP/2 by its preface
	}
	fmt.Fprintf(&b, "services:\n  bench:\n    listen: %s\n    protocol: %s\n    guard: off\n", s.Listen, protocol)
	if s.Balance != "" {
		fmt.Fprintf(&b, "    balance: %s\n", s.Balance)
	}
	if s.Etcd == "" {
		b.WriteString("    endpoints:\n")
		for _, a := range s.Backends {
			fmt.Fprintf(&b, "      - %s\n", a)
		}
	}
	return b.String()
}
