package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Options say where a configuration comes from. A flag beats a variable of the
// environment, which beats the file, which beats the default.
type Options struct {
	// Path is the file; "-" is Stdin. Empty: $PORTSIDE_CONFIG, else the first
	// of Search that exists, else no file.
	Path string
	// Again says that the file has been read before: a pipe, which has nothing left to
	// read, is then a fault.
	Again bool
	// Search are the files that may exist. Nil: portside.yaml and
	// /etc/portside/portside.yaml.
	Search []string
	// Args are NAME=LISTEN[,key=value…]; keys of a service in the file that
	// they do not name stay.
	Args []string
	// Flags are the flags that were given, by name without dashes: etcd, admin,
	// state-dir and the others of the table in settings.go. Others are ignored.
	Flags map[string]string
	// Set are further settings, after Flags.
	Set []Setting

	// Resolve is what an address of a registration stands for, such as auto:80.
	// Nil: itself.
	Resolve func(address string) (string, error)
	// Fits says why a registration cannot be written in its format. Nil: all can.
	Fits func(Registration) error
	// Reads says why a service's records cannot be read in its format. Nil: all can.
	Reads func(Service) error

	// Formats and Written are the record formats that can be read and written.
	// Empty: any word will do.
	Formats, Written []string

	Env   func(string) (string, bool) // nil: [os.LookupEnv]
	Stdin io.Reader                   // nil: [os.Stdin]
}

// Load reads the configuration. All that is wrong with it is one error of type
// [Faults]. It is safe for concurrent use.
func Load(o Options) (*Config, error) {
	r, c := newReader(o), defaults()
	for _, doc := range r.documents(o, &c) {
		fileSection.read(r, r.root(doc), &c)
	}
	if !r.exhausted() {
		settle(r, &c, o.Resolve)
		agree(r, &c, o)
	}
	if len(r.faults) > 0 {
		return nil, r.faults.sorted()
	}
	return &c, nil
}

// Admin is the address of the admin API, whatever is wrong elsewhere in the file: a variable
// that only the running portside has must not keep an operator from asking it.
func Admin(o Options) (string, error) {
	r, c := newReader(o), defaults()
	docs := r.documents(o, &c)
	if len(r.faults) > 0 {
		return "", r.faults.sorted()
	}
	for _, doc := range docs {
		fileSection.read(r, r.root(doc), &c)
	}
	if r.faulty("admin") {
		return "", r.faults.sorted()
	}
	return c.Admin, nil
}

func (o Options) env() func(string) (string, bool) {
	if o.Env == nil {
		return os.LookupEnv
	}
	return o.Env
}

// documents are what has to be read: what a later one says replaces what an earlier one did.
func (r *reader) documents(o Options, c *Config) (docs []*node) {
	if doc := r.file(o, c); doc != nil {
		docs = append(docs, doc)
	}
	for _, s := range append(append(fromEnvironment(r.env), fromFlags(o.Flags)...), o.Set...) {
		docs = append(docs, s.node(r))
	}
	said := map[string]string{} // by name, the argument that has it
	for _, arg := range o.Args {
		if doc := r.argument(arg, said); doc != nil {
			docs = append(docs, doc)
		}
	}
	return docs
}

// file finds, reads and parses the file. Nil when there is none or it is unreadable.
func (r *reader) file(o Options, c *Config) *node {
	name := r.find(o)
	if name == "" {
		return nil
	}
	c.Source = name
	from := r.origin(name, "")
	from.dir = filepath.Dir(name)
	if name == "-" {
		from.name, from.dir = "standard input", ""
	}
	data, err := o.read(name)
	if err != nil {
		r.fault(position{from: from}, "", reason(err), "")
		return nil
	}
	return r.parse(from, data)
}

func (r *reader) find(o Options) string {
	if o.Path != "" {
		return o.Path
	}
	if name, _ := r.env("PORTSIDE_CONFIG"); name != "" {
		return name
	}
	search := o.Search
	if search == nil {
		search = []string{"portside.yaml", "/etc/portside/portside.yaml"}
	}
	for _, name := range search {
		if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
			return name // if it cannot be read that is a fault, not a reason to search on
		}
	}
	return ""
}

// read takes one byte more than a file may have, so that parse sees the excess.
func (o Options) read(name string) ([]byte, error) {
	switch {
	case name == "-" && o.Stdin == nil:
		return io.ReadAll(io.LimitReader(os.Stdin, maxFile+1))
	case name == "-":
		return io.ReadAll(io.LimitReader(o.Stdin, maxFile+1))
	case o.Again:
		return Reread(name)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile+1))
}

// ErrNotRegular is what Reread answers for anything else than a regular file.
var ErrNotRegular = errors.New("not a regular file")

// Reread reads a regular file, and at most one byte more than a configuration may have. It
// refuses pipes and devices: nothing could interrupt the wait for a pipe's writer, or for the
// end of a device.
func Reread(name string) ([]byte, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // else opening a pipe waits for its writer
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, ErrNotRegular
	}
	return io.ReadAll(io.LimitReader(f, maxFile+1))
}

// reason is err without the file's name, which the fault already says.
func reason(err error) string {
	if failed, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Sprintf("cannot be read: %v", failed.Err)
	}
	return fmt.Sprintf("cannot be read: %v", err)
}
