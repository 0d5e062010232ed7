package record

import (
	"encoding/json"
	"fmt"
	"strings"
)

// kratosOrdinary is the weight Kratos' own selectors assume.
const kratosOrdinary = 100

// readKratos reads {"version","metadata","endpoints":["http://…","grpc://…"]}.
// The endpoints are one process in several protocols: one of them is taken.
func readKratos(in entry) (Reading, error) {
	var v struct {
		Version   loose
		Metadata  json.RawMessage
		Endpoints []string
	}
	if err := in.parse(&v); err != nil {
		return Reading{}, err
	}
	if len(v.Endpoints) == 0 {
		return absent("the record lists no endpoint")
	}
	offers, warning, err := in.kratosOffers(v.Endpoints)
	if err != nil {
		return Reading{}, err
	}
	chosen, reason, err := in.want.choose(offers)
	if err != nil {
		return Reading{}, err
	}
	if reason != "" {
		return Reading{Reason: reason, Warning: warning}, nil
	}
	r, err := in.one(said{
		address: chosen.address, scheme: chosen.scheme,
		ordinary: kratosOrdinary, version: string(v.Version), more: metadata(v.Metadata),
	})
	r.Warning = join(warning, r.Warning)
	return r, err
}

// kratosOffers cleans the endpoints. A bad one among good ones is a warning.
func (in entry) kratosOffers(urls []string) (offers []offer, warning string, err error) {
	for _, u := range urls {
		address, scheme, bad := Address(u, in.want.port)
		if bad != nil {
			err = bad
			warning = join(warning, bad.Error())
			continue
		}
		// Until v2.4.0 TLS was a query on the plain scheme.
		if (scheme == "http" || scheme == "grpc") && strings.Contains(u, "isSecure=true") {
			scheme += "s"
		}
		offers = append(offers, offer{scheme, address})
	}
	if len(offers) == 0 {
		return nil, "", fmt.Errorf("no usable endpoint: %w", err)
	}
	return offers, warning, nil
}
