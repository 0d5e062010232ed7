package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"portside/discovery"
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
	if ip, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil && (ip.Is6() || !strings.Contains(text, "[")) {
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

func ipOf(host string) string {
	if strings.EqualFold(host, "localhost") {
		return "127.0.0.1" // what Go listens on for the name
	}
	return host
}

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

// fixedEndpoint is an address of a fixed list and what is said of it:
// 10.0.0.8:5432;weight=2;zone=a. Its port may be left to default_port, which
// [service] completes.
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

// etcdURL is a member of etcd. As etcdctl does, it takes host:port for what tls
// then decides about.
var etcdURL = scalarForm(parseEtcdURL, phrase, schema{"type": "string"})

func parseEtcdURL(text string) (string, string, string) {
	if !strings.Contains(text, "://") {
		address, problem, _ := parseDial(text, 0)
		return address, problem, "write http://127.0.0.1:2379"
	}
	u, problem := parseURL(text)
	switch {
	case problem != "":
		return "", problem, "write http://127.0.0.1:2379, and etcd.username and etcd.password apart"
	case u.Port() == "":
		return "", "has no port", fmt.Sprintf("write %s://%s:2379", u.Scheme, u.Host)
	case u.Path != "" && u.Path != "/" || u.RawQuery != "":
		return "", "has a path", fmt.Sprintf("write %s://%s; the prefix of keys is etcd.prefix", u.Scheme, u.Host)
	}
	u.Path = ""
	return u.String(), "", ""
}

// parseURL reads an http or https URL. What it says never shows the text, which
// may hold a password.
func parseURL(text string) (u *url.URL, problem string) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, "is no URL"
	case u.User != nil:
		return nil, "a URL with a user or password in it"
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Sprintf("a URL that is neither http nor https but %s", shown(u.Scheme))
	}
	if _, _, problem := hostPort(u.Host); problem != "" || u.Hostname() == "" {
		return nil, "a URL without a valid host"
	}
	u.Fragment, u.RawFragment = "", ""
	return u, ""
}
