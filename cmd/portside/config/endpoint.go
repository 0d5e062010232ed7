package config

import (
	"fmt"
	"strconv"
	"strings"

	"portside/discovery"
)

// fixedEndpoint is an address of a fixed list and what is said of it:
// 10.0.0.8:5432;weight=2;zone=a. Its port may be left to default_port.
var fixedEndpoint = scalarForm(parseEndpoint, writeEndpoint, schema{"type": "string"})

func parseEndpoint(text string) (e discovery.Endpoint, problem, hint string) {
	parts := strings.Split(text, ";")
	e = discovery.Endpoint{Address: strings.TrimSpace(parts[0]), Weight: 1}
	if _, _, problem = hostPort(e.Address); problem != "" {
		return e, problem, "write 10.0.0.7:5432 or [2001:db8::7]:5432"
	}
	for _, part := range parts[1:] {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch name {
		case "weight":
			e.Weight, problem, hint = parseWeight(value)
		case "zone":
			e.Zone, problem, hint = parseText(value)
		case "version":
			e.Version, problem, hint = parseText(value)
		default:
			problem, hint = fmt.Sprintf("unknown attribute %s", shown(name)), "write ;weight=2;zone=a;version=v1"
		}
		if problem != "" {
			return e, problem, hint
		}
	}
	return e, "", ""
}

func writeEndpoint(e discovery.Endpoint) *node {
	s := e.Address
	if e.Weight != 1 {
		s += ";weight=" + strconv.FormatFloat(e.Weight, 'f', -1, 64)
	}
	if e.Zone != "" {
		s += ";zone=" + e.Zone
	}
	if e.Version != "" {
		s += ";version=" + e.Version
	}
	return phrase(s)
}
