package config

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// listen is an address to accept on: a port alone means loopback.
var listen = scalarForm(parseListen, phrase, schema{"type": []string{"string", "integer"}})

func parseListen(text string) (string, string, string) {
	const hint = "write 127.0.0.1:7001, or 7001 for the same, or :7001 for every interface"
	if n, err := strconv.ParseUint(text, 10, 16); err == nil {
		return joinHostPort("127.0.0.1", int(n)), "", ""
	}
	text = strings.TrimPrefix(text, "*")
	host, port, problem := hostPort(text)
	switch {
	case isNumber(text):
		return "", fmt.Sprintf("port %s is not from 0 to 65535", shown(text)), hint
	case problem != "":
		return "", problem, hint
	case port < 0:
		return "", shown(text) + " has no port", hint
	}
	return joinHostPort(host, port), "", ""
}

// admin is where the admin API listens: an address, or nowhere.
var admin = scalarForm(func(text string) (string, string, string) {
	if text == "" || text == "off" {
		return "", "", ""
	}
	return parseListen(text)
}, phrase, schema{"type": []string{"string", "integer"}})

// clash reports whether two listeners cannot both have their address. A
// wildcard takes the port of every address of its family, and in Go [::] and
// no host at all take both families.
func clash(a, b string) bool {
	hostA, portA, _ := hostPort(a)
	hostB, portB, _ := hostPort(b)
	if portA != portB || portA == 0 {
		return false
	}
	return covers(hostA, hostB) || covers(hostB, hostA)
}

func covers(wide, host string) bool {
	switch wide = ipOf(wide); wide {
	case "", "::":
		return true
	case "0.0.0.0":
		ip, err := netip.ParseAddr(ipOf(host))
		return err != nil || ip.Is4()
	}
	return strings.EqualFold(wide, ipOf(host))
}

// callsItself reports whether a service that listens on listen would reach itself at address.
// If it listens on every interface, only the loopback addresses are known to be its own.
func callsItself(address, listen string) bool {
	host, port, _ := hostPort(address)
	own, ownPort, _ := hostPort(listen)
	if port != ownPort || port == 0 || listen == "" {
		return false
	}
	ip, err := netip.ParseAddr(ipOf(host))
	all, errAll := netip.ParseAddr(ipOf(own))
	if own == "" || errAll == nil && all.IsUnspecified() {
		return err == nil && ip.Unmap().IsLoopback()
	}
	if err == nil && errAll == nil {
		return ip.Unmap() == all.Unmap()
	}
	return strings.EqualFold(host, own)
}

func ipOf(host string) string {
	if strings.EqualFold(host, "localhost") {
		return "127.0.0.1" // what Go listens on for the name
	}
	return host
}
