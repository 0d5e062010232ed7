package record

import (
	"fmt"
	"strings"
)

// Format names a way of writing an endpoint into a registry.
type Format string

// The formats; the package comment has a table of what each looks like.
const (
	Auto    Format = "auto" // told by unmistakable signs, never guessed
	Plain   Format = "plain"
	Etcd    Format = "etcd"
	GoZero  Format = "go-zero"
	Kratos  Format = "kratos"
	GoMicro Format = "go-micro"
	Kitex   Format = "kitex"
	Hertz   Format = "hertz"
	RPCX    Format = "rpcx"
	Dubbo   Format = "dubbo"
	GoFrame Format = "goframe"
	GoKit   Format = "go-kit"
	SkyDNS  Format = "skydns"
	TRPC    Format = "trpc"
	Jupiter Format = "jupiter"
	Vulcand Format = "vulcand"
	Milvus  Format = "milvus"
	TiDB    Format = "tidb"
	Patroni Format = "patroni"
	APISIX  Format = "apisix"
)

// Formats lists every format, [Auto] first.
func Formats() []Format {
	return []Format{
		Auto, Plain, Etcd, GoZero, Kratos, GoMicro, Kitex, Hertz, RPCX, Dubbo, GoFrame,
		GoKit, SkyDNS, TRPC, Jupiter, Vulcand, Milvus, TiDB, Patroni, APISIX,
	}
}

// alias is another name that a format is known by.
type alias struct {
	name   string
	format Format
}

func aliases() []alias {
	return []alias{
		{"coredns", SkyDNS},
		{"dubbo-go", Dubbo},
		{"grpc", Etcd},
		{"registrator", Plain},
		{"sponge", Kratos},
		{"trpc-go", TRPC},
	}
}

// Words lists every name that [Parse] knows: the formats' own, then others.
func Words() (all []string) {
	for _, f := range Formats() {
		all = append(all, string(f))
	}
	for _, a := range aliases() {
		all = append(all, a.name)
	}
	return all
}

// Parse returns the format of that name or of one of its aliases, such as
// sponge for [Kratos]. The empty name is [Auto].
func Parse(name string) (Format, error) {
	if name == "" {
		return Auto, nil
	}
	for _, f := range Formats() {
		if name == string(f) {
			return f, nil
		}
	}
	for _, a := range aliases() {
		if name == a.name {
			return a.format, nil
		}
	}
	return "", fmt.Errorf("format %q: unknown; known are %s", short(name), strings.Join(Words(), ", "))
}

// offersSeveral reports whether a plus sign and a name may follow the format,
// to choose among what its records or its prefix hold.
func (f Format) offersSeveral() bool {
	switch f {
	case Auto, Kratos, GoMicro, Dubbo, Jupiter, Milvus, Patroni:
		return true
	}
	return false
}
