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

func endpoint(address string) discovery.Known {
	return discovery.Known{Endpoints: []discovery.Endpoint{{Address: address}}}
}

func TestSavedIsLoaded(t *testing.T) {
	f := In(filepath.Join(t.TempDir(), "made"), "test/hello", "service/test/hello/", "auto")
	at := time.Date(2026, 11, 22, 10, 0, 0, 1, time.UTC)
	full := discovery.Endpoint{Address: "a:1", Weight: 0.5, Zone: "z", Keys: []string{"k"}, Metadata: map[string]string{"x": "<&>"}}
	for _, want := range []discovery.Known{
		{At: at, Endpoints: []discovery.Endpoint{full, {Address: "b:1", Draining: true}}},
		{At: at, Endpoints: []discovery.Endpoint{}, Lost: []discovery.Lost{{Endpoint: full, At: at.Add(-time.Minute)}}},
		{At: at, Endpoints: []discovery.Endpoint{}},
	} {
		if err := f.Save(want); err != nil {
			t.Fatal(err)
		}
		if got, err := f.Load(); err != nil || cmp.Diff(want, got) != "" {
			t.Fatalf("Load = %v, %v, want what was saved, %v", got, err, want)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(f.path), ".snapshot-*")); len(left) > 0 {
		t.Fatalf("%v left behind", left)
	}
}

func TestEveryDamagedByteIsNoticed(t *testing.T) {
	f := In(t.TempDir(), "orders", "service/orders/", "auto")
	lost := discovery.Lost{Endpoint: discovery.Endpoint{Address: "10.0.0.6:8080"}, At: time.Now()}
	if err := f.Save(discovery.Known{Endpoints: endpoint("10.0.0.5:8080").Endpoints, Lost: []discovery.Lost{lost}}); err != nil {
		t.Fatal(err)
	}
	data, _ := os.ReadFile(f.path)
	start := bytes.Index(data, []byte(`"sha256"`))
	for i := start + 1; i < len(data)-3; i++ {
		bad := bytes.Clone(data)
		bad[i] ^= 0x11
		_ = os.WriteFile(f.path, bad, 0o600)
		if got, err := f.Load(); !errors.Is(err, ErrDamaged) {
			t.Fatalf("byte %d changed and Load = %v, %v, want ErrDamaged: %s", i, got, err, bad)
		}
	}
	_ = os.WriteFile(f.path, data[:len(data)/2], 0o600)
	if _, err := f.Load(); !errors.Is(err, ErrDamaged) {
		t.Fatalf("half a file: %v, want ErrDamaged", err)
	}
}

func TestNoFileIsNotDamage(t *testing.T) {
	if _, err := In(t.TempDir(), "orders", "service/orders/", "auto").Load(); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("Load without a file = %v, want os.ErrNotExist", err)
	}
}

// A service that was moved to another prefix, as from staging to production, must
// not begin with the servers of the former.
func TestAnotherPrefixsIsNotBelieved(t *testing.T) {
	dir := t.TempDir()
	if err := In(dir, "orders", "staging/orders/", "auto").Save(endpoint("10.0.0.1:80")); err != nil {
		t.Fatal(err)
	}
	if k, err := In(dir, "orders", "production/orders/", "auto").Load(); !errors.Is(err, ErrOther) || k.Endpoints != nil {
		t.Errorf("Load = %v, %v; want none, as they are another prefix's", k, err)
	}
	if k, err := In(dir, "orders", "staging/orders/", "kratos+grpc").Load(); !errors.Is(err, ErrOther) || k.Endpoints != nil {
		t.Errorf("Load = %v, %v; want none, as what it says may be the addresses of another protocol", k, err)
	}
	if k, err := In(dir, "orders", "staging/orders/", "auto").Load(); len(k.Endpoints) != 1 || err != nil {
		t.Errorf("Load = %v, %v", k, err)
	}
}

// A name may have 200 bytes, half of them slashes, and a file's name 255.
func TestLongNamesHaveFilesOfTheirOwn(t *testing.T) {
	dir := t.TempDir()
	long := strings.Repeat("a/", 99)
	names := []string{long + "bc", long + "bd", strings.Repeat("x", 200), "a/" + strings.Repeat("x", 198), "a/" + strings.Repeat("x", 197) + "y"}
	for i, name := range names {
		if err := In(dir, name, name, "auto").Save(endpoint(fmt.Sprintf("h:%d", i))); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	for i, name := range names {
		k, err := In(dir, name, name, "auto").Load()
		if err != nil || len(k.Endpoints) != 1 || k.Endpoints[0].Address != fmt.Sprintf("h:%d", i) {
			t.Errorf("%s: %v, %v; want its own", name, k, err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, strings.Repeat("x", 200)+".json")); err != nil {
		t.Errorf("a name that needs no hash has another file than before: %v", err)
	}
}

func TestOnlyARegularFileIsRead(t *testing.T) {
	pipe, folder, device := In(t.TempDir(), "pipe", "", "auto"), In(t.TempDir(), "folder", "", "auto"), In(t.TempDir(), "device", "", "auto")
	for _, err := range []error{syscall.Mkfifo(pipe.path, 0o600), os.Mkdir(folder.path, 0o700), os.Symlink("/dev/zero", device.path)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []File{pipe, folder, device} {
		ended := make(chan error, 1)
		go func() { _, err := f.Load(); ended <- err }()
		select {
		case err := <-ended:
			if !errors.Is(err, errNotRegular) || !strings.Contains(err.Error(), f.path) {
				t.Errorf("%v, want that it is no regular file", err)
			}
		case <-time.After(5 * time.Second):
			t.Fatalf("%s is waited for", f.path)
		}
	}
	if err := pipe.Save(discovery.Known{}); err != nil {
		t.Errorf("%v, want it replaced", err)
	}
	if _, err := pipe.Load(); err != nil {
		t.Errorf("%v, want what was saved", err)
	}
}
