package record

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// want says which of several endpoints a service means.
type want struct {
	protocol string // what the service speaks
	only     string // what the user named after the format's plus sign
	port     int    // completes addresses without one
}

// offer is one of several endpoints of one process.
type offer struct {
	scheme, address string
}

// order are the schemes that suit the protocol, the best first. Those with TLS come after
// the same without.
func (w want) order() []string {
	switch w.protocol {
	case "http":
		return []string{"http", "https", "rest", "ws", "wss", "h2c", "tri", "grpc", "grpcs"}
	case "grpc", "h2", "h2c":
		return []string{"grpc", "grpcs", "tri", "h2c"}
	case "", "tcp":
		return []string{"tcp", "tls"}
	}
	return []string{w.protocol, w.protocol + "s"}
}

// plain warns of an endpoint that wants TLS where the service's requests are plain.
func (w want) plain(address, scheme string) string {
	if w.protocol == "http" && slices.Contains([]string{"https", "grpcs", "wss", "tls"}, scheme) {
		return address + " is said to speak " + scheme + ", and requests to it are plain: with protocol tcp, clients could speak TLS to it themselves"
	}
	return ""
}

// suits reports whether the scheme, or role, of a record is what the user named, if anything.
func (w want) suits(scheme string) bool {
	return w.only == "" || scheme == w.only || scheme == w.only+"s"
}

// choose takes one of the offers of one process: what the user named; else the first in
// the protocol's order; else the only address there is. It does not guess: a record that
// offers http and grpc at two addresses is an error for tcp. A reason is returned when
// none of the offers is what the user named.
func (w want) choose(offers []offer) (chosen offer, reason string, err error) {
	if w.only != "" {
		return w.named(offers)
	}
	for _, scheme := range w.order() {
		if i := slices.IndexFunc(offers, func(o offer) bool { return o.scheme == scheme }); i >= 0 {
			return offers[i], "", nil
		}
	}
	for _, o := range offers {
		if o.address != offers[0].address {
			return offer{}, "", fmt.Errorf("several endpoints and none for protocol %q: %s; set protocol, or format: kratos+%s",
				cmp.Or(w.protocol, "tcp"), list(offers), offers[0].scheme)
		}
	}
	return offers[0], "", nil
}

// named is choose where the user has named one.
func (w want) named(offers []offer) (offer, string, error) {
	for _, scheme := range []string{w.only, w.only + "s"} {
		if i := slices.IndexFunc(offers, func(o offer) bool { return o.scheme == scheme }); i >= 0 {
			return offers[i], "", nil
		}
	}
	return offer{}, fmt.Sprintf("no %s endpoint among %s", w.only, list(offers)), nil
}

func list(offers []offer) string {
	const most = 4
	var all []string
	for _, o := range offers[:min(most, len(offers))] {
		all = append(all, short(o.scheme)+"://"+short(o.address))
	}
	if len(offers) > most {
		all = append(all, "…")
	}
	return strings.Join(all, ", ")
}
