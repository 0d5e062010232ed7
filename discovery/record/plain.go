package record

import (
	"fmt"
	"strings"
)

// readPlain reads host:port or a URL, with portside's own optional suffix
// ";weight=2;zone=a;version=v1;draining=true", other names becoming metadata.
// An empty value leaves the word to the key's last segment.
func readPlain(in entry) (Reading, error) {
	if in.text == "" {
		return in.plainKey()
	}
	address, suffix, _ := strings.Cut(in.text, ";")
	more, err := plainSuffix(suffix)
	if err != nil {
		return Reading{}, fmt.Errorf("value %q: %w", short(in.text), err)
	}
	return in.one(said{address: address, more: more})
}

// plainKey reads an address that is the key's last segment.
func (in entry) plainKey() (Reading, error) {
	if !in.namesAddress() {
		return absent("placeholder: the value is empty and the key ends in no address")
	}
	return in.one(said{address: in.leaf})
}

// namesAddress reports whether the key's last segment is an address. A word without
// a port and without a dot is a name like any other key's: of a lock, or of a
// server whose value was emptied.
func (in entry) namesAddress() bool {
	_, _, err := Address(in.leaf, in.want.port)
	return err == nil && (isAddress(in.leaf) || strings.ContainsAny(in.leaf, ".:"))
}

func plainSuffix(suffix string) (map[string]string, error) {
	var more map[string]string
	for field := range strings.SplitSeq(suffix, ";") {
		name, value, found := strings.Cut(field, "=")
		name = strings.TrimSpace(name)
		if name == "" && !found {
			continue
		}
		if name == "" || !found {
			return nil, fmt.Errorf("%q is not name=value", short(field))
		}
		more = with(more, name, strings.TrimSpace(value))
	}
	return more, nil
}

// readText reads a bare host:port or URL, as go-zero and go-kit write it.
func readText(in entry) (Reading, error) {
	if in.text == "" {
		return absent("placeholder: the value is empty")
	}
	return in.one(said{address: in.text})
}
