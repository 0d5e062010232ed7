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
	f := In(filepath.Join(t.TempDir(), "made"), "test/hello")
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
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(string(f)), ".snapshot-*")); len(left) > 0 {
		t.Fatalf("%v left behind", left)
	}
}

func TestEveryDamagedByteIsNoticed(t *testing.T) {
	f := In(t.TempDir(), "orders")
	if err := f.Save([]discovery.Endpoint{{Address: "10.0.0.5:8080"}}); err != nil {
		t.Fatal(err)
	}
	data, _ := os.ReadFile(string(f))
	start := bytes.Index(data, []byte(`"sha256"`))
	for i := start + 1; i < len(data)-3; i++ {
		bad := bytes.Clone(data)
		bad[i] ^= 0x11
		_ = os.WriteFile(string(f), bad, 0o600)
		if got, _, err := f.Load(); !errors.Is(err, ErrDamaged) {
			t.Fatalf("byte %d changed and Load = %v, %v, want ErrDamaged: %s", i, got, err, bad)
		}
	}
	_ = os.WriteFile(string(f), data[:len(data)/2], 0o600)
	if _, _, err := f.Load(); !errors.Is(err, ErrDamaged) {
		t.Fatalf("half a file: %v, want ErrDamaged", err)
	}
}

func TestNoFileIsNotDamage(t *testing.T) {
	if _, _, err := In(t.TempDir(), "orders").Load(); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("Load without a file = %v, want os.ErrNotExist", err)
	}
}
