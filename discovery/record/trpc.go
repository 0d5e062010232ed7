package record

import "encoding/json"

// readTRPC reads tRPC-Go's {"name","id","address","metadata","weight"}.
func readTRPC(in entry) (Reading, error) {
	var v struct {
		Address, Port, Weight loose
		Metadata              json.RawMessage
	}
	if err := in.parse(&v); err != nil {
		return Reading{}, err
	}
	return in.one(said{address: string(v.Address), port: string(v.Port), weight: string(v.Weight), typed: true, more: metadata(v.Metadata)})
}
