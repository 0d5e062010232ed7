package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"portside/cmd/portside/admin"
)

// says runs one command line in this process.
func says(t *testing.T, args ...string) (code int, out, complaint string) {
	t.Helper()
	return saysUntil(t.Context(), t, &output{}, args...)
}

func saysUntil(ctx context.Context, t *testing.T, out *output, args ...string) (code int, all, complaint string) {
	t.Helper()
	var complaints bytes.Buffer
	code = run(ctx, args, stdio{in: strings.NewReader(""), out: out, err: &complaints})
	return code, out.String(), complaints.String()
}

func TestUnknownWordsBelowACommandAreUsage(t *testing.T) {
	for _, args := range [][]string{{"completion", "foo"}, {"config", "foo"}, {"foo"}, {"help", "foo"}, {"help", "completion", "foo"}} {
		code, _, complaint := says(t, args...)
		if code != 2 || !strings.Contains(complaint, `unknown command "foo"`) {
			t.Errorf("%v: exit code %d, %q; want 2 and the word that is unknown", args, code, complaint)
		}
	}
	if code, _, _ := says(t, "completion", "bash", "foo"); code != 2 {
		t.Errorf("completion bash foo: exit code %d, want 2", code)
	}
	for _, args := range [][]string{{}, {"config"}, {"completion"}, {"config", "schema"}, {"completion", "bash"}, {"help", "run"}} {
		if code, out, complaint := says(t, args...); code != 0 || out == "" {
			t.Errorf("%v: exit code %d, %q, want 0 and something said", args, code, complaint)
		}
	}
}

// What cannot be run is a fault before it is.
func TestFaultsThatOnlyTheirUseWouldShow(t *testing.T) {
	for want, args := range map[string][]string{
		`services.x.format: format "plain+grpc"`: {"check", "x=17101,format=plain+grpc"},
		"unknown log level":                      {"--log-level", "foo", "version"},
		"an embedded etcd lives in the portside": {"resolve", "x", "--etcd", "embedded"},
		"wants a service's name and a backend's": {"drain", "x", ""},
		`"zz" has no port`:                       {"status", "--admin", "zz"},
	} {
		if code, _, complaint := says(t, args...); code != 2 || !strings.Contains(complaint, want) {
			t.Errorf("%v: exit code %d, %q; want 2 and %q", args, code, complaint, want)
		}
	}
}

