package record

import (
	"encoding/json"
	"fmt"
)

// readGoMicro reads {"version","endpoints":[RPC methods],"nodes":[{"address",
// "metadata"}]}. Its registrars write one node a key; each node is a backend.
func readGoMicro(in entry) (Reading, error) {
	var v struct {
		Version loose
		Nodes   []struct {
			Address, Port loose
			Metadata      json.RawMessage
		}
		Endpoints json.RawMessage // methods, and none of our business
	}
	if err := in.parse(&v); err != nil {
		return Reading{}, err
	}
	if len(v.Nodes) == 0 {
		return absent("the record lists no node")
	}
	var all []said
	for _, n := range v.Nodes {
		more := metadata(n.Metadata)
		if in.want.suits(microProtocol(more)) {
			all = append(all, said{address: string(n.Address), port: string(n.Port), version: string(v.Version), more: more})
		}
	}
	if len(all) == 0 {
		return absent("no %s node", in.want.only)
	}
	r, err := in.several(all)
	if err != nil {
		return Reading{}, fmt.Errorf("no usable node: %w", err)
	}
	return r, nil
}

// microProtocol is a node's protocol; go-micro's web services do not say http.
func microProtocol(more map[string]string) string {
	if p := more["protocol"]; p != "" {
		return p
	}
	return "http"
}
