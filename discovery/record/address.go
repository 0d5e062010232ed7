package record

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

const maxPort = 65535

var errNoPort = errors.New("no port")

// Address brings what registrars write for an address into the form host:port. Scheme,
// user, path and query are cut off, host names are lower-cased, IPv6 gets single brackets
// and its shortest form (RFC 5952), and IPv4 in IPv6 becomes IPv4. IPv6 without brackets
// is split at its last colon when what precedes that is IPv6, too. A missing port becomes
// defaultPort or, when that is zero, the port of its scheme. The scheme is returned in
// lower case; it is empty when raw has none.
//
// An address that is in this form already stays as it is.
func Address(raw string, defaultPort int) (address, scheme string, err error) {
	scheme, authority, err := cutScheme(strings.TrimSpace(raw))
	if err != nil {
		return "", "", fmt.Errorf("address %q: %w", short(anonymous(raw)), err)
	}
	if defaultPort == 0 {
		defaultPort = schemePort(scheme)
	}
	address, err = clean(authority, defaultPort)
	if err != nil {
		return "", "", fmt.Errorf("address %q: %w", short(anonymous(raw)), err)
	}
	return address, scheme, nil
}

// isAddress reports whether s is an address with a port of its own.
func isAddress(s string) bool {
	_, _, err := Address(s, 0)
	return err == nil
}

// cutScheme takes scheme://[user@]authority[/path][?query][#fragment] apart.
func cutScheme(s string) (scheme, authority string, err error) {
	before, rest, found := strings.Cut(s, "://")
	if !found || strings.ContainsAny(before, "/?#") {
		return "", s[:endOfAuthority(s)], nil
	}
	scheme = strings.ToLower(before)
	if !isScheme(scheme) {
		return "", "", fmt.Errorf("%q is not a URL scheme", short(before))
	}
	if scheme == "unix" {
		return "", "", fmt.Errorf("a unix socket is no network address")
	}
	authority = rest[:endOfAuthority(rest)]
	authority = authority[strings.LastIndexByte(authority, '@')+1:]
	// RFC 6874: in a URL the percent sign before a zone is itself escaped.
	return scheme, strings.Replace(authority, "%25", "%", 1), nil
}

// anonymous hides a URL's user and password, for errors end up in logs.
func anonymous(raw string) string {
	scheme, rest, found := strings.Cut(raw, "://")
	end := endOfAuthority(rest)
	if at := strings.LastIndexByte(rest[:end], '@'); found && at >= 0 {
		return scheme + "://…" + rest[at:]
	}
	return raw
}

func endOfAuthority(s string) int {
	if i := strings.IndexAny(s, "/?#"); i >= 0 {
		return i
	}
	return len(s)
}

// isScheme is RFC 3986 section 3.1, for a lowered s.
func isScheme(s string) bool {
	for i, c := range []byte(s) {
		letter := 'a' <= c && c <= 'z'
		if !letter && (i == 0 || !isDigit(c) && c != '+' && c != '-' && c != '.') {
			return false
		}
	}
	return s != ""
}

func schemePort(scheme string) int {
	switch scheme {
	case "http", "ws":
		return 80
	case "https", "wss":
		return 443
	}
	return 0
}

func clean(authority string, defaultPort int) (string, error) {
	if authority == "" {
		return "", fmt.Errorf("it is empty")
	}
	host, port, err := split(authority)
	if err != nil {
		return "", err
	}
	if host, err = cleanHost(host); err != nil {
		return "", err
	}
	switch {
	case port != "" && !isPort(port):
		return "", fmt.Errorf("port %q is not a number from 1 to %d", short(port), maxPort)
	case port == "" && defaultPort == 0:
		return "", errNoPort
	case port == "":
		port = strconv.Itoa(defaultPort)
	}
	return net.JoinHostPort(host, port), nil
}

// split parts host and port; port is empty when there is none.
func split(s string) (host, port string, err error) {
	if s[0] == '[' {
		return splitBrackets(s)
	}
	last := strings.LastIndexByte(s, ':')
	if last < 0 {
		return s, "", nil
	}
	host, port = s[:last], s[last+1:]
	if !strings.Contains(host, ":") {
		if port == "" {
			return "", "", fmt.Errorf("nothing after the colon")
		}
		return host, port, nil
	}
	// Kitex and tRPC join IPv6 and port with a bare colon: fe80::1:8888.
	if isIPv6(host) && isPort(port) {
		return host, port, nil
	}
	if isIPv6(s) {
		return s, "", nil
	}
	return "", "", fmt.Errorf("neither host:port nor IPv6")
}

// splitBrackets parts [host]:port; go-micro's web services write [[host]]:port.
func splitBrackets(s string) (host, port string, err error) {
	end := strings.LastIndexByte(s, ']')
	if end < 0 {
		return "", "", fmt.Errorf("a bracket is not closed")
	}
	host, rest := s[1:end], s[end+1:]
	if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		host = host[1 : len(host)-1]
	}
	if !isIPv6(host) {
		return "", "", fmt.Errorf("%q in brackets is not IPv6", short(host))
	}
	if rest == "" {
		return host, "", nil
	}
	if rest[0] != ':' || len(rest) == 1 {
		return "", "", fmt.Errorf("%q after the bracket is not a port", short(rest))
	}
	return host, rest[1:], nil
}

func isIPv6(s string) bool {
	ip, err := netip.ParseAddr(s)
	return err == nil && ip.Is6()
}

// isPort refuses leading zeros: with one, the end of a bracketless IPv6 is a
// part of the address.
func isPort(s string) bool {
	if s == "" || len(s) > 5 || s[0] == '0' {
		return false
	}
	n := 0
	for _, c := range []byte(s) {
		if !isDigit(c) {
			return false
		}
		n = n*10 + int(c-'0')
	}
	return n <= maxPort
}
