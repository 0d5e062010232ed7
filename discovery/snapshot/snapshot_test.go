package snapshot

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"portside/discovery"
)

func TestSavedIsLoaded(t *testing.T) {
	f := In(filepath.Join(t.TempDir(), "made"), "test/hello", "service/test/hello/")
	for _, want := range [][]discovery.Endpoint{
		{{Address: "a:1", Weight: 0.5, Zone: "z", Keys: []string{"k"}, Metadata: map[string]string{"x": "<&>"}}, {Address: "b:1", Draining: true}},
		{},
	} {
		if err := f.Save(want); err != nil {
			t.Fatal(err)
		}
		got, taken, err := f.Load()
		if err != nil || cmp.Diff(want, got) != "" || time.Since(taken) > time.Minute {
			t.Fatalf("Load = %v, %v, %v, want what was saved, just now", got, taken, err)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(f.path), ".snapshot-*")); len(left) > 0 {
		t.Fatalf("%v left behind", left)
	}
}

func TestEveryDamagedByteIsNoticed(t *testing.T) {
	f := In(t.TempDir(), "orders", "service/orders/")
	if err := f.Save([]discovery.Endpoint{{Address: "10.0.0.5:8080"}}); err != nil {
		t.Fatal(err)
	}
	data, _ := os.ReadFile(f.path)
	start := bytes.Index(data, []byte(`"sha256"`))
	for i := start + 1; i < len(data)-3; i++ {
		bad := bytes.Clone(data)
		bad[i] ^= 0x11
		_ = os.WriteFile(f.path, bad, 0o600)
		if got, _, err := f.Load(); !errors.Is(err, ErrDamaged) {
			t.Fatalf("byte %d changed and Load = %v, %v, want ErrDamaged: %s", i, got, err, bad)
		}
	}
	_ = os.WriteFile(f.path, data[:len(data)/2], 0o600)
	if _, _, err := f.Load(); !errors.Is(err, ErrDamaged) {
		t.Fatalf("half a file: %v, want ErrDamaged", err)
	}
}

func TestNoFileIsNotDamage(t *testing.T) {
	if _, _, err := In(t.TempDir(), "orders", "service/orders/").Load(); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("Load without a file = %v, want os.ErrNotExist", err)
	}
}

// A service that was moved to another prefix, as from staging to production, must
// not begin with the servers of the former.
func TestAnotherPrefixsIsNotBelieved(t *testing.T) {
	dir := t.TempDir()
	if err := In(dir, "orders", "staging/orders/").Save([]discovery.Endpoint{{Address: "10.0.0.1:80"}}); err != nil {
		t.Fatal(err)
	}
	if es, _, err := In(dir, "orders", "production/orders/").Load(); !errors.Is(err, ErrOther) || es != nil {
		t.Errorf("Load = %v, %v; want none, as they are another prefix's", es, err)
	}
	if es, _, err := In(dir, "orders", "staging/orders/").Load(); len(es) != 1 || err != nil {
		t.Errorf("Load = %v, %v", es, err)
	}
}
