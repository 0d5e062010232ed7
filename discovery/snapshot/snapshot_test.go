package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
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

// A name may have 200 bytes, half of them slashes, and a file's name 255.
func TestLongNamesHaveFilesOfTheirOwn(t *testing.T) {
	dir := t.TempDir()
	long := strings.Repeat("a/", 99)
	names := []string{long + "bc", long + "bd", strings.Repeat("x", 200), "a/" + strings.Repeat("x", 198), "a/" + strings.Repeat("x", 197) + "y"}
	for i, name := range names {
		if err := In(dir, name, name).Save([]discovery.Endpoint{{Address: fmt.Sprintf("h:%d", i)}}); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	for i, name := range names {
		es, _, err := In(dir, name, name).Load()
		if err != nil || len(es) != 1 || es[0].Address != fmt.Sprintf("h:%d", i) {
			t.Errorf("%s: %v, %v; want its own", name, es, err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, strings.Repeat("x", 200)+".json")); err != nil {
		t.Errorf("a name that needs no hash has another file than before: %v", err)
	}
}

func TestOnlyARegularFileIsRead(t *testing.T) {
	pipe, folder, device := In(t.TempDir(), "pipe", ""), In(t.TempDir(), "folder", ""), In(t.TempDir(), "device", "")
	for _, err := range []error{syscall.Mkfifo(pipe.path, 0o600), os.Mkdir(folder.path, 0o700), os.Symlink("/dev/zero", device.path)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []File{pipe, folder, device} {
		ended := make(chan error, 1)
		go func() { _, _, err := f.Load(); ended <- err }()
		select {
		case err := <-ended:
			if !errors.Is(err, errNotRegular) || !strings.Contains(err.Error(), f.path) {
				t.Errorf("%v, want that it is no regular file", err)
			}
		case <-time.After(5 * time.Second):
			t.Fatalf("%s is waited for", f.path)
		}
	}
	if err := pipe.Save(nil); err != nil {
		t.Errorf("%v, want it replaced", err)
	}
	if _, _, err := pipe.Load(); err != nil {
		t.Errorf("%v, want what was saved", err)
	}
}
