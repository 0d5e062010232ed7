package record

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"

	"portside/discovery"
)

// said is what a record says of one address, in the record's own words.
type said struct {
	address  string  // host, host:port or URL
	port     string  // where the record has a field for it, besides or instead of address's
	scheme   string  // where address has none
	weight   string  // empty when unsaid
	ordinary float64 // the weight of an ordinary peer in this format; zero: 1
	version  string  // empty when unsaid
	draining bool
	more     map[string]string // whatever else; endpoint removes what it understands
	typed    bool              // the writer keeps more in a struct, where an unset field is zero
}

// absent is the reading of a record that declares that there is no endpoint, and why.
func absent(format string, args ...any) (Reading, error) {
	return Reading{Reason: fmt.Sprintf(format, args...)}, nil
}

// one is the reading of a record with one endpoint.
func (in entry) one(s said) (Reading, error) {
	e, warning, err := in.endpoint(s)
	if err != nil {
		return Reading{}, err
	}
	return Reading{Endpoints: []discovery.Endpoint{e}, Warning: warning}, nil
}

// several is the reading of a record with several endpoints. A bad one among good ones is a
// warning.
func (in entry) several(all []said) (Reading, error) {
	var r Reading
	var firstErr error
	for _, s := range all {
		e, warning, err := in.endpoint(s)
		if err != nil {
			if firstErr == nil {
				firstErr = err
			}
			r.Warning = join(r.Warning, err.Error())
			continue
		}
		r.Endpoints = append(r.Endpoints, e)
		r.Warning = join(r.Warning, warning)
	}
	if len(r.Endpoints) == 0 {
		return Reading{}, firstErr
	}
	return r, nil
}

// endpoint makes an endpoint of what was said. Weight, zone, version and draining may be in
// the metadata where the format has no field for them.
func (in entry) endpoint(s said) (e discovery.Endpoint, warning string, err error) {
	address, scheme, doubt, err := in.address(s)
	if err != nil {
		return e, "", err
	}
	scheme = cmp.Or(s.scheme, scheme)
	e = discovery.Endpoint{Address: address, Version: s.version, Draining: s.draining}
	draining := take(s.more, "draining")
	e.Draining = isTrue(draining) || e.Draining
	if draining != "" && !isTrue(draining) && !isFalse(draining) {
		doubt = join(doubt, fmt.Sprintf("draining=%q is neither true nor false: taken as false", short(draining)))
	}
	e.Zone = take(s.more, "zone")
	version, weight := take(s.more, "version"), take(s.more, "weight")
	e.Version = cmp.Or(e.Version, version)
	switch {
	case s.weight != "" || !isZero(weight):
	case s.typed:
		doubt = join(doubt, "weight 0 is taken as unset: draining=true takes a server out")
	default:
		// Whoever writes a zero by name means to take the server out, as in Kratos, rpcx
		// and Dubbo.
		e.Draining, weight = true, ""
		doubt = join(doubt, "weight 0: no new work, as with draining=true")
	}
	w, odd := weigh(cmp.Or(s.weight, weight), s.ordinary)
	e.Weight = w
	doubt = join(doubt, odd, cut(&e.Zone, "zone"), cut(&e.Version, "version"))
	if scheme != "" {
		s.more = with(s.more, "scheme", scheme)
	}
	more, dropped := bound(s.more)
	e.Metadata = more
	return e, join(doubt, dropped, in.want.plain(address, scheme), caution(address)), nil
}

// address is the address of s, cleaned. If its text has a port of its own, that one counts,
// and another one in the record's port field is only worth a warning.
func (in entry) address(s said) (address, scheme, doubt string, err error) {
	if s.port == "" || s.port == "0" {
		address, scheme, err = Address(s.address, in.want.port)
		return address, scheme, "", err
	}
	port := 0
	if s.port = strings.TrimLeft(s.port, "0"); isPort(s.port) {
		port, _ = strconv.Atoi(s.port)
	}
	address, scheme, err = Address(s.address, port)
	_, whole, _ := strings.Cut(s.address, "://")
	switch {
	case port == 0 && (err != nil || scheme != "" && !isAddress(whole)): // a scheme's port does not stand in for a bad one
		return "", "", "", fmt.Errorf("port %q is not a number from 1 to %d", short(s.port), maxPort)
	case err == nil && !strings.HasSuffix(address, ":"+s.port):
		doubt = fmt.Sprintf("port %q beside address %q is passed over", short(s.port), short(s.address))
	}
	return address, scheme, doubt, err
}

// maxWord bounds a zone and a version, in bytes.
const maxWord = 128

// cut shortens word to maxWord, and warns if it has.
func cut(word *string, name string) (warning string) {
	if len(*word) <= maxWord {
		return ""
	}
	warning = fmt.Sprintf("%s of %d bytes cut at %d", name, len(*word), maxWord)
	*word = strings.ToValidUTF8((*word)[:maxWord], "")
	return warning
}

// The widest weights, relative to an ordinary peer, that are taken as meant.
const minWeight, maxWeight = 1e-6, 1e6

// isZero reports whether text is the number zero.
func isZero(text string) bool {
	n, err := strconv.ParseFloat(text, 64)
	return err == nil && n == 0
}

// weigh makes a format's weight relative to an ordinary peer's. A missing one and zero are
// ordinary: formats with a field for it write zero where it is unset.
func weigh(text string, ordinary float64) (weight float64, warning string) {
	if text == "" {
		return 1, ""
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(n) || math.IsInf(n, 0) || n < 0 {
		return 1, fmt.Sprintf("weight %q is not a positive number: taken as ordinary", short(text))
	}
	if n == 0 {
		return 1, ""
	}
	if ordinary != 0 {
		n /= ordinary
	}
	if n < minWeight || n > maxWeight {
		return min(max(n, minWeight), maxWeight), fmt.Sprintf("weight %q is out of range: taken as near as may be", short(text))
	}
	return n, ""
}

// caution warns of addresses that mean another machine to every reader.
func caution(address string) string {
	host := address[:strings.LastIndexByte(address, ':')]
	if host == "localhost" {
		return address + " is loopback: it means the reader's own machine"
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	switch {
	case err != nil:
		return ""
	case ip.IsLoopback():
		return address + " is loopback: it means the reader's own machine"
	case ip.IsUnspecified():
		return address + " is where a server listens, not where it can be reached"
	case ip == dockerBridge():
		return address + " is docker's bridge: it means the reader's own machine"
	}
	return ""
}

func dockerBridge() netip.Addr { return netip.AddrFrom4([4]byte{172, 17, 0, 1}) }

// maxWarning bounds a warning; a record may have thousands of faults.
const maxWarning = 400

// join puts those warnings that are not empty into one line.
func join(warnings ...string) string {
	const more = "; and more"
	line := ""
	for _, w := range warnings {
		switch {
		case w == "" || strings.HasSuffix(line, more):
		case line == "":
			line = w
		case len(line)+len(w) > maxWarning:
			line += more
		default:
			line += "; " + w
		}
	}
	return line
}
