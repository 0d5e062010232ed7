package record

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// readAPISIX reads an APISIX upstream, a whole pool in one key: {"scheme",
// "nodes"}, where nodes is {"host:port":weight} or [{"host","port","weight"}].
// Its operators write it, and a weight of 0 is how they turn a node off.
func readAPISIX(in entry) (Reading, error) {
	var v struct {
		Scheme string
		Nodes  json.RawMessage
	}
	if err := in.parse(&v); err != nil {
		return Reading{}, err
	}
	if in.want.port == 0 {
		in.want.port = schemePort(v.Scheme)
	}
	listed, err := apisixNodes(v.Nodes)
	if err != nil {
		return Reading{}, fmt.Errorf("nodes: %w", err)
	}
	on := slices.DeleteFunc(listed, func(s said) bool { return s.weight == "0" })
	if len(on) == 0 {
		return absent("none of %d nodes is on", len(listed))
	}
	for i := range on {
		on[i].scheme = v.Scheme
	}
	return in.several(on)
}

func apisixNodes(raw json.RawMessage) ([]said, error) {
	if strings.HasPrefix(string(raw), "{") {
		return apisixMap(raw)
	}
	var nodes []struct {
		Host, Port, Weight, Priority loose
		Metadata                     json.RawMessage
	}
	if err := json.Unmarshal(raw, &nodes); err != nil {
		return nil, err
	}
	var all []said
	for _, n := range nodes {
		more := with(metadata(n.Metadata), "priority", string(n.Priority))
		all = append(all, said{address: string(n.Host), port: string(n.Port), weight: string(n.Weight), more: more})
	}
	return all, nil
}

func apisixMap(raw json.RawMessage) ([]said, error) {
	var nodes map[string]loose
	if err := json.Unmarshal(raw, &nodes); err != nil {
		return nil, err
	}
	var all []said
	for _, address := range slices.Sorted(maps.Keys(nodes)) {
		all = append(all, said{address: address, weight: string(nodes[address])})
	}
	return all, nil
}
