package record

import (
	"fmt"
	"net/netip"
	"strings"
)

// cleanHost brings an IP or a host name into its one form.
func cleanHost(host string) (string, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		if !isZone(ip.Zone()) {
			return "", fmt.Errorf("zone %q has odd characters", short(ip.Zone()))
		}
		return ip.Unmap().String(), nil
	}
	return cleanName(host)
}

func isZone(s string) bool {
	for _, c := range []byte(s) {
		if !isNameByte(c) && c != '.' && c != '~' && !('A' <= c && c <= 'Z') {
			return false
		}
	}
	return true
}

// cleanName lowers a host name and holds it to RFC 1123, with the underscore
// that container names have.
func cleanName(host string) (string, error) {
	host = strings.ToLower(host)
	if isWord(host, "null", "true", "false") {
		return "", fmt.Errorf("%s is a value of JSON's, no host", host)
	}
	name := strings.TrimSuffix(host, ".")
	if name == "" {
		return "", fmt.Errorf("no host")
	}
	if len(name) > 253 {
		return "", fmt.Errorf("a host name of %d bytes is longer than 253", len(name))
	}
	label := ""
	for label = range strings.SplitSeq(name, ".") {
		if !isLabel(label) {
			return "", fmt.Errorf("%q is no part of a host name", short(label))
		}
	}
	// A name that ends in a number is an IPv4 address gone wrong (300.1.1.1),
	// or not an address at all (a lease id).
	if isNumber(label) {
		return "", fmt.Errorf("%q is neither IPv4 nor a host name", short(host))
	}
	return host, nil
}

func isLabel(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for _, c := range []byte(s) {
		if !isNameByte(c) {
			return false
		}
	}
	return true
}

func isNameByte(c byte) bool {
	return 'a' <= c && c <= 'z' || isDigit(c) || c == '-' || c == '_'
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isNumber(s string) bool {
	for _, c := range []byte(s) {
		if !isDigit(c) {
			return false
		}
	}
	return s != ""
}

// short keeps a foreign value from flooding a log line.
func short(s string) string {
	const most = 64
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
