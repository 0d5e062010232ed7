package main

import (
	"fmt"
	"os/exec"
	"strings"
)

func haproxyPeer() (peer, error) {
	version, err := versionOf("haproxy", "-v")
	return peer{name: "haproxy", version: version, can: needsList, command: func(dir string, s setup) (*exec.Cmd, error) {
		path, err := writeConfig(dir, "haproxy.cfg", haproxyConfig(s, descriptors()))
		if err != nil {
			return nil, err
		}
		return exec.Command("haproxy", "-db", "-f", path), nil
	}}, err
}

// needsList is why no peer but portside can follow a registry.
func needsList(s setup) error {
	if s.Etcd != "" {
		return fmt.Errorf("does not follow etcd")
	}
	return nil
}

// haproxyConfig leaves room, within files, for two descriptors a connection and
// for the pipes of the quarter that HAProxy thinks may splice.
func haproxyConfig(s setup, files uint64) string {
	var b strings.Builder
	fmt.Fprintf(&b, `global
    nbthread 2
    maxconn %d
defaults
    mode %s
    timeout connect 1s
    timeout client 10m
    timeout server 10m
    option redispatch
`, files*3/8, strings.Replace(s.Protocol, "grpc", "http", 1))
	proto := ""
	switch s.Protocol {
	case "grpc":
		proto = " proto h2"
		fallthrough
	case "http":
		b.WriteString("    timeout http-keep-alive 10m\n    http-reuse always\n    option forwardfor\n")
	case "tcp":
		if s.Bulk {
			b.WriteString("    option splice-auto\n")
		}
	}
	fmt.Fprintf(&b, "frontend bench\n    bind %s%s\n    default_backend servers\nbackend servers\n    balance %s\n",
		s.Listen, proto, haproxyBalance(s))
	for i, a := range s.Backends {
		fmt.Fprintf(&b, "    server s%d %s%s\n", i, a, proto)
	}
	return b.String()
}

func haproxyBalance(s setup) string {
	switch s.Balance {
	case "least_conn", "ewma":
		return "leastconn" // it has no policy that looks at latency
	case "random":
		return "random(1)" // portside's does not compare either
	case "hash":
		return "source\n    hash-type consistent"
	}
	if len(s.Backends) > 4095 {
		return "static-rr" // roundrobin's limit
	}
	return "roundrobin"
}
