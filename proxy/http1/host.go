package http1

import "bytes"

// hostError is nil if b is uri-host [ ":" port ] (RFC 9110 7.2).
//
// It is stricter than RFC 3986 3.2.2, whose reg-name may have any sub-delims and
// percent-encoding: no name in DNS has them, and a comma makes a list of it. An
// empty host is refused with RFC 9110 4.2.1 (an http URI has one), an empty
// label with nginx (".." has walked out of directories named by Host), and an
// IPv6 zone with RFC 9844 (it means nothing to another host).
func hostError(b []byte) error {
	end := 0
	if len(b) > 0 && b[0] == '[' {
		end = bytes.IndexByte(b, ']') + 1
		if end == 0 || !isIPv6(b[1:end-1]) {
			return errHost
		}
	}
	label := 0 // length of the current label
	for named := end == 0; named && end < len(b) && class[b[end]]&regName != 0; end++ {
		if b[end] != '.' {
			label++
			continue
		}
		if label == 0 {
			return errHost
		}
		label = 0
	}
	if end == len(b) && end > 0 {
		return nil
	}
	return hostTailError(b, end)
}

// hostTailError judges what follows the host of length end.
func hostTailError(b []byte, end int) error {
	if bytes.IndexByte(b, '@') >= 0 {
		// RFC 9110 4.2.4: "it is likely being used to obscure the authority".
		return errUserinfo
	}
	if end == 0 && (len(b) == 0 || b[0] == ':') {
		return errEmptyHost
	}
	if b[end] != ':' || !isPort(b[end+1:]) {
		return errHost
	}
	return nil
}

// isPort: RFC 3986 3.2.3, which allows an empty one.
func isPort(b []byte) bool {
	if len(b) > 5 {
		return false
	}
	n := 0
	for _, c := range b {
		if !isDigit(c) {
			return false
		}
		n = n*10 + int(c-'0')
	}
	return n <= 65535
}

// isIPv6 reports whether b is an IPv6 address in text form (RFC 4291 2.2). It is netip's
// answer, to which a test holds it, without the string that netip would allocate.
func isIPv6(b []byte) bool {
	groups, gap := 0, false
	if bytes.HasPrefix(b, []byte("::")) {
		gap, b = true, b[2:]
	}
	for len(b) > 0 {
		n := 0
		for n < len(b) && class[b[n]]&hex != 0 {
			n++
		}
		if n < len(b) && b[n] == '.' {
			groups += 2
			return isIPv4(b) && (groups == 8 || gap && groups < 8)
		}
		if n == 0 || n > 4 {
			return false
		}
		groups++
		if b = b[n:]; len(b) == 0 {
			break
		}
		if b[0] != ':' || len(b) == 1 {
			return false
		}
		if b = b[1:]; b[0] == ':' {
			if gap {
				return false
			}
			gap, b = true, b[1:]
		}
	}
	return groups == 8 && !gap || gap && groups < 8
}

// isIPv4 reports whether b is four decimal octets.
func isIPv4(b []byte) bool {
	for octets := 1; ; octets++ {
		n, v := 0, 0
		for n < len(b) && n < 4 && isDigit(b[n]) {
			v = v*10 + int(b[n]-'0')
			n++
		}
		if n == 0 || v > 255 || n > 1 && b[0] == '0' {
			return false
		}
		if n == len(b) {
			return octets == 4
		}
		if b[n] != '.' || octets == 4 {
			return false
		}
		b = b[n+1:]
	}
}
