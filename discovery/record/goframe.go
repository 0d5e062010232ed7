package record

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
)

// readGoFrame reads …/name/version/address,address with metadata for a value.
// The addresses are one process seen on each of its networks, docker's bridge
// among them: the first that other machines can reach is taken.
func readGoFrame(in entry) (Reading, error) {
	if in.text != "" && in.text != "null" {
		if err := in.parse(&struct{}{}); err != nil {
			return Reading{}, err
		}
	}
	addresses, err := in.goFrameAddresses()
	if err != nil {
		return Reading{}, err
	}
	version := in.parent()
	if version == "latest" { // GoFrame's word for none
		version = ""
	}
	more := metadata(json.RawMessage(in.text))
	scheme := ""
	if more["protocol"] == "https" {
		scheme = "https"
	}
	return in.one(said{address: addresses, scheme: scheme, version: version, more: more})
}

// goFrameAddresses returns the one address to call.
func (in entry) goFrameAddresses() (string, error) {
	first := ""
	for raw := range strings.SplitSeq(in.leaf, ",") {
		address, _, err := Address(raw, 0) // GoFrame always writes the port
		if err != nil {
			return "", fmt.Errorf("key: %w", err)
		}
		if caution(address) == "" {
			return address, nil
		}
		first = cmp.Or(first, address)
	}
	return first, nil
}

// isGoFrame tells GoFrame keys by their shape: six segments, the last of which
// is host:port or several of them.
func (in entry) isGoFrame() bool {
	if strings.Count(strings.TrimPrefix(in.key, "/"), "/") != 5 {
		return false
	}
	_, err := in.goFrameAddresses()
	return err == nil
}
