package etcd

import (
	"cmp"
	"context"
	"hash/maphash"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"portside/discovery"
)

// A Decode reads one record. It returns the endpoints that the record names; or none and a
// reason, when the record is a placeholder or switched off; or an error when it cannot be
// read, and then the last readable value of the key stands. It leaves Keys empty, and what
// it returns shares nothing with what it has returned before. It is not called
// concurrently by one source.
type Decode func(key string, value []byte) (endpoints []discovery.Endpoint, reason string, err error)

// A table is what is known of a prefix: its keys as etcd has them, and the
// endpoints they name, sorted by address. A change costs the records it
// touches and one copy of the sorted slice, which others hold.
type table struct {
	decode Decode
	log    *slog.Logger
	seed   maphash.Seed

	records map[string]*record
	sorted  []discovery.Endpoint
	spare   []discovery.Endpoint // the slice before sorted; only with reuse
	reuse   bool                 // see Source.Reuse
	pending map[string]*claim    // address to look at again → who names it now
	skipped map[string]string    // key → why it yields nothing
	skips   bool                 // skipped has changed since publish last looked
	bad     uint64               // how many values could not be read
}

// A claim is the keys that name one address, sorted.
type claim struct {
	keys   []string
	vacant int64 // the revision at which the last of them went; zero: there still is one
	left   bool  // since the last flush there was none, and then one again at a later revision
}

// record is one key.
type record struct {
	version
	sum       uint64 // hash of the value, because revisions repeat after a restore
	readAt    int64  // the mod revision of the value that endpoints came from
	told      bool   // it has been logged that its value cannot be read
	endpoints []discovery.Endpoint
}

// version tells two states of one key apart, if etcd has not been restored in between.
type version struct{ create, mod, count int64 }

func versionOf(kv *mvccpb.KeyValue) version {
	return version{kv.CreateRevision, kv.ModRevision, kv.Version}
}

func newTable(decode Decode, log *slog.Logger) *table {
	return &table{
		decode: decode, log: log, seed: maphash.MakeSeed(),
		records: map[string]*record{},
		pending: map[string]*claim{},
		skipped: map[string]string{},
	}
}

// put applies one key as etcd has it.
func (t *table) put(kv *mvccpb.KeyValue) {
	sum, v := maphash.Bytes(t.seed, kv.Value), versionOf(kv)
	r := t.records[string(kv.Key)]
	if r != nil && r.version == v && r.sum == sum {
		return
	}
	key := string(kv.Key)
	if r != nil && r.create != v.create { // it was deleted and created again, unseen
		t.remove(key, v.create-1)
		r = nil
	}
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
	t.release(key, r, v.mod)
	r.endpoints, r.readAt, r.told = endpoints, v.mod, false
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

// unreadable counts a bad value, and logs it once until the key can be read again: it may be
// written every second. The last readable value stands: one that cannot be read does not
// say that a server is gone.
func (t *table) unreadable(key string, r *record, err error) {
	t.bad++
	reason, level := err.Error(), slog.LevelWarn
	if len(r.endpoints) > 0 {
		reason += "; what it said before stands"
	}
	if r.told {
		level = slog.LevelDebug
	}
	r.told = true
	t.log.Log(context.Background(), level, "etcd: unreadable record skipped",
		"key", key, "revision", r.mod, "previous_value_kept", len(r.endpoints) > 0, "err", err)
	t.skip(key, reason)
}

// remove takes out a key that was deleted at revision.
func (t *table) remove(key string, revision int64) {
	r := t.records[key]
	if r == nil {
		return
	}
	t.release(key, r, revision)
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
			t.remove(key, 0)
		}
	}
}

func (t *table) hold(key string, r *record) {
	for _, e := range r.endpoints {
		c := t.touch(e.Address)
		if i, held := slices.BinarySearch(c.keys, key); !held {
			c.keys = slices.Insert(c.keys, i, key)
			c.left = c.left || c.vacant > 0 && r.mod > c.vacant
			c.vacant = 0
		}
	}
}

// release takes key from the claims on the endpoints of r, as of revision.
func (t *table) release(key string, r *record, revision int64) {
	for _, e := range r.endpoints {
		c := t.touch(e.Address)
		if i, held := slices.BinarySearch(c.keys, key); held {
			c.keys = slices.Delete(c.keys, i, i+1)
		}
		if len(c.keys) == 0 {
			c.vacant = revision
		}
	}
}

