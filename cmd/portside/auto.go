package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"portside/cmd/portside/config"
)

// resolveAuto replaces the host auto of a registration's address by this
// machine's: $POD_IP, or the first address of an interface that others can reach.
func resolveAuto(rc *config.Registration, env func(string) string, interfaces func() ([]net.Addr, error)) error {
	host, port, err := net.SplitHostPort(rc.Address)
	if err != nil || host != "auto" {
		return nil
	}
	address := env("POD_IP")
	if address == "" {
		if address, err = reachable(interfaces); err != nil {
			return fmt.Errorf("registration %s: address auto: %w; write the address, or set POD_IP", rc.Name, err)
		}
	}
	was := rc.Address
	rc.Address = net.JoinHostPort(address, port)
	if rest, ok := strings.CutSuffix(rc.Key, "/"+was); ok {
		rc.Key = rest + "/" + rc.Address
	}
	return nil
}

// reachable is the first address that is neither loopback nor of a link alone, an
// IPv4 one before any of IPv6.
func reachable(interfaces func() ([]net.Addr, error)) (string, error) {
	addresses, err := interfaces()
	if err != nil {
		return "", err
	}
	six := ""
	for _, a := range addresses {
		n, ok := a.(*net.IPNet)
		if !ok || !n.IP.IsGlobalUnicast() {
			continue
		}
		if n.IP.To4() != nil {
			return n.IP.String(), nil
		}
		if six == "" {
			six = n.IP.String()
		}
	}
	if six == "" {
		return "", errors.New("no interface has an address that others can reach")
	}
	return six, nil
}

// resolveAutos does so for all of cfg's, from what this machine says.
func resolveAutos(cfg *config.Config) (faults []error) {
	for i := range cfg.Register {
		if err := resolveAuto(&cfg.Register[i], os.Getenv, net.InterfaceAddrs); err != nil {
			faults = append(faults, err)
		}
	}
	return faults
}
