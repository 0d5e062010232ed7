package config

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

var (
	nameSyntax = regexp.MustCompile(`^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$`)
	hostSyntax = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_.])?$`)
)

// badName says what is wrong with the name of a service, which becomes a part
// of keys, paths and metric labels; "" when nothing is.
func badName(name string) string {
	const most = 200
	switch {
	case name == "":
		return "is empty"
	case len(name) > most:
		return fmt.Sprintf("is longer than %d bytes", most)
	case strings.HasPrefix(name, "/"), strings.HasSuffix(name, "/"):
		return "begins or ends with a slash"
	case !nameSyntax.MatchString(name):
		return "has characters that no name has"
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == "." || part == ".." {
			return "has a part that is only dots"
		}
	}
	return ""
}

// hostPort takes an address apart. The port is -1 when there is none. IPv6
// without brackets is an address without a port, whatever its last part looks like.
func hostPort(text string) (host string, port int, problem string) {
	bare, bracketed := text, false
	if strings.HasPrefix(text, "[") && strings.HasSuffix(text, "]") {
		bare, bracketed = text[1:len(text)-1], true
	}
	if ip, err := netip.ParseAddr(bare); err == nil && (ip.Is6() || !bracketed) {
		return ip.String(), -1, ""
	}
	host, digits, err := net.SplitHostPort(text)
	if err != nil {
		if validHost(text) {
			return text, -1, ""
		}
		return "", 0, shown(text) + " is no address"
	}
	n, err := strconv.ParseUint(digits, 10, 16)
	if err != nil {
		return "", 0, fmt.Sprintf("port %s is not a number from 0 to 65535", shown(digits))
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.String(), int(n), ""
	}
	if host != "" && !validHost(host) {
		return "", 0, fmt.Sprintf("host %s is neither a name nor an IP address", shown(host))
	}
	return host, int(n), ""
}

// validHost accepts names. What has only digits and dots is a mistyped address.
func validHost(host string) bool {
	return hostSyntax.MatchString(host) && strings.Trim(host, "0123456789.") != ""
}

func joinHostPort(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }

// parseDial reads an address that others can connect to.
func parseDial(text string, defaultPort int) (address, problem, hint string) {
	host, port, problem := hostPort(text)
	switch {
	case problem != "":
		return "", problem, "write 10.0.0.5:8080, name:8080 or [2001:db8::5]:8080"
	case host == "" || host == "0.0.0.0" || host == "::":
		return "", shown(text) + " is every interface here, not an address others can connect to", "write one, such as 10.0.0.5:8080"
	case port < 0 && defaultPort > 0:
		return joinHostPort(host, defaultPort), "", ""
	case port < 0:
		return "", shown(text) + " has no port", "write " + withPort(host)
	case port == 0:
		return "", "port 0 is nobody's", ""
	}
	return joinHostPort(host, port), "", ""
}

// withPort guesses what was meant by an address without a port: in 2001:db8::5:80
// without brackets the last part, where it is decimal.
func withPort(host string) string {
	if i := strings.LastIndexByte(host, ':'); i > 0 {
		if n, err := strconv.ParseUint(host[i+1:], 10, 16); err == nil && n > 0 {
			if ip, err := netip.ParseAddr(host[:i]); err == nil {
				return joinHostPort(ip.String(), int(n))
			}
			if strings.HasSuffix(host[:i], ":") {
				return joinHostPort(host[:i]+":", int(n))
			}
		}
	}
	return net.JoinHostPort(host, "PORT")
}

// dial is an address that others can connect to.
var dial = scalarForm(func(text string) (string, string, string) { return parseDial(text, 0) }, phrase, schema{"type": "string"})
