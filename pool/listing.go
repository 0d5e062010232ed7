package pool

import (
	"reflect"
	"slices"
	"strings"
	"unsafe"

	"portside/discovery"
)

// listing is what discovery said last, in order of address, no address twice. It is a copy:
// comparing with it costs no look at a backend, and the slice that Update was given stays
// its caller's.
type listing []discovery.Endpoint

func byAddress(a, b discovery.Endpoint) int { return strings.Compare(a.Address, b.Address) }

// update makes l the same as endpoints. It returns where they differed: in the place of was
// entries from index from on, there is now is, a part of l.
func (l *listing) update(endpoints []discovery.Endpoint) (was int, is []discovery.Endpoint, from int) {
	from, last, ok := l.differ(endpoints)
	if !ok {
		endpoints = slices.SortedStableFunc(slices.Values(endpoints), byAddress)
		endpoints = slices.CompactFunc(endpoints, func(a, b discovery.Endpoint) bool { return a.Address == b.Address })
		from, last, _ = l.differ(endpoints)
	}
	was = len(*l) - from - last
	end := len(endpoints) - last
	*l = slices.Replace(*l, from, from+was, endpoints[from:end]...)
	return was, (*l)[from:end], from
}

// differ is how many endpoints at the start and how many at the end are as in l, and whether
// all are in order of address, no address twice.
func (l listing) differ(endpoints []discovery.Endpoint) (first, last int, ordered bool) {
	n := min(len(l), len(endpoints))
	for first < n && sameEndpoint(&l[first], &endpoints[first]) {
		first++
	}
	old, is := l[first:], endpoints[first:]
	n -= first
	for last < n && sameEndpoint(&old[len(old)-1-last], &is[len(is)-1-last]) {
		last++
	}
	// What is as in l is in order. The rest, and both its ends, need a look.
	for i := max(first, 1); i < len(endpoints) && i <= len(endpoints)-last; i++ {
		if endpoints[i-1].Address >= endpoints[i].Address {
			return 0, 0, false
		}
	}
	return first, last, true
}

// sameEndpoint reports whether b says what a says. Most often b is a copy of a, which shows
// without a look at what they point to. If they are merely equal, a becomes a copy of b, so
// that it shows the next time.
func sameEndpoint(a, b *discovery.Endpoint) bool {
	if sameString(a.Address, b.Address) && a.Weight == b.Weight && sameString(a.Zone, b.Zone) &&
		sameString(a.Version, b.Version) && a.Draining == b.Draining && a.Returns == b.Returns &&
		sameSlice(a.Keys, b.Keys) && sameMap(a.Metadata, b.Metadata) {
		return true
	}
	if !a.Equal(*b) {
		return false
	}
	*a = *b
	return true
}

// sameSlice reports whether a and b are one and the same slice, not merely equal.
func sameSlice[T any](a, b []T) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

func sameString(a, b string) bool {
	return len(a) == len(b) && unsafe.StringData(a) == unsafe.StringData(b)
}

func sameMap(a, b map[string]string) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return reflect.ValueOf(a).UnsafePointer() == reflect.ValueOf(b).UnsafePointer()
}
