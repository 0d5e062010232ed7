package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

func caddyPeer() (peer, error) {
	version, err := versionOf("caddy", "version")
	can := func(s setup) error {
		if s.Protocol == "tcp" {
			return errors.New("proxies HTTP only")
		}
		return needsList(s)
	}
	return peer{name: "caddy", version: version, can: can, command: func(dir string, s setup) (*exec.Cmd, error) {
		path, err := writeConfig(dir, "Caddyfile", caddyConfig(s))
		if err != nil {
			return nil, err
		}
		cmd := exec.Command("caddy", "run", "--config", path, "--adapter", "caddyfile")
		cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
		return cmd, nil
	}}, err
}

func caddyConfig(s setup) string {
	clients, backends := "", ""
	if s.Protocol == "grpc" {
		clients = "\n\tservers {\n\t\tprotocols h1 h2c\n\t}"
		backends = "\n\t\t\tversions h2c"
	}
	host, port, _ := strings.Cut(s.Listen, ":")
	policy := map[string]string{"least_conn": "least_conn", "ewma": "least_conn", "random": "random", "hash": "ip_hash"}[s.Balance]
	if policy == "" {
		policy = "round_robin"
	}
	return fmt.Sprintf(`{
	admin off
	auto_https off
	log {
		output discard
	}%s
}
http://:%s {
	bind %s
	reverse_proxy %s {
		lb_policy %s
		transport http {
			dial_timeout 1s
			keepalive 10m
			keepalive_idle_conns_per_host 512
			compression off%s
		}
	}
}
`, clients, port, host, strings.Join(s.Backends, " "), policy, backends)
}

// goPeer is this program in the role of goProxy.
func goPeer() (peer, error) {
	can := func(s setup) error {
		if s.Balance != "" {
			return errors.New("knows round robin only")
		}
		return needsList(s)
	}
	return peer{name: "go", version: runtime.Version() + " net/http, io.Copy", can: can, command: func(dir string, s setup) (*exec.Cmd, error) {
		exe, err := os.Executable()
		if err != nil {
			return nil, err
		}
		path, err := writeConfig(dir, "backends", strings.Join(s.Backends, "\n"))
		if err != nil {
			return nil, err
		}
		cmd := exec.Command(exe, "-listen", s.Listen, "-protocol", s.Protocol, "-backends", path)
		cmd.Env = append(os.Environ(), roleEnv+"=go")
		return cmd, nil
	}}, nil
}
