package config

import (
	"fmt"
	"strings"
	"time"
)

// healthSection is how the backends of a service are asked.
var healthSection = checkSection(
	over("http", "A path; any answer of 200 to 399 is healthy.", healthPath),
	over("tcp", "Healthy when a connect succeeds: {}.", checkTCP),
	over("grpc", "A service that grpc.health.v1 says is SERVING; \"\": the whole server.", checkGRPC),
)

// registerCheckSection is how a registered server is asked.
var registerCheckSection = checkSection(
	over("http", "A URL; any answer of 200 to 399 is healthy.", checkURL),
	over("tcp", "An address; healthy when a connect succeeds. {}: the registered one.", checkTCP),
	over("grpc", "A service that grpc.health.v1 says is SERVING at the registered address; \"\": the whole server.", checkGRPC),
	over("exec", "A command, as a list; healthy when it exits with 0.", checkExec),
	at("grace", "Failures this soon after the start do not count.", duration(0), func(c *Check) *time.Duration { return &c.Grace }),
)

// checkSection is the ways to ask, of which one table names one, and the pace.
func checkSection(ways ...key[Check]) form[Check] {
	f := section(append(ways,
		at("interval", "Between checks.", positive, func(c *Check) *time.Duration { return &c.Interval }),
		at("timeout", "Of one check; default 1s, or the interval if that is shorter.", positive, func(c *Check) *time.Duration { return &c.Timeout }),
		at("rise", "Successes in a row that make it healthy.", count(1, 1000), func(c *Check) *int { return &c.Rise }),
		at("fall", "Failures in a row that make it unhealthy.", count(1, 1000), func(c *Check) *int { return &c.Fall }),
	)...)
	read := f.read
	f.read = func(r *reader, p place, c *Check) {
		onlyOneWay(r, p)
		read(r, p, c)
	}
	return f
}

func onlyOneWay(r *reader, p place) {
	first := ""
	for _, e := range p.entries {
		switch CheckKind(e.key) {
		case CheckHTTP, CheckTCP, CheckGRPC, CheckExec:
			if first != "" {
				r.fault(e.at, join(p.path, e.key), fmt.Sprintf("`%s` beside `%s`", e.key, first), "one check asks one way")
			}
			first = e.key
		}
	}
}

// way is the form of one way to ask: f, when the check is of that kind.
func way[T any](kind CheckKind, f form[T], of func(*Check) *T) form[Check] {
	return form[Check]{
		read: func(r *reader, p place, c *Check) {
			c.Kind, c.URL, c.Address, c.Service, c.Command = kind, "", "", "", nil
			f.read(r, p, of(c))
		},
		write: func(c Check) *node {
			if c.Kind != kind {
				return nil
			}
			return f.write(*of(&c))
		},
		describe: func(w vocabulary, c Check) schema { return f.describe(w, *of(&c)) },
	}
}

var (
	healthPath = way(CheckHTTP, scalarForm(parsePath, phrase, schema{"type": "string", "pattern": "^/|\\$\\{"}), func(c *Check) *string { return &c.URL })
	checkURL   = way(CheckHTTP, scalarForm(parseCheckURL, phrase, schema{"type": "string"}), func(c *Check) *string { return &c.URL })
	checkTCP   = way(CheckTCP, orNothing(dial), func(c *Check) *string { return &c.Address })
	checkGRPC  = way(CheckGRPC, orNothing(text), func(c *Check) *string { return &c.Service })
	checkExec  = way(CheckExec, command, func(c *Check) *[]string { return &c.Command })
)

// command is a program and its arguments. A program with a slash in its name is a path,
// as it is to a shell.
var command = func() form[[]string] {
	f := listOf(text, "[pg_isready, -q]")
	read := f.read
	f.read = func(r *reader, p place, v *[]string) {
		if read(r, p, v); len(*v) > 0 && strings.Contains((*v)[0], "/") {
			(*v)[0] = absolute(r, p, (*v)[0])
		}
	}
	return f
}()

func parsePath(text string) (string, string, string) {
	text, problem, hint := parseText(text)
	switch {
	case problem != "":
		return "", problem, hint
	case !strings.HasPrefix(text, "/"), strings.ContainsAny(text, " #"):
		return "", shown(text) + " is no path", "write /healthz; the backend's address comes before it"
	}
	return text, "", ""
}

func parseCheckURL(text string) (string, string, string) {
	u, problem := parseURL(text)
	if problem != "" {
		return "", problem, "write http://127.0.0.1:8080/healthz"
	}
	return u.String(), "", ""
}

// orNothing is f, or {} or no value for "".
func orNothing(f form[string]) form[string] {
	return form[string]{
		read: func(r *reader, p place, v *string) {
			if p.blank() || p.kind == table && len(p.entries) == 0 || r.says(p, "") {
				return
			}
			f.read(r, p, v)
		},
		write: func(v string) *node {
			if v == "" {
				return &node{kind: table}
			}
			return f.write(v)
		},
		describe: func(w vocabulary, v string) schema {
			return schema{"anyOf": []schema{f.describe(w, v), {"type": []string{"object", "null"}, "maxProperties": 0}}}
		},
	}
}

// newHealth has no kind: a user has to choose one.
func newHealth() Check { return Check{Interval: 5 * time.Second, Rise: 2, Fall: 3} }

// newRegisterCheck becomes healthy at the first success, so a start is quick.
func newRegisterCheck() Check {
	return Check{Kind: CheckTCP, Interval: 2 * time.Second, Rise: 1, Fall: 3}
}
