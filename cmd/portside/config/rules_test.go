package config

import (
	"strings"
	"testing"
	"time"
)

func TestListenersClashWhereTheKernelSaysSo(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{":7001", "127.0.0.1:7001", true},
		{":7001", "[::1]:7001", true},
		{"7001", "127.0.0.1:7001", true},
		{"localhost:7001", "127.0.0.1:7001", true},
		{"LOCALHOST:7001", "7001", true},
		{"[::]:7001", "127.0.0.1:7001", true},
		{"[::]:7001", "0.0.0.0:7001", true},
		{"0.0.0.0:7001", "10.0.0.1:7001", true},
		{"0.0.0.0:7001", "[::1]:7001", false},
		{"0.0.0.0:7001", "box:7001", true},
		{"127.0.0.1:7001", "127.0.0.2:7001", false},
		{"127.0.0.1:7001", "[::1]:7001", false},
		{"127.0.0.1:7001", "127.0.0.1:7002", false},
		{"box:7001", "box:7001", true},
		{"box:7001", "other:7001", false},
		{"0", "0", false}, // the kernel gives each its own
	} {
		a, problemA, _ := parseListen(c.a)
		b, problemB, _ := parseListen(c.b)
		if problemA != "" || problemB != "" {
			t.Fatalf("%s, %s: %s %s", c.a, c.b, problemA, problemB)
		}
		if clash(a, b) != c.want || clash(b, a) != c.want {
			t.Errorf("clash(%s, %s) = %t, %t, want %t both ways", a, b, clash(a, b), clash(b, a), c.want)
		}
	}
}

func TestEndpointsAreCanonical(t *testing.T) {
	for text, want := range map[string]string{
		"10.0.0.7:5432":                 "10.0.0.7:5432",
		"10.0.0.7":                      "10.0.0.7:99",
		"db-1.internal":                 "db-1.internal:99",
		"db:05432":                      "db:5432",
		"[2001:DB8::0:7]:5432":          "[2001:db8::7]:5432",
		"2001:db8::7":                   "[2001:db8::7]:99",
		"[2001:db8::7]":                 "[2001:db8::7]:99",
		"fe80::1%eth0":                  "[fe80::1%eth0]:99",
		"::1:8080":                      "[::1:8080]:99", // no brackets, so no port
		"10.0.0.7:5432 ; weight=2":      "10.0.0.7:5432",
		"10.0.0.7:5432;zone=a;weight=2": "10.0.0.7:5432",
	} {
		e, problem, _ := parseEndpoint(text)
		address := ""
		if problem == "" {
			address, problem, _ = parseDial(e.Address, 99)
		}
		if problem != "" || address != want {
			t.Errorf("%s = %q (%s), want %q", text, address, problem, want)
		}
	}
}

func TestDurationsAreWrittenShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", time.Second: "1s", 90 * time.Second: "1m30s", 10 * time.Minute: "10m", time.Hour: "1h",
		100 * time.Hour: "100h", time.Hour + time.Second: "1h0m1s", 250 * time.Millisecond: "250ms",
	} {
		if got := writeDuration(d); got != want {
			t.Errorf("%d is written %s, want %s", d, got, want)
		}
		if back, err := time.ParseDuration(want); err != nil || back != d {
			t.Errorf("%s reads back as %s, want %s", want, back, d)
		}
	}
}

func TestSizesAndRatiosReadBack(t *testing.T) {
	for text, want := range map[string]int64{"64KiB": 65536, "1MiB": 1 << 20, "10MB": 1e7, "3 KB": 3000, "7B": 7, "2GiB": 2 << 30} {
		n, problem := parseSize(text)
		if problem != "" || n != want {
			t.Errorf("%s = %d (%s), want %d", text, n, problem, want)
		}
		if back, _ := parseSize(writeSize(n)); back != n {
			t.Errorf("%s is written %s, which is %d", text, writeSize(n), back)
		}
	}
	if _, problem := parseSize("99999999999GiB"); problem == "" {
		t.Error("a size beyond 64 bits is read")
	}
	for text, want := range map[string]float64{"20%": 0.2, "0.2": 0.2, "1": 1, "1.0": 1, "100%": 1, "33.3%": 0.33299999999999996, "0%": 0} {
		v, problem, _ := parseRatio(text, 0)
		if problem != "" || v != want {
			t.Errorf("%s = %v (%s), want %v", text, v, problem, want)
		}
		if back, _, _ := parseRatio(writeRatio(v).text, 0); back != v {
			t.Errorf("%s is written %s, which is %v", text, writeRatio(v).text, back)
		}
	}
}

