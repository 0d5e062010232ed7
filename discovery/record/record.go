package record

import (
	"fmt"
	"slices"
	"strings"

	"portside/discovery"
)

// maxValue bounds what is looked at; etcd itself takes 1.5 MiB by default.
const maxValue = 1 << 20

// Options say how the records of one service are read.
type Options struct {
	// Format of the records; empty: [Auto]. After a plus sign it may name
	// which of several offers is meant: "kratos+grpc" takes the grpc endpoint
	// of each record, "milvus+proxy" the proxies, "patroni+primary" the primary.
	Format Format
	// Protocol the service speaks, "tcp", "http" or "grpc" ("h2" is the same).
	// It chooses when one record offers several. Empty: "tcp".
	Protocol string
	// DefaultPort completes addresses without one. Zero: such an address is
	// an error, unless its scheme has a port of its own (http 80, https 443).
	DefaultPort int
}

// Decoder reads the records of one service. It keeps nothing between calls
// and is safe for concurrent use.
type Decoder struct {
	prefix string
	format Format
	want   want
}

// New returns a decoder for the keys under prefix, which is taken literally:
// nothing of it is trimmed. An unknown format is an error that lists the known.
func New(prefix string, o Options) (*Decoder, error) {
	name, only, plus := strings.Cut(string(o.Format), "+")
	format, err := Parse(name)
	if err != nil {
		return nil, err
	}
	if plus && (only == "" || !format.offersSeveral()) {
		return nil, fmt.Errorf("format %q: %s has nothing of that name to choose", short(string(o.Format)), format)
	}
	if o.DefaultPort < 0 || o.DefaultPort > maxPort {
		return nil, fmt.Errorf("default port %d: not a number from 1 to %d", o.DefaultPort, maxPort)
	}
	return &Decoder{
		prefix: prefix,
		format: format,
		want:   want{protocol: strings.ToLower(o.Protocol), only: strings.ToLower(only), port: o.DefaultPort},
	}, nil
}

// Reading is what one record says.
type Reading struct {
	// Format is how it was read, the answer [Auto] came to.
	Format Format
	// Endpoints are sorted by address, and without Keys. None, without an error, is
	// an absence the record itself declares: disabled, deleted, a directory placeholder.
	Endpoints []discovery.Endpoint
	// Reason is why there are none.
	Reason string
	// Warning is what an operator should know though the record was read, for
	// example that its address is the loopback. Empty: nothing.
	Warning string
}

// Decode reads one record. An error means that the record could not be
// understood and says nothing about the backend: keep what was known.
func (d *Decoder) Decode(key string, value []byte) (Reading, error) {
	if len(value) > maxValue {
		return Reading{}, fmt.Errorf("%s: value of %d bytes is longer than %d", d.format, len(value), maxValue)
	}
	in := d.entry(key, value)
	if why := in.placeholder(); why != "" {
		return Reading{Format: d.format, Reason: why}, nil
	}
	if d.format == Auto {
		return in.auto()
	}
	return in.decode(d.format)
}

// entry is one record on its way to being read.
type entry struct {
	key  string // whole
	leaf string // its last segment; empty when the key is the prefix itself
	text string // the value without blanks around it
	want want
}

func (d *Decoder) entry(key string, value []byte) entry {
	in := entry{key: key, text: strings.TrimSpace(string(value)), want: d.want}
	if key+"/" != d.prefix {
		in.leaf = key[strings.LastIndexByte(key, '/')+1:]
	}
	return in
}

// placeholder tells keys that some registrars leave to mark a directory.
func (in entry) placeholder() string {
	switch {
	case strings.HasSuffix(in.key, "/"):
		return "placeholder: the key ends in a slash"
	case in.text == "rpcx_path", in.text == "init_dir":
		return "placeholder: the value is " + in.text
	}
	return ""
}

// parent is the key's segment before the last.
func (in entry) parent() string {
	dir := in.key[:max(strings.LastIndexByte(in.key, '/'), 0)]
	return dir[strings.LastIndexByte(dir, '/')+1:]
}

// decode reads the record as f and puts its endpoints in order.
func (in entry) decode(f Format) (Reading, error) {
	r, err := in.read(f)
	if err != nil {
		return Reading{}, fmt.Errorf("%s: %w", f, err)
	}
	r.Format = f
	slices.SortStableFunc(r.Endpoints, func(a, b discovery.Endpoint) int { return strings.Compare(a.Address, b.Address) })
	r.Endpoints = slices.CompactFunc(r.Endpoints, func(a, b discovery.Endpoint) bool { return a.Address == b.Address })
	return r, nil
}

func (in entry) read(f Format) (Reading, error) {
	switch f {
	case Plain:
		return readPlain(in)
	case GoZero, GoKit:
		return readText(in)
	case Etcd:
		return readEtcd(in)
	case Kratos:
		return readKratos(in)
	case GoMicro:
		return readGoMicro(in)
	case Kitex, Hertz:
		return readKitex(in)
	case RPCX:
		return readRPCX(in)
	case Dubbo:
		return readDubbo(in)
	case GoFrame:
		return readGoFrame(in)
	case SkyDNS:
		return readSkyDNS(in)
	case TRPC:
		return readTRPC(in)
	case Jupiter:
		return readJupiter(in)
	case Vulcand:
		return readVulcand(in)
	case Milvus:
		return readMilvus(in)
	case TiDB:
		return readTiDB(in)
	case Patroni:
		return readPatroni(in)
	case APISIX:
		return readAPISIX(in)
	}
	return Reading{}, fmt.Errorf("no reader for it")
}
