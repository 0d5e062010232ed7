package etcd

import (
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.etcd.io/etcd/api/v3/mvccpb"

	"portside/discovery"
)

// naive is what a table should make of keys, without any cleverness: of two
// keys with one address the one written last counts, in one transaction the
// greater key.
func naive(keys map[string]*mvccpb.KeyValue) []discovery.Endpoint {
	found := map[string]discovery.Endpoint{}
	newest := map[string]int64{}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		es, _, _ := decodePlain(key, keys[key].Value)
		for _, e := range es {
			had := found[e.Address]
			if mod := keys[key].ModRevision; mod >= newest[e.Address] {
				newest[e.Address] = mod
			} else {
				e = had
			}
			e.Keys = append(slices.Clone(had.Keys), key)
			found[e.Address] = e
		}
	}
	out := []discovery.Endpoint{}
	for _, address := range slices.Sorted(maps.Keys(found)) {
		out = append(out, found[address])
	}
	return out
}

// Random changes, one or several a flush, lists among them: the table has what
// the naive one has, and what was handed over stands as long as was promised.
func TestATableIsWhatItsKeysSay(t *testing.T) {
	for _, reuse := range []bool{false, true} {
		t.Run(fmt.Sprintf("reuse=%t", reuse), func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2))
			tab := newTable(decodePlain, testLog(t))
			tab.reuse = reuse
			keys := map[string]*mvccpb.KeyValue{}
			var handed, copies [][]discovery.Endpoint
			for revision := int64(1); revision < 300; revision++ {
				for range 1 + r.IntN(4) {
					changeOne(r, tab, keys, revision)
				}
				before := slices.Clone(tab.sorted)
				difference := tab.flush()
				if same := slices.EqualFunc(before, tab.sorted, discovery.Endpoint.Equal); difference.empty() != same {
					t.Fatalf("revision %d: the difference is %+v, from %v to %v", revision, difference, before, tab.sorted)
				}
				if d := cmp.Diff(naive(keys), withoutReturns(tab.sorted), cmpopts.EquateEmpty()); d != "" {
					t.Fatalf("revision %d (-want +got):\n%s", revision, d)
				}
				if difference.empty() {
					continue
				}
				handed, copies = append(handed, tab.sorted), append(copies, slices.Clone(tab.sorted))
				stand := 5 // for ever, by way of example
				if reuse {
					stand = 2
				}
				handed, copies = handed[max(0, len(handed)-stand):], copies[max(0, len(copies)-stand):]
				if d := cmp.Diff(copies, handed); d != "" {
					t.Fatalf("revision %d: a set that was handed over is another now (-then +now):\n%s", revision, d)
				}
			}
		})
	}
}

// withoutReturns is what a look at the keys alone can tell.
func withoutReturns(es []discovery.Endpoint) []discovery.Endpoint {
	es = slices.Clone(es)
	for i := range es {
		es[i].Returns = 0
	}
	return es
}

// changeOne puts or deletes one of 24 keys, at one of 12 addresses, or lists.
func changeOne(r *rand.Rand, tab *table, keys map[string]*mvccpb.KeyValue, revision int64) {
	key := fmt.Sprintf("s/%02d", r.IntN(24))
	switch n := r.IntN(40); {
	case n == 0:
		clear(keys)
		fallthrough
	case n == 1:
		tab.replace(slices.Collect(maps.Values(keys)))
	case n < 16:
		delete(keys, key)
		tab.remove(key, revision)
	default:
		kv := putValue(key, fmt.Sprintf("10.0.0.%d:80 %d", r.IntN(12), 1+r.IntN(3)), revision)
		kv.Version = int64(r.IntN(1 << 30))
		keys[key] = kv
		tab.put(kv)
	}
}

// An address that is gone and back between two sets is told from one that stayed.
func TestReturnsBetweenTwoSetsAreCounted(t *testing.T) {
	at := func(key, address string, create, mod int64) *mvccpb.KeyValue {
		kv := putValue(key, address, mod)
		kv.CreateRevision = create
		return kv
	}
	tab := newTable(decodePlain, testLog(t))
	returns := func(want int, why string) {
		t.Helper()
		tab.flush()
		if len(tab.sorted) != 1 || tab.sorted[0].Returns != want {
			t.Fatalf("%+v, want one endpoint with %d returns: %s", tab.sorted, want, why)
		}
	}
	tab.put(at("s/a", "10.0.0.1:80", 1, 1))
	returns(0, "it is new")
	tab.put(at("s/a", "10.0.0.1:80 2", 1, 2))
	returns(0, "its record changed")
	tab.remove("s/a", 3)
	tab.put(at("s/a", "10.0.0.1:80", 4, 4))
	returns(1, "it was deleted and put")
	tab.replace([]*mvccpb.KeyValue{at("s/a", "10.0.0.1:80", 6, 6)})
	returns(2, "a list has it created later")
	tab.put(at("s/b", "10.0.0.1:80", 7, 7))
	tab.remove("s/a", 8)
	tab.put(at("s/a", "10.0.0.1:80", 9, 9))
	returns(2, "its other key stayed")
	tab.remove("s/a", 10) // one transaction
	tab.remove("s/b", 10)
	tab.put(at("s/c", "10.0.0.1:80", 10, 10))
	returns(2, "it was there at every revision")
	tab.remove("s/c", 11)
	tab.put(at("s/d", "10.0.0.1:80", 12, 12))
	returns(3, "it was not at 11")
	tab.put(at("s/d", "10.0.0.2:80", 12, 13))
	tab.put(at("s/d", "10.0.0.1:80", 12, 14))
	returns(4, "its key named another at 13")
}

// A heartbeat in a form that is not understood, say, says something else every second.
func TestAKeyThatStaysUnreadableIsToldOnce(t *testing.T) {
	var log logBuffer
	decode := func(key string, value []byte) ([]discovery.Endpoint, string, error) {
		if value[0] == '!' {
			return nil, "", fmt.Errorf("%s is not an address", value)
		}
		return decodePlain(key, value)
	}
	tab := newTable(decode, slog.New(slog.NewTextHandler(&log, nil)))
	put := func(revision int64, value string) {
		tab.put(&mvccpb.KeyValue{Key: []byte("s/a"), Value: []byte(value), CreateRevision: 1, ModRevision: revision, Version: revision})
	}
	for revision := range int64(20) {
		put(1+revision, fmt.Sprintf("!beat %d", revision))
	}
	if text := log.String(); strings.Count(text, "unreadable record") != 1 || tab.bad != 20 {
		t.Errorf("%d unreadable values counted, want 20; want one of them told of, logged\n%s", tab.bad, text)
	}
	put(30, "10.0.0.1:80")
	put(31, "!garbage")
	if text := log.String(); strings.Count(text, "unreadable record") != 2 {
		t.Errorf("want it told again of a key that was readable meanwhile, logged\n%s", text)
	}
}
