package main

import (
	"errors"
	"fmt"
	"net"
)

// resolveAuto replaces the host auto of a registration's address by this
// machine's: $POD_IP, or the first address of an interface that others can reach.
func resolveAuto(address string, env func(string) string, interfaces func() ([]net.Addr, error)) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil || host != "auto" {
		return address, nil
	}
	if host = env("POD_IP"); host == "" {
		if host, err = reachable(interfaces); err != nil {
			return "", fmt.Errorf("auto: %w; write the address, or set POD_IP", err)
		}
	}
	return net.JoinHostPort(host, port), nil
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