func TestVariablesExpandAsInAShell(t *testing.T) {
	env := variables{"A": "x", "EMPTY": "", "DOLLAR": "$A"}.lookup
	for text, want := range map[string]string{
		"": "", "plain": "plain", "${A}": "x", "a${A}b${A}": "axbx", "$$": "$", "$${A}": "${A}", "$$$$": "$$",
		"${NONE:-d}": "d", "${NONE:-}": "", "${EMPTY:-d}": "d", "${EMPTY}": "", "${A:-d}": "x",
		"${NONE:-a b/c:d}": "a b/c:d",
		"${DOLLAR}":        "$A", // a value is not expanded again
	} {
		if got, err := expand(text, env); err != nil || got != want {
			t.Errorf("expand(%q) = %q, %v, want %q", text, got, err, want)
		}
	}
	for _, text := range []string{"$", "$A", "${", "${}", "${A", "${1}", "${A-d}", "${A:?e}", "${A:-${A}}", "${NONE}", "a$"} {
		if got, err := expand(text, env); err == nil {
			t.Errorf("expand(%q) = %q, want an error", text, got)
		}
	}
	if got, err := expand(escape("a$b${c}$$"), env); err != nil || got != "a$b${c}$$" {
		t.Errorf("escaped text expands to %q, %v", got, err)
	}
}

func TestVariablesTakeTheTypeOfTheirKey(t *testing.T) {
	const file = `
admin: 127.0.0.1:${PORT:-7070}
drain: {timeout: "${T}"}
services:
  a: {listen: "${L}", retry: {attempts: "${N}", budget: "${B}"}, guard: "${G}", protocol: http, access_log: {errors_only: "${E}"}}
etcd: {endpoints: "${K}"}
`
	o := testOptions(file)
	o.Env = variables{"T": "5s", "L": "7001", "N": "7", "B": "10%", "G": "off", "E": "true", "K": "embedded"}.lookup
	c := load(t, o)
	a := c.Services[0]
	if c.Drain.Timeout != 5*time.Second || a.Listen != "127.0.0.1:7001" || a.Retry.Attempts != 7 || a.Retry.Budget != 0.1 ||
		!a.Pool.Guard.Off || !a.HTTP.AccessLog.ErrorsOnly || !c.Etcd.Embedded {
		t.Errorf("variables were read as %+v", c)
	}
}

// What is no text cannot be shown, in metrics least of all.
func TestVariablesAreText(t *testing.T) {
	o := testOptions("register: {a: {address: \"127.0.0.1:1\", key: \"service/${K}\"}}\n")
	o.Env = variables{"K": "\xff"}.lookup
	if _, err := Load(o); err == nil || !strings.Contains(err.Error(), "1:45: register.a.key: is not UTF-8") {
		t.Errorf("%v, want the place of what is not UTF-8", err)
	}
}

func TestNearestIsWhatWasMeant(t *testing.T) {
	known := []string{"listen", "protocol", "balance", "timeouts", "retry", "endpoints", "on_remove", "health"}
	for word, want := range map[string]string{
		"ballance": "balance", "Listen": "listen", "timeout": "timeouts", "endpoint": "endpoints", "retires": "",
		"helath": "health", "zzz": "", "": "", "protocoll": "protocol", "on-remove": "on_remove",
	} {
		if got := nearest(word, known); got != want {
			t.Errorf("nearest(%q) = %q, want %q", word, got, want)
		}
	}
}

func TestPrettyMarksThePlace(t *testing.T) {
	faults := faultsOf(t, "services:\n  orders:\n    listen: 7001\n    balance: rr\ndrain: 5s\nfoo: 1\n")
	const want = `standard input:4:14: services.orders.balance: unknown balance "rr"
    4 |     balance: rr
      |              ^
      = one of round_robin, least_conn, ewma, random, hash
`
	if got := faults.Pretty(); !strings.HasPrefix(got, want) {
		t.Errorf("Pretty =\n%s\nwant it to begin\n%s", got, want)
	}
	const line = `standard input:4:14: services.orders.balance: unknown balance "rr"; one of round_robin, least_conn, ewma, random, hash` + "\n"
	if got := faults.Error(); !strings.HasPrefix(got, line) || strings.Count(got, "\n") != 2 {
		t.Errorf("Error =\n%s\nwant a line for each of 3 faults, beginning\n%s", got, line)
	}
}

func TestPasswordsAreNeverShown(t *testing.T) {
	for _, text := range []string{
		"etcd: {username: a, password: hunter2, foo: bar}\n",
		"etcd: {pasword: hunter2}\n",
		"etcd:\n  password: hunter2$x\n",
		"etcd:\n  username: a\n  password: |\n    hunter2\n",
		"etcd:\n  Passwd: >-\n    x\n    hunter2\n  foo: bar\n",
		"etcd: {\"password\" : \"a, hunter2\", foo: bar}\n",
		"etcd: {password: ${hunter2!}}\n",
		"etcd:\n  password: \"x\n    hunter2: [\n",
		"etcd:\n  username: a\n  password:\n    - hunter2\n",
		"etcd:\n  username: a\n  password:\n    x: hunter2\n",
		"etcd: {endpoints: [\"http://u:hunter2@h:1\"], foo: bar}\n",
		"etcd: {endpoints: [\"u:hunter2@h:1\"]}\n",
		"register: {a: {address: \"h:1\", check: {http: \"http://u:hunter2@h:1/%zz\"}}}\n",
		"db_password: hunter2\n",
		"token: hunter2\n",
	} {
		faults := faultsOf(t, text)
		if got := faults.Error() + faults.Pretty(); strings.Contains(got, "hunter2") {
			t.Errorf("for\n%s\nthe password is shown:\n%s", text, got)
		}
	}
}
