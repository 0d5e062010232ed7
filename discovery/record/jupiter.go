package record

import "encoding/json"

// jupiterOrdinary is the weight Jupiter assumes.
const jupiterOrdinary = 100

// readJupiter reads etcd's record as Jupiter extends it, with MetadataX.
func readJupiter(in entry) (Reading, error) {
	var v struct {
		Op, Addr  loose
		MetadataX json.RawMessage
	}
	if err := in.parse(&v); err != nil {
		return Reading{}, err
	}
	more := metadata(v.MetadataX)
	for _, known := range []string{"name", "address"} {
		take(more, known)
	}
	scheme := more["scheme"]
	switch {
	case v.Op == etcdDelete:
		return absent("deleted: Op is 1")
	case isFalse(take(more, "enable")):
		return absent("disabled: enable is false")
	case isFalse(take(more, "healthy")):
		return absent("unhealthy: healthy is false")
	case !in.want.suits(scheme):
		return absent("scheme is %q", short(scheme))
	}
	if more["zone"] == "unknown" { // Jupiter's default
		delete(more, "zone")
	}
	return in.one(said{address: string(v.Addr), ordinary: jupiterOrdinary, typed: true, more: more})
}
