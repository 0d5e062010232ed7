package etcd

import (
	"cmp"
	"hash/maphash"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"portside/discovery"
)

// A Decode reads one record. It returns the endpoints the record names; none
// and a reason when it names none, being a placeholder or switched off; or an
// error when it cannot be read, and then the key's last readable value stands.
// It sets neither Keys nor anything shared with what it returned before.
type Decode func(key string, value []byte) (endpoints []discovery.Endpoint, reason string, err error)

// A table is what is known of a prefix: its keys as etcd has them, and the
// endpoints they name, sorted by address. A change costs the records it
// touches and one copy of the sorted slice, which others hold.
type table struct {
	decode Decode
	log    *slog.Logger
	seed   maphash.Seed

	records map[string]*record
	holders map[string][]string // address → keys naming it
	dirty   map[string]struct{} // addresses to look at again
	sorted  []discovery.Endpoint
	skipped map[string]string // key → why it yields nothing
	skips   bool              // skipped has changed
	bad     uint64            // values that could not be read
}

// record is one key.
type record struct {
	version
	sum       uint64 // of the value; revisions alone repeat after a restore
	readAt    int64  // the mod revision of the value that endpoints came from
	endpoints []discovery.Endpoint
}

// version is what tells two states of one key apart in one history.
type version struct{ create, mod, count int64 }

func versionOf(kv *mvccpb.KeyValue) version {
	return version{kv.CreateRevision, kv.ModRevision, kv.Version}
}

func newTable(decode Decode, log *slog.Logger) *table {
	return &table{
		decode: decode, log: log, seed: maphash.MakeSeed(),
		records: map[string]*record{},
		holders: map[string][]string{},
		dirty:   map[string]struct{}{},
		skipped: map[string]string{},
	}
}

// put takes over one key.
func (t *table) put(kv *mvccpb.KeyValue) {
	sum, v := maphash.Bytes(t.seed, kv.Value), versionOf(kv)
	r := t.records[string(kv.Key)]
	if r != nil && r.version == v && r.sum == sum {
		return
	}
	key := string(kv.Key)
	if r == nil {
		r = &record{}
		t.records[key] = r
	}
	r.version, r.sum = v, sum
	endpoints, reason, err := t.decode(key, kv.Value)
	if err != nil {
		t.unreadable(key, r, err)
		return
	}
	t.release(key, r)
	r.endpoints, r.readAt = endpoints, v.mod
	t.hold(key, r)
	t.unskip(key)
	if len(endpoints) == 0 {
		t.skip(key, reason)
	}
}

func (t *table) skip(key, reason string) {
	t.skipped[key], t.skips = reason, true
}

func (t *table) unskip(key string) {
	if _, ok := t.skipped[key]; ok {
		delete(t.skipped, key)
		t.skips = true
	}
}

// unreadable counts a bad value. The last readable one stands: what cannot be
// read says nothing, least of all that a server is gone.
func (t *table) unreadable(key string, r *record, err error) {
	t.bad++
	t.log.Warn("etcd: a record cannot be read; it alone is passed over",
		"key", key, "revision", r.mod, "last_reading_stands", len(r.endpoints) > 0, "err", err)
	if len(r.endpoints) == 0 {
		t.skip(key, err.Error())
	}
}

// remove takes a key out.
func (t *table) remove(key string) {
	r := t.records[key]
	if r == nil {
		return
	}
	t.release(key, r)
	delete(t.records, key)
	t.unskip(key)
}

// replace makes kvs the whole of the prefix.
func (t *table) replace(kvs []*mvccpb.KeyValue) {
	keep := make(map[string]struct{}, len(kvs))
	for _, kv := range kvs {
		keep[string(kv.Key)] = struct{}{}
		t.put(kv)
	}
	for key := range t.records {
		if _, ok := keep[key]; !ok {
			t.remove(key)
		}
	}
}

func (t *table) hold(key string, r *record) {
	for _, e := range r.endpoints {
		t.dirty[e.Address] = struct{}{}
		if !slices.Contains(t.holders[e.Address], key) {
			t.holders[e.Address] = append(t.holders[e.Address], key)
		}
	}
}

func (t *table) release(key string, r *record) {
	for _, e := range r.endpoints {
		t.dirty[e.Address] = struct{}{}
		keys := slices.DeleteFunc(t.holders[e.Address], func(k string) bool { return k == key })
		if len(keys) == 0 {
			delete(t.holders, e.Address)
			continue
		}
		t.holders[e.Address] = keys
	}
}

// merged is the one endpoint at address: identity is the address, not the key.
// Its attributes are those of the record written last.
func (t *table) merged(address string) (e discovery.Endpoint, ok bool) {
	var newest int64 = -1
	keys := t.holders[address]
	for _, key := range keys {
		r := t.records[key]
		if r.readAt < newest {
			continue
		}
		for _, f := range r.endpoints {
			if f.Address == address {
				e, newest = f, r.readAt
				break
			}
		}
	}
	e.Keys = slices.Sorted(slices.Values(keys))
	return e, len(keys) > 0
}

// A difference is what a flush changed, in addresses.
type difference struct{ added, removed, changed int }

func (d difference) empty() bool { return d == difference{} }

func (d difference) plus(e difference) difference {
	return difference{d.added + e.added, d.removed + e.removed, d.changed + e.changed}
}

func (d difference) LogValue() slog.Value {
	return slog.GroupValue(slog.Int("added", d.added), slog.Int("removed", d.removed), slog.Int("changed", d.changed))
}

// flush brings the sorted endpoints up to date, in a new slice when they
// changed, and says what changed.
func (t *table) flush() difference {
	var d difference
	if len(t.dirty) == 0 {
		return d
	}
	addresses := slices.Sorted(maps.Keys(t.dirty))
	clear(t.dirty)
	old, next := t.sorted, make([]discovery.Endpoint, 0, len(t.sorted)+len(addresses))
	for _, address := range addresses {
		i, known := slices.BinarySearchFunc(old, address, byAddress)
		next = append(next, old[:i]...)
		was := old[i:]
		e, lives := t.merged(address)
		switch {
		case known && lives && e.Equal(was[0]):
			e = was[0]
		case known && lives:
			d.changed++
		case known:
			d.removed++
		case lives:
			d.added++
		}
		if lives {
			next = append(next, e)
		}
		old = was
		if known {
			old = was[1:]
		}
	}
	if d.empty() {
		return d
	}
	t.sorted = append(next, old...)
	return d
}

func byAddress(e discovery.Endpoint, address string) int { return strings.Compare(e.Address, address) }

// someSkipped is at most n of the keys that yield nothing, in order.
func (t *table) someSkipped(n int) []discovery.Skipped {
	out := make([]discovery.Skipped, 0, min(n, len(t.skipped)))
	for key, reason := range t.skipped {
		out = append(out, discovery.Skipped{Key: key, Reason: reason})
	}
	slices.SortFunc(out, func(a, b discovery.Skipped) int { return cmp.Compare(a.Key, b.Key) })
	return out[:min(n, len(out))]
}
