package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// A Setting is one value from outside a file, by the path of its key:
//
//	Setting{Origin: "flag --ttl", Path: []string{"register", "billing", "ttl"}, Value: "30s"}
//
// Its value is as in the file, with the items of a list between commas and
// without variables.
type Setting struct {
	Origin string // for faults: where the user finds it
	Path   []string
	Value  string
}

// overrides are the keys that flags and the environment know.
func overrides() []override {
	return []override{
		{"etcd", "PORTSIDE_ETCD", []string{"etcd", "endpoints"}, false},
		{"etcd-prefix", "PORTSIDE_ETCD_PREFIX", []string{"etcd", "prefix"}, false},
		{"etcd-username", "PORTSIDE_ETCD_USERNAME", []string{"etcd", "username"}, false},
		{"", passwordVariable, []string{"etcd", "password"}, false}, // no flag: others see flags
		{"etcd-ca", "PORTSIDE_ETCD_CA", []string{"etcd", "tls", "ca"}, false},
		{"etcd-cert", "PORTSIDE_ETCD_CERT", []string{"etcd", "tls", "cert"}, false},
		{"etcd-key", "PORTSIDE_ETCD_KEY", []string{"etcd", "tls", "key"}, false},
		{"etcd-server-name", "PORTSIDE_ETCD_SERVER_NAME", []string{"etcd", "tls", "server_name"}, false},
		{"admin", "PORTSIDE_ADMIN", []string{"admin"}, true},
		{"state-dir", "PORTSIDE_STATE_DIR", []string{"state_dir"}, true},
		{"drain-delay", "PORTSIDE_DRAIN_DELAY", []string{"drain", "delay"}, false},
		{"drain-timeout", "PORTSIDE_DRAIN_TIMEOUT", []string{"drain", "timeout"}, false},
	}
}

type override struct {
	flag, variable string
	path           []string
	// emptyMeans says that an empty value says something ("" turns admin off).
	// Elsewhere an empty variable counts as unset, as people export them.
	emptyMeans bool
}

// fromEnvironment is what variables say.
func fromEnvironment(env func(string) (string, bool)) (all []Setting) {
	for _, o := range overrides() {
		if v, set := env(o.variable); set && (v != "" || o.emptyMeans) {
			all = append(all, Setting{"environment " + o.variable, o.path, v})
		}
	}
	return all
}

// fromFlags is what flags say. Flags that are not in overrides are ignored.
func fromFlags(flags map[string]string) (all []Setting) {
	for _, o := range overrides() {
		if v, set := flags[o.flag]; set && o.flag != "" {
			all = append(all, Setting{"flag --" + o.flag, o.path, v})
		}
	}
	return all
}

// node is a document with only this setting.
func (s Setting) node(r *reader) *node {
	from := position{from: r.origin(s.Origin, ",")}
	doc := &node{kind: table, at: from}
	doc.put(s.Path, &node{kind: scalar, at: from, text: s.Value})
	return doc
}

// put sets the value at path below the table n, making tables on the way. It
// reports false when something is there already.
func (n *node) put(path []string, v *node) bool {
	for _, e := range n.entries {
		if e.key == path[0] {
			return len(path) > 1 && e.value.kind == table && e.value.put(path[1:], v)
		}
	}
	below := v
	if len(path) > 1 {
		below = &node{kind: table, at: v.at}
		below.put(path[1:], v)
	}
	n.entries = append(n.entries, entry{path[0], v.at, below})
	return true
}

// argument reads NAME=LISTEN[,key=value…]: a service, its keys as in the file
// with a dot for each level, the items of a list between plus signs. An empty
// LISTEN leaves what the file says. said are the names that arguments had before.
func (r *reader) argument(text string, said map[string]string) *node {
	at := position{from: r.origin(fmt.Sprintf("argument %q", text), "+")}
	name, rest, ok := strings.Cut(text, "=")
	if !ok || name == "" {
		hint := "write orders=7001 or orders=127.0.0.1:7001,protocol=http"
		if looksLikeFile(text) {
			hint = "to read the file, write -c " + text
		}
		r.fault(at, "", "is no NAME=LISTEN", hint)
		return nil
	}
	if other, twice := said[name]; twice {
		r.fault(at, join("services", name), "is also what the argument "+strconv.Quote(other)+" is about", "one argument a service; its keys go between commas")
		return nil
	}
	said[name] = text
	service := &node{kind: table, at: at}
	address, rest, _ := strings.Cut(rest, ",")
	if address != "" {
		service.put([]string{"listen"}, &node{kind: scalar, at: at, text: address})
	}
	for rest != "" {
		var pair string
		pair, rest, _ = strings.Cut(rest, ",")
		r.pair(service, join("services", name), pair)
	}
	doc := &node{kind: table, at: at}
	doc.put([]string{"services", name}, service)
	return doc
}

// looksLikeFile reports whether an argument was meant as the configuration's file.
func looksLikeFile(text string) bool {
	if strings.Contains(text, "=") || text == "" {
		return false
	}
	if ext := strings.ToLower(filepath.Ext(text)); ext == ".yaml" || ext == ".yml" {
		return true
	}
	info, err := os.Stat(text)
	return err == nil && info.Mode().IsRegular()
}

// pair puts one key=value of an argument where it belongs.
func (r *reader) pair(service *node, path, text string) {
	key, value, ok := strings.Cut(text, "=")
	if !ok || key == "" {
		r.fault(service.at, path, shown(text)+" is no key=value", "the items of a list go between plus signs: endpoints=10.0.0.1:80+10.0.0.2:80")
		return
	}
	if !service.put(strings.Split(key, "."), &node{kind: scalar, at: service.at, text: value}) {
		r.fault(service.at, path, fmt.Sprintf("duplicate key `%s`", key), "")
	}
}
