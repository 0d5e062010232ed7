package record

import "encoding/json"

// readTiDB reads /tidb/server/info/<uuid>, JSON, and the pair that TiDB keeps
// under /topology/tidb/<address>/. Of that pair only ttl has a lease and so
// says who lives; info outlasts its process.
func readTiDB(in entry) (Reading, error) {
	switch {
	case in.leaf == "ttl":
		return in.one(said{address: in.parent()})
	case in.leaf == "info" && isAddress(in.parent()):
		return absent("the key has no lease: the ttl key beside it speaks")
	}
	var v struct {
		IP, Version   loose
		ListeningPort loose `json:"listening_port"`
		Labels        json.RawMessage
	}
	if err := in.parse(&v); err != nil {
		return Reading{}, err
	}
	return in.one(said{
		address: string(v.IP), port: string(v.ListeningPort),
		version: string(v.Version), more: metadata(v.Labels),
	})
}
