package record

import "encoding/json"

// etcdDelete is the Op by which client/v3/naming/endpoints means a removal; it
// never stores one, others might.
const etcdDelete = "1"

// readEtcd reads etcd's own naming record, {"Op":0,"Addr":"10.0.0.5:8080",
// "Metadata":…}. Op and port may be missing, as in etcd's documentation.
func readEtcd(in entry) (Reading, error) {
	var v struct {
		Op, Addr, Port loose
		Metadata       json.RawMessage
	}
	if err := in.parse(&v); err != nil {
		return Reading{}, err
	}
	if v.Op == etcdDelete {
		return absent("deleted: Op is 1")
	}
	return in.one(said{address: string(v.Addr), port: string(v.Port), typed: true, more: metadata(v.Metadata)})
}
