package record

import (
	"errors"
	"fmt"
	"strings"

	"portside/discovery"
)

// auto reads the record as every format whose signs it bears and takes the
// reading they agree on. It never prefers one of two that differ.
func (in entry) auto() (Reading, error) {
	claims, err := in.claims()
	if err != nil {
		return Reading{}, fmt.Errorf("auto: %w", err)
	}
	if len(claims) == 0 {
		return in.unclaimed()
	}
	var taken Reading
	var unread error
	for _, f := range claims {
		r, err := in.decode(f)
		switch {
		case err != nil:
			unread = err
		case taken.Format == "":
			taken = r
		case !alike(taken, r):
			return Reading{}, fmt.Errorf("auto: %s; set format: %s or %s", versus(taken, r), taken.Format, f)
		}
	}
	if taken.Format == "" {
		return Reading{}, fmt.Errorf("auto: read as %w", unread)
	}
	return taken, nil
}

// unclaimed is a record without any format's signs.
func (in entry) unclaimed() (Reading, error) {
	if in.text == "" {
		return Reading{Format: Auto, Reason: "placeholder: the value is empty and the key ends in no address"}, nil
	}
	if strings.HasPrefix(in.text, "{") {
		return Reading{}, fmt.Errorf("auto: value %q has no known format's fields; set format", short(in.text))
	}
	_, err := in.decode(Plain)
	if err == nil {
		err = fmt.Errorf("nothing known")
	}
	if errors.Is(err, errNoPort) {
		return Reading{}, fmt.Errorf("auto: read as %w; set default_port, or format if this is not plain", err)
	}
	return Reading{}, fmt.Errorf("auto: read as %w; set format if it is another", err)
}

// claims lists the formats whose signs the record bears.
func (in entry) claims() ([]Format, error) {
	if strings.HasPrefix(in.text, "{") {
		return in.jsonClaims()
	}
	var claims []Format
	add := func(f Format, sign bool) {
		if sign {
			claims = append(claims, f)
		}
	}
	add(Dubbo, isDubboURL(in.leaf))
	add(RPCX, isRPCX(in.leaf))
	add(TiDB, in.leaf == "ttl" && isAddress(in.parent()) && isNumber(in.text))
	plain, err := in.plainClaim()
	add(Plain, plain)
	return claims, err
}

// plainClaim reports whether the value, or the key when there is no value, is an address.
// With a default port any word is one, such as "up". So where the key has a whole address,
// a word that says another one is an error.
func (in entry) plainClaim() (bool, error) {
	if in.text == "" {
		return in.namesAddress(), nil
	}
	text, _, _ := strings.Cut(in.text, ";")
	address, _, err := Address(text, in.want.port)
	if err != nil {
		return false, nil
	}
	if !isAddress(text) && isAddress(in.leaf) {
		if fromKey, _, _ := Address(in.leaf, 0); fromKey != address {
			return false, fmt.Errorf("the value reads %s, the key %s; set format: plain to go by the value", address, fromKey)
		}
	}
	return true, nil
}

// alike compares what a pool would make of two readings.
func alike(a, b Reading) bool {
	if len(a.Endpoints) != len(b.Endpoints) {
		return false
	}
	for i, e := range a.Endpoints {
		f := b.Endpoints[i]
		if e.Address != f.Address || e.Weight != f.Weight || e.Zone != f.Zone || e.Draining != f.Draining {
			return false
		}
	}
	return true
}

func versus(a, b Reading) string {
	return fmt.Sprintf("as %s it reads %s, as %s %s", a.Format, brief(a.Endpoints), b.Format, brief(b.Endpoints))
}

func brief(all []discovery.Endpoint) string {
	if len(all) == 0 {
		return "nothing"
	}
	text := fmt.Sprintf("%s with weight %g", all[0].Address, all[0].Weight)
	if len(all) > 1 {
		text += fmt.Sprintf(" and %d more", len(all)-1)
	}
	return text
}