// touch returns the claim on address, to be changed. The next flush looks at it.
func (t *table) touch(address string) *claim {
	c := t.pending[address]
	if c != nil {
		return c
	}
	c = &claim{}
	if i, known := t.find(address); known {
		c.keys = slices.Clone(t.sorted[i].Keys)
	}
	t.pending[address] = c
	return c
}

func (t *table) find(address string) (i int, known bool) {
	return slices.BinarySearchFunc(t.sorted, address, byAddress)
}

// merged is the endpoint at address, which keys name. There is one however many keys there
// are: the address is the identity. Its attributes are those of the record written last.
func (t *table) merged(address string, keys []string) (e discovery.Endpoint) {
	var newest int64 = -1
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
	e.Keys = keys
	return e
}

// A difference is how many endpoints a flush has added, removed and changed.
type difference struct{ added, removed, changed int }

func (d difference) empty() bool { return d == difference{} }

func (d difference) plus(e difference) difference {
	return difference{d.added + e.added, d.removed + e.removed, d.changed + e.changed}
}

func (d difference) LogValue() slog.Value {
	return slog.GroupValue(slog.Int("added", d.added), slog.Int("removed", d.removed), slog.Int("changed", d.changed))
}

// flush brings the sorted endpoints up to date, in another slice if they have changed, and
// returns what has.
func (t *table) flush() difference {
	edits, d := t.edits()
	t.pending = map[string]*claim{} // not cleared: a list leaves it large
	if d.empty() {
		return d
	}
	next := t.room(len(t.sorted) + d.added - d.removed)
	to, from := 0, 0
	for _, e := range edits {
		to += copy(next[to:], t.sorted[from:e.at])
		from = e.at
		if e.known {
			from++
		}
		if e.lives {
			next[to] = e.endpoint
			to++
		}
	}
	copy(next[to:], t.sorted[from:])
	t.sorted = next
	return d
}

// room is a slice of n endpoints that no receiver of an earlier set still has. With reuse
// that is the slice before the last: ten thousand endpoints are a megabyte, and to allocate
// and collect it would be most of what an update costs.
func (t *table) room(n int) []discovery.Endpoint {
	if !t.reuse {
		return make([]discovery.Endpoint, n)
	}
	room := t.spare
	t.spare = t.sorted
	if cap(room) < n {
		return make([]discovery.Endpoint, n, n+n/8)
	}
	clear(room[min(n, len(room)):]) // what left is not to be kept alive
	return room[:n]
}

// An edit is what becomes of one address in the sorted endpoints.
type edit struct {
	at           int // where it is, or would be
	known, lives bool
	endpoint     discovery.Endpoint
}

// edits are the edits that change anything, in order of address.
func (t *table) edits() (edits []edit, d difference) {
	for _, address := range slices.Sorted(maps.Keys(t.pending)) {
		c := t.pending[address]
		e := edit{lives: len(c.keys) > 0}
		e.at, e.known = t.find(address)
		if e.lives {
			e.endpoint = t.merged(address, c.keys)
		}
		if e.lives && e.known {
			e.endpoint.Returns = t.sorted[e.at].Returns
			if c.left {
				e.endpoint.Returns++
			}
		}
		switch {
		case e.known && e.lives && e.endpoint.Equal(t.sorted[e.at]), !e.known && !e.lives:
			continue
		case e.known && e.lives:
			d.changed++
		case e.known:
			d.removed++
		default:
			d.added++
		}
		edits = append(edits, e)
	}
	return edits, d
}

func byAddress(e discovery.Endpoint, address string) int { return strings.Compare(e.Address, address) }

// someSkipped are at most n of the keys that yield no endpoint, in order.
func (t *table) someSkipped(n int) []discovery.Skipped {
	out := make([]discovery.Skipped, 0, min(n, len(t.skipped)))
	for key, reason := range t.skipped {
		out = append(out, discovery.Skipped{Key: key, Reason: reason})
	}
	slices.SortFunc(out, func(a, b discovery.Skipped) int { return cmp.Compare(a.Key, b.Key) })
	return out[:min(n, len(out))]
}
