package record

import (
	"fmt"
	"net/url"
	"strings"
)

// readRPCX reads a key that ends in network@host:port, with a query string of
// metadata for a value, often an empty one.
func readRPCX(in entry) (Reading, error) {
	network, address, found := strings.Cut(in.leaf, "@")
	if !found {
		return absent("placeholder: the key ends in no network@address")
	}
	if strings.HasPrefix(in.text, "{") {
		return Reading{}, fmt.Errorf("value %q is not a query string", short(in.text))
	}
	query, err := url.ParseQuery(in.text)
	if err != nil {
		return Reading{}, fmt.Errorf("value %q: %w", short(in.text), err)
	}
	more := flattenQuery(query)
	switch {
	case more["state"] == "inactive":
		return absent("inactive: state=inactive")
	case offNetwork(network):
		return absent("network is %q, not TCP", short(network))
	}
	for _, measured := range []string{"calls", "connections", "tps"} { // rewritten every minute
		delete(more, measured)
	}
	return in.one(said{address: address, more: with(more, "network", network)})
}

// flattenQuery joins the values of a name that repeats.
func flattenQuery(query url.Values) map[string]string {
	more := map[string]string{}
	for name, values := range query {
		if text := strings.Join(values, ","); text != "" {
			more[name] = text
		}
	}
	return more
}

// isRPCX tells rpcx keys by their shape: a network, an at sign, host:port.
func isRPCX(leaf string) bool {
	network, address, found := strings.Cut(leaf, "@")
	if !found || !isScheme(network) {
		return false
	}
	return offNetwork(network) || isAddress(address)
}
