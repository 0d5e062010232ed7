// Package snapshot keeps the last known endpoints of a service in a file, for a
// start while the registry is down.
//
//	file := snapshot.In("/var/lib/portside", "orders", "service/orders/", "auto")
//	known, err := file.Load()
//	err = file.Save(known)
//
// A file is replaced whole or not at all, and a damaged one is refused. The package does
// not decide whether an old snapshot is better than none.
package snapshot

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"portside/discovery"
)

// File is where one service's endpoints are kept. It is a value, safe for concurrent use;
// of two saves at once either may stand. The zero File is none.
type File struct{ path, prefix, reading, protocol string }

// In is the file in dir for the endpoints that the named service has under prefix. Reading
// says how their records are read, such as their format: read in another way they might
// yield other addresses. In opens nothing.
func In(dir, name, prefix, reading string) File {
	return File{path: filepath.Join(dir, base(name)+".json"), prefix: prefix, reading: reading}
}

// For is f for endpoints whose records are read for that protocol. What was saved for
// another protocol is loaded all the same, and [discovery.Known] says which: most records
// yield the same addresses for any.
func (f File) For(protocol string) File {
	f.protocol = protocol
	return f
}

// base is the file's name for a service's name, without its extension. Escaping makes three
// bytes of each slash, and file systems allow 255 bytes: so a long one is cut, and ends in a
// hash of the whole. No service's name has a tilde, so no other's file has that name.
func base(name string) string {
	const most, digits = 200, 16
	escaped := url.PathEscape(name)
	if len(escaped) <= most {
		return escaped
	}
	return escaped[:most-digits-1] + "~" + sum([]byte(name))[:digits]
}

var (
	// ErrDamaged is what Load answers for a file that is not as it was saved.
	ErrDamaged = errors.New("snapshot is damaged")
	// ErrOther is what Load answers for a file whose endpoints are those of another prefix,
	// or were read in another way: the service has been changed since.
	ErrOther = errors.New("snapshot is of another prefix or format")

	errNotRegular = errors.New("not a regular file")
)

// content is what a file holds. Its sum covers the bytes of the two lists and not those of
// the whole file, so that an editor that adds a newline at the end damages nothing.
type content struct {
	Taken     time.Time       `json:"taken"` // Known.At
	Prefix    string          `json:"prefix"`
	Reading   string          `json:"reading,omitempty"`  // empty: unknown
	Protocol  string          `json:"protocol,omitempty"` // empty: unknown
	SHA256    string          `json:"sha256"`             // of Endpoints and Lost, as they are written
	Endpoints json.RawMessage `json:"endpoints"`
	Lost      json.RawMessage `json:"lost,omitempty"`
}

// Load returns what was saved. Errors: [os.ErrNotExist], [ErrDamaged], [ErrOther], or what
// the file system says.
func (f File) Load() (discovery.Known, error) {
	none := discovery.Known{}
	data, err := read(f.path)
	if err != nil {
		return none, err
	}
	var c content
	if err := json.Unmarshal(data, &c); err != nil {
		return none, fmt.Errorf("read %s: %w: %w", f.path, ErrDamaged, err)
	}
	if sum(c.Endpoints, c.Lost) != c.SHA256 {
		return none, fmt.Errorf("read %s: %w: its sum is wrong", f.path, ErrDamaged)
	}
	if c.Prefix != f.prefix || c.Reading != f.reading && c.Reading != "" {
		return none, fmt.Errorf("read %s: %w: %q, read as %q", f.path, ErrOther, c.Prefix, c.Reading)
	}
	known := discovery.Known{At: c.Taken, Protocol: c.Protocol}
	if err := json.Unmarshal(c.Endpoints, &known.Endpoints); err != nil {
		return none, fmt.Errorf("read %s: %w: %w", f.path, ErrDamaged, err)
	}
	if len(c.Lost) == 0 {
		return known, nil
	}
	if err := json.Unmarshal(c.Lost, &known.Lost); err != nil {
		return none, fmt.Errorf("read %s: %w: %w", f.path, ErrDamaged, err)
	}
	return known, nil
}

// read reads a regular file and no other. A pipe may never have anything to read, and a
// device no end; nothing could interrupt the wait for either.
func read(name string) ([]byte, error) {
	file, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // else opening a pipe waits for its writer
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("read %s: %w", name, errNotRegular)
	}
	return io.ReadAll(file)
}

// Save replaces the file. It returns when the new content is on disk.
func (f File) Save(known discovery.Known) error {
	if known.Endpoints == nil {
		known.Endpoints = []discovery.Endpoint{}
	}
	c := content{Taken: known.At.UTC(), Prefix: f.prefix, Reading: f.reading, Protocol: f.protocol}
	var err error
	if c.Endpoints, err = json.Marshal(known.Endpoints); err != nil {
		return err
	}
	if len(known.Lost) > 0 {
		if c.Lost, err = json.Marshal(known.Lost); err != nil {
			return err
		}
	}
	c.SHA256 = sum(c.Endpoints, c.Lost)
	data, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return replace(f.path, append(data, '\n'))
}

// replace writes a file beside name and renames it, so that a reader sees the old content
// or the new, as does whoever starts after a power cut.
func replace(name string, data []byte) (err error) {
	dir := filepath.Dir(name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, ".snapshot-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(tmp.Name())
		}
	}()
	_, err = tmp.Write(data)
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), name); err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDir writes the names in dir to disk, where the file system can do that.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	if err := d.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENOTSUP) {
		return err
	}
	return nil
}

func sum(parts ...[]byte) string {
	s := sha256.Sum256(slices.Concat(parts...))
	return hex.EncodeToString(s[:])
}
