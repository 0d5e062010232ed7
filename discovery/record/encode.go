package record

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"portside/discovery"
)

// Registrant is what a server says of itself.
type Registrant struct {
	// Service is its name, for formats that repeat it in the value.
	Service string
	// Protocol is the scheme for formats that write URLs. Empty: that of the
	// address, else what the metadata calls protocol, else http.
	Protocol string
	// Endpoint is where it is and how much it takes on. Keys and Draining are
	// not looked at.
	Endpoint discovery.Endpoint
}

// Written is what the registry is to hold.
type Written struct {
	// Value is the key's value while the server serves.
	Value string
	// Draining replaces Value while the server leaves; empty when the format
	// has no room for that.
	Draining string
}

// Writable lists the formats that [Encode] writes.
func Writable() []Format { return []Format{Plain, Etcd, GoZero, Kratos, Kitex, Hertz} }

// Encode writes r in format f, as the format's own libraries do and as they read it. What
// the format has no room for is an error, but a weight is rounded to what there is.
func Encode(f Format, r Registrant) (w Written, err error) {
	defer func() {
		if err != nil {
			w, err = Written{}, fmt.Errorf("encode %s: %w", f, err)
		}
	}()
	address, scheme, err := Address(r.Endpoint.Address, 0)
	if err != nil {
		return w, err
	}
	r.Endpoint.Address = address
	r.Protocol = cmp.Or(r.Protocol, scheme)
	if err := fits(r.Endpoint); err != nil {
		return w, err
	}
	if w.Value, err = r.write(f, false); err != nil || f == GoZero {
		return w, err
	}
	w.Draining, err = r.write(f, true)
	return w, err
}

// write returns the value for r, after reading it back.
func (r Registrant) write(f Format, draining bool) (string, error) {
	r.Endpoint.Draining = draining
	value, err := write(f, r)
	if err != nil {
		return "", err
	}
	if !r.readsBack(f, value) {
		return "", fmt.Errorf("value %q would not read back as it was meant: odd characters or names", short(value))
	}
	return value, nil
}

func (r Registrant) readsBack(f Format, value string) bool {
	in := entry{text: value}
	reading, err := in.decode(f)
	if err != nil || len(reading.Endpoints) != 1 {
		return false
	}
	want, got := r.Endpoint, reading.Endpoints[0]
	if _, said := want.Metadata["scheme"]; !said {
		delete(got.Metadata, "scheme") // told by the URL
	}
	want.Weight, want.Keys = got.Weight, nil // a weight may have been rounded
	want.Metadata = maps.Clone(want.Metadata)
	// Reading leaves empty values out. They are written all the same: other readers may
	// tell an empty value from none.
	maps.DeleteFunc(want.Metadata, func(_, value string) bool { return value == "" })
	return want.Equal(got)
}

func write(f Format, r Registrant) (string, error) {
	switch f {
	case Plain:
		return writePlain(r.Endpoint)
	case Etcd:
		return writeEtcd(r.Endpoint)
	case GoZero:
		return writeGoZero(r.Endpoint)
	case Kratos:
		return writeKratos(r)
	case Kitex, Hertz:
		return writeKitex(r.Endpoint)
	}
	return "", fmt.Errorf("not a format to write; those are %s", strings.Trim(fmt.Sprint(Writable()), "[]"))
}

// fits refuses what would not read back in any format.
func fits(e discovery.Endpoint) error {
	if e.Weight < 0 || math.IsNaN(e.Weight) || e.Weight > maxWeight || e.Weight != 0 && e.Weight < minWeight {
		return fmt.Errorf("weight %g: not from %g to %g", e.Weight, minWeight, maxWeight)
	}
	for _, name := range []string{"weight", "zone", "version", "draining"} {
		rest := maps.Clone(e.Metadata)
		if take(rest, name); len(rest) < len(e.Metadata) {
			return fmt.Errorf("metadata %s: that name is the record's own", name)
		}
	}
	if _, warning := bound(e.Metadata); warning != "" {
		return fmt.Errorf("metadata: %s", warning)
	}
	return nil
}

// weightOf is the weight as a whole number in a format where ordinary is one.
func weightOf(e discovery.Endpoint, ordinary float64) int {
	if e.Weight == 0 {
		return int(ordinary)
	}
	return max(1, int(math.Round(e.Weight*ordinary)))
}

// attributes is the metadata, with zone and draining added.
func attributes(e discovery.Endpoint) map[string]string {
	all := with(maps.Clone(e.Metadata), "zone", e.Zone)
	if e.Draining {
		all = with(all, "draining", "true")
	}
	return all
}

func writePlain(e discovery.Endpoint) (string, error) {
	var b strings.Builder
	b.WriteString(e.Address)
	if e.Weight != 0 && e.Weight != 1 {
		b.WriteString(";weight=" + strconv.FormatFloat(e.Weight, 'g', -1, 64))
	}
	all := with(attributes(e), "version", e.Version)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if name == "" || !isPlain(name) || strings.Contains(name, "=") || !isPlain(all[name]) {
			return "", fmt.Errorf("metadata %q=%q: has characters a plain value cannot hold", short(name), short(all[name]))
		}
		b.WriteString(";" + name + "=" + all[name])
	}
	return b.String(), nil
}

// isPlain holds a name or value to what reads back between two semicolons.
func isPlain(s string) bool {
	return s == strings.TrimSpace(s) && !strings.ContainsFunc(s, func(r rune) bool { return r == ';' || r < ' ' })
}

// writeEtcd writes what client/v3/naming/endpoints would, to the byte.
func writeEtcd(e discovery.Endpoint) (string, error) {
	fields := map[string]any{}
	for name, value := range with(attributes(e), "version", e.Version) {
		fields[name] = value
	}
	if e.Weight != 0 && e.Weight != 1 {
		fields["weight"] = e.Weight
	}
	if e.Draining {
		fields["draining"] = true
	}
	update := struct {
		Op       int
		Addr     string
		Metadata any
	}{Addr: e.Address}
	if len(fields) > 0 {
		update.Metadata = fields
	}
	return marshal(update)
}

func writeGoZero(e discovery.Endpoint) (string, error) {
	if weightOf(e, 1) != 1 || e.Zone != "" || e.Version != "" || len(e.Metadata) > 0 {
		return "", fmt.Errorf("the format holds an address alone: no weight, zone, version or metadata")
	}
	return e.Address, nil
}

func writeKratos(r Registrant) (string, error) {
	e := r.Endpoint
	all := attributes(e)
	if w := weightOf(e, kratosOrdinary); w != kratosOrdinary {
		all = with(all, "weight", strconv.Itoa(w))
	}
	scheme := cmp.Or(r.Protocol, e.Metadata["protocol"], "http")
	if !isScheme(scheme) {
		return "", fmt.Errorf("protocol %q is not a URL scheme", short(scheme))
	}
	return marshal(struct {
		ID        string            `json:"id"`
		Name      string            `json:"name"`
		Version   string            `json:"version"`
		Metadata  map[string]string `json:"metadata"`
		Endpoints []string          `json:"endpoints"`
	}{e.Address, r.Service, e.Version, all, []string{scheme + "://" + e.Address}})
}

func writeKitex(e discovery.Endpoint) (string, error) {
	return marshal(struct {
		Network string            `json:"network"`
		Address string            `json:"address"`
		Weight  int               `json:"weight"`
		Tags    map[string]string `json:"tags"`
	}{"tcp", e.Address, weightOf(e, kitexOrdinary), with(attributes(e), "version", e.Version)})
}

func marshal(v any) (string, error) {
	text, err := json.Marshal(v)
	return string(text), err
}