// Who asks a running portside needs to know where it is, and nothing else of its
// configuration.
func TestAskingNeedsTheAdminAddressAlone(t *testing.T) {
	file, nobody := filepath.Join(t.TempDir(), "portside.yaml"), refusing(t)
	if err := os.WriteFile(file, []byte("etcd: {username: app, password: \"${NOT_SET_HERE}\"}\nadmin: "+nobody+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	asked := "no portside answers at http://" + nobody
	if code, _, complaint := says(t, "status", "-c", file); code != 1 || !strings.Contains(complaint, asked) {
		t.Errorf("exit code %d, %q; want 1 and %q", code, complaint, asked)
	}
	for _, name := range []string{file + ".absent", os.DevNull + "/x"} {
		if code, _, complaint := says(t, "status", "-c", name, "--admin", nobody); code != 1 || !strings.Contains(complaint, asked) {
			t.Errorf("-c %s: exit code %d, %q; want 1 and %q", name, code, complaint, asked)
		}
	}
}

func TestWhatCannotBeRegisteredIsShownInItsPlace(t *testing.T) {
	file := filepath.Join(t.TempDir(), "r.yaml")
	if err := os.WriteFile(file, []byte(`register:
  b: {address: "127.0.0.1:8101", format: go-zero, weight: 3}
  c: {address: "127.0.0.1:8102", metadata: {q: "a b;c"}}
services: {a: {listen: 1, ballance: ewma}}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	code, _, complaint := says(t, "check", "-c", file)
	for _, want := range []string{":2:59: register.b.weight: encode go-zero", ":3:44: register.c.metadata: encode plain", ":4:27: services.a.ballance"} {
		if code != 2 || !strings.Contains(complaint, file+want) {
			t.Errorf("exit code %d, want 2 and %s in\n%s", code, want, complaint)
		}
	}
}

// What is valid and cannot be meant is told, where nothing has to be started for it.
func TestCheckTellsItsDoubts(t *testing.T) {
	file := filepath.Join(t.TempDir(), "d.yaml")
	for text, want := range map[string]string{
		"services: {}\n": "warning: there is nothing to run",
		"etcd: {endpoints: ['http://127.0.0.1:1'], tls: {}}\nservices: {a: {listen: 17101}}\n": "warning: etcd.tls has no effect",
		"services: {a: {listen: 17101}}\n": "",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		code, out, complaint := says(t, "check", "-c", file)
		if code != 0 || !strings.Contains(out, ": ok, ") || !strings.Contains(complaint, want) || want == "" && complaint != "" {
			t.Errorf("%q: exit code %d, %q, want %q among %q", text, code, out, want, complaint)
		}
	}
}

// A check that found no file has checked nothing, and must not let a pipeline go on.
func TestCheckOfNothingIsUsage(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("PORTSIDE_CONFIG", "")
	code, out, complaint := says(t, "check")
	if code != 2 || out != "" || !strings.Contains(complaint, "nothing to check: no portside.yaml here, and no /etc/portside/portside.yaml") {
		t.Errorf("exit code %d, %q, %q; want 2 and where it looked", code, out, complaint)
	}
	for _, said := range []string{"x=17101", "--effective", "--etcd=127.0.0.1:1"} {
		if code, _, complaint := says(t, "check", said); code != 0 {
			t.Errorf("check %s: exit code %d, %q, want 0", said, code, complaint)
		}
	}
	if err := os.WriteFile("portside.yaml", []byte("services: {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out, _ := says(t, "check"); code != 0 || !strings.HasPrefix(out, "portside.yaml: ok") {
		t.Errorf("with a file: exit code %d, %q", code, out)
	}
}

func TestOnlyOneFileIsNamed(t *testing.T) {
	for _, verb := range [][]string{{"check"}, {"register", "x", "127.0.0.1:1"}, {"resolve", "x"}, {"status"}} {
		code, _, complaint := says(t, append(verb, "-c", "a.yaml", "-c", "b.yaml")...)
		if code != 2 || !strings.Contains(complaint, "only one file is read, and a.yaml is named already") {
			t.Errorf("%v: exit code %d, %q; want 2 and the first file", verb, code, complaint)
		}
	}
}

// What is under a prefix was written by others: it must neither command a
// terminal nor be cut.
func TestOddBytesOfEtcdAreLegible(t *testing.T) {
	endpoint, c := startEtcd(t)
	put(t, c, "service/orders/esc\x1b[31m", "127.0.0.1:8101;zone=a\x1b[0m\xff")
	put(t, c, "service/orders/nul\x00", "127.0.0.1:8102")
	put(t, c, "service/orders/odd\xff", "\xff\xfe")
	code, out, complaint := says(t, "resolve", "orders", "--etcd", endpoint)
	if code != 0 || !isLegible(strings.ReplaceAll(out, "\n", "")) {
		t.Errorf("exit code %d, %s; %q, want nothing that a terminal obeys", code, complaint, out)
	}
	for _, want := range []string{`service/orders/esc\x1b[31m`, `service/orders/nul\x00`, `service/orders/odd\xff`} {
		if !strings.Contains(out, want) {
			t.Errorf("no %s in\n%s", want, out)
		}
	}
	_, out, _ = says(t, "resolve", "orders", "--etcd", endpoint, "-o", "json")
	var found resolution
	if err := json.Unmarshal([]byte(out), &found); err != nil || len(found.Endpoints) == 0 || found.Endpoints[0].Key != "service/orders/esc\x1b[31m" {
		t.Errorf("JSON says %+v (%v), want the key as it is", found, err)
	}

	p := runPortside(t, endpoint, "orders="+freeAddress(t))
	eventually(t, "never synced", func() bool { return p.service("orders").Discovery.State == "synced" })
	for _, verb := range []string{"explain", "status"} {
		code, out, complaint := says(t, verb, "orders", "--admin", p.admin)
		if code != 0 || !isLegible(strings.ReplaceAll(out, "\n", "")) {
			t.Errorf("%s: exit code %d, %s; %q, want nothing that a terminal obeys", verb, code, complaint, out)
		}
	}
	eventually(t, "the log cuts the key, or the error about it", func() bool {
		log := p.out.String()
		return strings.Contains(log, `key="service/orders/odd\xff"`) && strings.Contains(log, "set format if it is another")
	})
}

func TestLegible(t *testing.T) {
	for text, want := range map[string]string{
		"":                        "",
		`a b"c\d é 世 ` + "\ufffd": `a b"c\d é 世 ` + "\ufffd",
		"\x1b[31m\x00\t\n\x7f":    `\x1b[31m\x00\t\n\x7f`,
		"a\xff\xfeb\u202e\u00a0":  `a\xff\xfeb\u202e\u00a0`,
	} {
		if got := legible(text); got != want {
			t.Errorf("legible(%q) = %q, want %q", text, got, want)
		}
	}
}

// logged is what a log in that format makes of a line.
func logged(t *testing.T, format, message string, args ...any) string {
	t.Helper()
	out := &output{}
	std := stdio{out: out, err: out, logs: newAsyncWriter(out, nil)}
	cmd := newRoot(std)
	if err := cmd.ParseFlags([]string{"--log-format", format}); err != nil {
		t.Fatal(err)
	}
	log, err := newLog(cmd, std)
	if err != nil {
		t.Fatal(err)
	}
	log.Info(message, args...)
	std.logs.flush()
	return out.String()
}

func TestTextLogsLoseNothingAtOddBytes(t *testing.T) {
	for _, c := range []struct {
		value any
		want  string
	}{
		{errors.New("address \xff: is \xfe; set format"), `v="address \xff: is \xfe; set format"`},
		{"service/orders/esc\x1b[31m", `v="service/orders/esc\x1b[31m"`},
		{"a \ufffd b", "v=\"a \ufffd b\""},
		{[]string{"a\xff", "b"}, `v="[a\xff b]"`},
		{"plain", "v=plain"},
		{"two words", `v="two words"`},
		{error(nil), "v=<nil>"},
		{30 * time.Second, "v=30s"},
		{syscall.SIGTERM, "v=terminated"},
	} {
		if got := logged(t, "text", "hello", "v", c.value); !strings.HasSuffix(got, "INF hello "+c.want+"\n") {
			t.Errorf("%#v is logged as %q, want %q", c.value, got, c.want)
		}
	}
	if got := logged(t, "text", "odd \xff message"); !strings.HasSuffix(got, `INF odd \xff message`+"\n") {
		t.Errorf("a message is logged as %q", got)
	}
}

func TestJSONLogsSayWhatTextLogsSay(t *testing.T) {
	client := net.TCPAddrFromAddrPort(netip.MustParseAddrPort("10.0.0.5:80"))
	got := logged(t, "json", "draining", "signal", os.Signal(syscall.SIGTERM), "timeout", 30*time.Second, "client", client, "cut", 3)
	if !strings.HasSuffix(got, `"msg":"draining","signal":"terminated","timeout":"30s","client":"10.0.0.5:80","cut":3}`+"\n") {
		t.Errorf("it is logged as %s", got)
	}
}

// What is in etcd was written by others, and JSON may be read on a terminal as well.
func TestJSONIsLegible(t *testing.T) {
	const odd = "é世\u00a0\x1b[31m\u009b31m\u0085\u2028\u202e\x7f\n\U000e0001\U0001f600"
	var whole, line bytes.Buffer
	if err := errors.Join(writeJSON(&whole, map[string]string{"v": odd}), writeLine(&line, map[string]string{"v": odd})); err != nil {
		t.Fatal(err)
	}
	for what, text := range map[string]string{"a document": whole.String(), "a line": line.String(), "a log": logged(t, "json", odd, "v", odd)} {
		var got struct{ V string }
		if err := json.Unmarshal([]byte(text), &got); err != nil || got.V != odd {
			t.Errorf("%s says %q, %v, want %q", what, got.V, err, odd)
		}
		if !isLegible(strings.ReplaceAll(text, "\n", "")) || !strings.Contains(text, "é世") {
			t.Errorf("%s is %q, want nothing that a terminal obeys, and what it shows as it is", what, text)
		}
	}
}

// etcd knows nothing of a fixed list: that nothing is under its prefix says nothing.
func TestResolveOfAFixedListDoesNotAskEtcd(t *testing.T) {
	file := filepath.Join(t.TempDir(), "r.yaml")
	if err := os.WriteFile(file, []byte("services: {a: {listen: 17101, endpoints: [\"10.0.0.7:5432\", \"10.0.0.8:5432;weight=2;zone=z\"]}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	said := []string{"resolve", "a", "-c", file, "--etcd", "127.0.0.1:1"}
	code, out, complaint := says(t, said...)
	want := "ADDRESS        WEIGHT  ZONE  VERSION\n10.0.0.7:5432  1       -     -\n10.0.0.8:5432  2       z     -\na has this fixed list in " + file + "; etcd was not asked\n"
	if code != 0 || out != want {
		t.Errorf("exit code %d, %q, %q, want\n%s", code, out, complaint, want)
	}
	var found resolution
	if _, out, _ := says(t, append(said, "-o", "json")...); json.Unmarshal([]byte(out), &found) != nil || found.Source != "static" || len(found.Endpoints) != 2 || found.Endpoints[1].Weight != 2 {
		t.Errorf("JSON says %s, want both", out)
	}
	if code, _, complaint := says(t, append(said, "--watch")...); code != 2 || !strings.Contains(complaint, "a has a fixed list in "+file) {
		t.Errorf("watched: exit code %d, %q, want 2", code, complaint)
	}
}

func TestResolveWantsAName(t *testing.T) {
	if code, out, complaint := says(t, "resolve", "", "--etcd", "127.0.0.1:1"); code != 2 || !strings.Contains(complaint, "resolve wants a name") {
		t.Errorf("exit code %d, %q, %q; want 2, not all that is under the prefix", code, out, complaint)
	}
}

func TestResolveSaysSoonThatEtcdRefusesConnections(t *testing.T) {
	began := time.Now()
	code, _, complaint := says(t, "resolve", "orders", "--etcd", freeAddress(t))
	if took := time.Since(began); code != 1 || !strings.Contains(complaint, "connection refused") || took > 3*time.Second {
		t.Errorf("exit code %d after %s: %s; want 1 and the reason after a second", code, took, complaint)
	}
	began = time.Now()
	code, _, complaint = says(t, "resolve", "orders", "--etcd", freeAddress(t), "--timeout", "1500ms")
	if took := time.Since(began); code != 1 || !strings.Contains(complaint, "connection refused") || took < 1400*time.Millisecond {
		t.Errorf("exit code %d after %s: %s; want 1 and the reason after the timeout that was asked for", code, took, complaint)
	}
}

func TestResolveWatchSaysWhyAKeyIsSkipped(t *testing.T) {
	endpoint, c := startEtcd(t)
	ctx, cancel := context.WithCancel(t.Context())
	out, ended := &output{}, make(chan struct{})
	go func() {
		defer close(ended)
		_, _, _ = saysUntil(ctx, t, out, "resolve", "raw", "--watch", "--etcd", endpoint)
	}()
	defer func() { cancel(); <-ended }()
	for _, step := range []struct{ key, value, want string }{
		{"1", "127.0.0.1:8101", "+ 127.0.0.1:8101"},
		{"2", "junk", "! service/raw/2 is skipped: auto: read as plain"},
		{"1", "junk", "! service/raw/1 has gone bad, what it said before stands: auto"},
		{"2", "127.0.0.1:8102", "+ 127.0.0.1:8102"},
	} {
		put(t, c, "service/raw/"+step.key, step.value)
		eventually(t, "never said: "+step.want, func() bool { return strings.Contains(out.String(), step.want) })
	}
	remove(t, c, "service/raw/", clientv3.WithPrefix())
	eventually(t, "never said that they are gone", func() bool { return strings.Count(out.String(), " - ") == 2 })
}

func TestVerbsAboutWhatIsNotThereSaySo(t *testing.T) {
	a, _ := echo(t)
	p := runPortside(t, "", "orders="+freeAddress(t)+",endpoints="+a)
	eventually(t, "no discovery event is remembered", func() bool {
		events, _ := adminClient{"http://" + p.admin}.pastEvents(t.Context())
		for _, e := range events {
			if e.Kind == "discovery" {
				return true
			}
		}
		return false
	})
	for _, c := range []struct{ line, want string }{
		{"explain orders 127.0.0.1:9", "orders has no backend 127.0.0.1:9 and remembers none"},
		{"drain orders 127.0.0.1:9", "service orders has no backend 127.0.0.1:9"},
		{"undrain nope 127.0.0.1:9", "no service is named nope, so it has no backend 127.0.0.1:9"},
		{"forget orders " + a, a + " of service orders is not a suspect: it is active"},
	} {
		code, out, complaint := says(t, append(strings.Fields(c.line), "--admin", p.admin)...)
		if code != 1 || !strings.HasPrefix(complaint, "portside: "+c.want) {
			t.Errorf("%s: exit code %d, %q %q; want 1 and %q", c.line, code, complaint, out, c.want)
		}
	}
	if code, out, complaint := says(t, "explain", "orders", a, "--admin", p.admin); code != 0 || !strings.Contains(out, a+" is active") {
		t.Errorf("explain of what is there: exit code %d, %q %q", code, out, complaint)
	}

	var top overview
	if _, out, complaint := says(t, "top", "-o", "json", "--admin", p.admin); json.Unmarshal([]byte(out), &top) != nil || len(top.Services) != 1 || strings.Count(out, "\n") != 1 {
		t.Errorf("top -o json says %q %q, want one line with the service", out, complaint)
	}
	var drills []drilled
	if _, out, complaint := says(t, "drill", "-o", "json", "--admin", p.admin); json.Unmarshal([]byte(out), &drills) != nil || len(drills) != 1 || drills[0].Service != "orders" {
		t.Errorf("drill -o json says %q %q, want a list with the service", out, complaint)
	}
	var one drilled
	if _, out, complaint := says(t, "drill", "orders", "-o", "json", "--admin", p.admin); json.Unmarshal([]byte(out), &one) != nil || one.Note == "" {
		t.Errorf("drill orders -o json says %q %q, want the service", out, complaint)
	}
}

// An event may be long, such as a configuration refused for hundreds of faults: those
// behind it are told as well.
func TestExplainBearsALongEvent(t *testing.T) {
	a, _ := echo(t)
	local := freeAddress(t)
	const format = "services:\n  orders: {listen: %q, endpoints: [%q]}\n"
	c := newConfigured(t, format, local, a)
	p := runPortside(t, "", "-c", c.name)
	c.write(format+"%s", local, a, strings.Repeat("  \"a b\": {listen: 1, unknown: 1}\n", 800))
	if code, _ := askReload(t, p.admin); code != 422 {
		t.Fatalf("the reload is answered with %d, want 422", code)
	}
	if code, out, complaint := says(t, "drain", "orders", a, "--admin", p.admin); code != 0 {
		t.Fatal(out, complaint)
	}
	code, out, complaint := says(t, "explain", "orders", "--admin", p.admin)
	if code != 0 || !strings.Contains(out, "drained by hand") {
		t.Errorf("exit code %d, %q, want the drain among the events of\n%s", code, complaint, out)
	}
	events, err := adminClient{"http://" + p.admin}.pastEvents(t.Context())
	long := slices.IndexFunc(events, func(e admin.Event) bool { return len(e.Reason) > 64<<10 })
	drained := slices.IndexFunc(events, func(e admin.Event) bool { return e.To == "draining" })
	if err != nil || long < 0 || drained < long { // that of the discovery comes when it will
		t.Errorf("of %d events (%v) the %d. is a long one and the %d. the drain, want one after the other", len(events), err, long+1, drained+1)
	}
}

// Where the log is JSON, so is its last line.
func TestWhatEndsAProcessIsTheLogsLastLine(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
		json bool
	}{
		{[]string{"run", "a=1,balance=x"}, "services.a.balance", true},
		{[]string{"run"}, "nothing to run", true},
		{[]string{"check", "a=1,balance=x"}, "services.a.balance", false},
	} {
		code, _, complaint := says(t, append(c.args, "--log-format", "json")...)
		var line struct {
			Level, Msg string
			Code       int `json:"exit_code"`
		}
		err := json.Unmarshal([]byte(complaint), &line)
		if code != 2 || !strings.Contains(complaint, c.want) || (err == nil) != c.json || c.json && (line.Level != "ERROR" || line.Code != 2) {
			t.Errorf("%s: exit code %d, %s", c.args, code, complaint)
		}
	}
}
