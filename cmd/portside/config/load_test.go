package config

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"portside/discovery"
	"portside/pool"
)

func load(t *testing.T, o Options) *Config {
	t.Helper()
	if o.Env == nil {
		o.Env = variables{}.lookup
	}
	if o.Search == nil {
		o.Search = []string{}
	}
	c, err := Load(o)
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	return c
}

func TestNothingSaidIsTheDefaults(t *testing.T) {
	c := load(t, Options{})
	want := defaults()
	if diff := cmp.Diff(&want, c); diff != "" {
		t.Errorf("no file, no arguments (-want +got):\n%s", diff)
	}
	if c.NeedsEtcd() {
		t.Error("NeedsEtcd = true with nothing to look up")
	}
}

func TestFlagBeatsEnvironmentBeatsFileBeatsDefault(t *testing.T) {
	const file = "etcd: {endpoints: [\"http://file:1\"], prefix: file/}\nadmin: 1\nstate_dir: /file\ndrain: {timeout: 1s, delay: 1s}\n"
	env := variables{
		"PORTSIDE_ETCD": "http://env:1, http://env:2", "PORTSIDE_ADMIN": "2", "PORTSIDE_STATE_DIR": "/env",
		"PORTSIDE_DRAIN_TIMEOUT": "2s", "PORTSIDE_ETCD_USERNAME": "u", "PORTSIDE_ETCD_PASSWORD": "pa$$",
	}
	c := load(t, Options{
		Path: "-", Stdin: strings.NewReader(file), Env: env.lookup,
		Flags: map[string]string{"etcd": "flag:1", "admin": "", "log-level": "debug"},
		Set:   []Setting{{"flag --state", []string{"state_dir"}, "/set"}},
	})
	got := map[string]any{
		"endpoints": c.Etcd.Endpoints, "prefix": c.Etcd.Prefix, "admin": c.Admin, "state": c.StateDir,
		"timeout": c.Drain.Timeout, "delay": c.Drain.Delay, "password": c.Etcd.Password, "source": c.Source,
	}
	want := map[string]any{
		"endpoints": []string{"http://flag:1"}, "prefix": "file/", "admin": "", "state": "/set",
		"timeout": 2 * time.Second, "delay": time.Second, "password": "pa$$", "source": "-",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestEmptyVariableIsUnsetUnlessEmptyMeansSomething(t *testing.T) {
	env := variables{"PORTSIDE_ETCD": "", "PORTSIDE_ADMIN": "", "PORTSIDE_STATE_DIR": "", "PORTSIDE_CONFIG": ""}
	c := load(t, Options{Env: env.lookup})
	if want := newEtcd().Endpoints; !cmp.Equal(c.Etcd.Endpoints, want) {
		t.Errorf("endpoints = %q with an empty PORTSIDE_ETCD, want %q", c.Etcd.Endpoints, want)
	}
	if c.Admin != "" {
		t.Errorf("admin = %q with an empty PORTSIDE_ADMIN, want it off", c.Admin)
	}
}

func TestFileIsSearchedInOrder(t *testing.T) {
	dir := t.TempDir()
	first, second := filepath.Join(dir, "first.yaml"), write(t, dir, "second.yaml", "admin: 2\n")
	named := write(t, dir, "named.yaml", "admin: 3\n")
	search := []string{first, second}

	if c := load(t, Options{Search: search}); c.Source != second || c.Admin != "127.0.0.1:2" {
		t.Errorf("read %q, want the second, since the first does not exist", c.Source)
	}
	write(t, dir, "first.yaml", "admin: 1\n")
	if c := load(t, Options{Search: search}); c.Source != first {
		t.Errorf("read %q, want the first", c.Source)
	}
	env := variables{"PORTSIDE_CONFIG": named}
	if c := load(t, Options{Search: search, Env: env.lookup}); c.Source != named {
		t.Errorf("read %q, want $PORTSIDE_CONFIG", c.Source)
	}
	if c := load(t, Options{Path: second, Env: env.lookup}); c.Source != second {
		t.Errorf("read %q, want the one that -c names", c.Source)
	}
}

func TestNamedFileMustExist(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "none.yaml")
	for _, o := range []Options{
		{Path: missing},
		{Path: filepath.Dir(missing)},
		{Env: variables{"PORTSIDE_CONFIG": missing}.lookup},
	} {
		_, err := Load(o)
		if err == nil || !strings.Contains(err.Error(), "cannot be read") {
			t.Errorf("Load = %v, want a fault that says the file cannot be read", err)
		}
	}
}

func TestPathsAreRelativeToTheFile(t *testing.T) {
	dir := t.TempDir()
	writeKeyPair(t, dir)
	file := write(t, dir, "portside.yaml", "etcd: {endpoints: [\"https://a:1\"], tls: {ca: ./ca.pem}}\nstate_dir: state\n")
	c := load(t, Options{Path: file})
	if want := filepath.Join(dir, "ca.pem"); c.Etcd.TLS.CA != want {
		t.Errorf("ca = %q, want %q beside the file", c.Etcd.TLS.CA, want)
	}
	if want := filepath.Join(dir, "state"); c.StateDir != want {
		t.Errorf("state_dir = %q, want %q", c.StateDir, want)
	}
	for program, want := range map[string]string{
		"./check.sh": filepath.Join(dir, "check.sh"), "bin/../check.sh": filepath.Join(dir, "check.sh"),
		"/bin/true": "/bin/true", "pg_isready": "pg_isready",
	} {
		exec := write(t, dir, "exec.yaml", "register: {a: {address: \"h:1\", check: {exec: ["+program+", ./argument]}}}\n")
		if got := load(t, Options{Path: exec}).Register[0].Check.Command; !slices.Equal(got, []string{want, "./argument"}) {
			t.Errorf("exec: [%s, ./argument] runs %q, want %q and the argument as it is", program, got, want)
		}
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	c = load(t, Options{Path: file, Flags: map[string]string{"state-dir": "mine"}})
	if want := filepath.Join(here, "mine"); c.StateDir != want {
		t.Errorf("--state-dir = %q, want %q: a flag is relative to where it was typed", c.StateDir, want)
	}
}

func TestCertificateMustMatchItsKey(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	writeKeyPair(t, dir)
	writeKeyPair(t, other)
	tls := "{cert: client.pem, key: " + filepath.Join(other, "client-key.pem") + "}"
	file := write(t, dir, "portside.yaml", "etcd:\n  endpoints: [\"https://a:1\"]\n  tls: "+tls+"\n")
	_, err := Load(Options{Path: file, Env: variables{}.lookup})
	if err == nil || !strings.Contains(err.Error(), "portside.yaml:3:15: etcd.tls.cert: makes no pair") {
		t.Errorf("Load = %v, want a fault at the certificate", err)
	}
}

func TestFixedListsNeedNoEtcd(t *testing.T) {
	c := load(t, Options{Args: []string{"a=1,endpoints=h:1"}})
	if c.NeedsEtcd() {
		t.Error("NeedsEtcd = true for a fixed list: it would contact an etcd nobody runs")
	}
	c = load(t, Options{Args: []string{"a=1,endpoints=h:1", "b=2"}})
	if !c.NeedsEtcd() {
		t.Error("NeedsEtcd = false, but b is in etcd")
	}
	c = load(t, Options{Set: []Setting{{"argument", []string{"register", "a", "address"}, "h:1"}}})
	if !c.NeedsEtcd() {
		t.Error("NeedsEtcd = false, but a is to be registered")
	}
}

func TestArgumentIsAService(t *testing.T) {
	c := load(t, Options{Args: []string{
		"test/hello=7001",
		"b=:7002,protocol=http,balance=least_conn,timeouts.connect=2s,endpoints=10.0.0.1:80+10.0.0.2:80;weight=2,health.tcp=,guard=off,access_log=stdout",
	}})
	hello := newService("test/hello")
	hello.Listen, hello.Prefix, hello.HTTP = "127.0.0.1:7001", "service/test/hello/", HTTP{}

	b := newService("b")
	b.Listen, b.Protocol, b.Format = ":7002", ProtocolHTTP, ""
	b.Pool.Balance, b.Pool.Guard = pool.LeastConn, pool.Guard{Off: true}
	b.Timeouts.Connect = 2 * time.Second
	b.Endpoints = []discovery.Endpoint{{Address: "10.0.0.1:80", Weight: 1}, {Address: "10.0.0.2:80", Weight: 2}}
	b.Health = &Check{Kind: CheckTCP, Interval: 5 * time.Second, Timeout: time.Second, Rise: 2, Fall: 3}
	b.HTTP.AccessLog = &AccessLog{File: "stdout", Format: LogJSON, Sample: 1}
	if diff := cmp.Diff([]Service{hello, b}, c.Services); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestArgumentChangesOnlyTheKeysItNames(t *testing.T) {
	const file = "services:\n  a: {listen: 1, balance: ewma, timeouts: {connect: 2s, idle: 3s}, guard: off, health: {http: /h}}\n  b: {listen: 2}\n"
	c := load(t, Options{
		Path: "-", Stdin: strings.NewReader(file),
		Args: []string{"a=,timeouts.connect=9s,guard.window=7s,health=off", "b=3", "c=4"},
	})
	a := newService("a")
	a.Listen, a.Prefix, a.HTTP = "127.0.0.1:1", "service/a/", HTTP{}
	a.Pool.Balance, a.Pool.Guard.Window = pool.EWMA, 7*time.Second
	a.Timeouts.Connect, a.Timeouts.Idle = 9*time.Second, 3*time.Second
	if diff := cmp.Diff(a, c.Services[0]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := []string{c.Services[1].Listen, c.Services[2].Name}; !cmp.Equal(got, []string{"127.0.0.1:3", "c"}) {
		t.Errorf("b listens on and the third service is %q, want the argument's port and c", got)
	}
}

func TestASectionThatMayBeOffIsOnOnlyWhereItSaysSo(t *testing.T) {
	c := load(t, Options{
		Path: "-", Stdin: strings.NewReader("etcd: {endpoints: [\"https://a:1\"], tls: {}}\nservices: {a: {listen: 1, protocol: http, access_log: {}, eject: {}, timeouts: }}\n"),
		Args: []string{"a=,guard=off"},
	})
	a := c.Services[0]
	if c.Etcd.TLS == nil || a.HTTP.AccessLog == nil || a.Pool.Eject != newEject() || !a.Pool.Guard.Off {
		t.Errorf("tls %v, access_log %v, eject %v; want {} to be all of the defaults", c.Etcd.TLS, a.HTTP.AccessLog, a.Pool.Eject)
	}
	for _, arg := range []string{"a=1,protocol=http,access_log=", "a=1,guard=", "a=1,health="} {
		_, err := Load(Options{Search: []string{}, Env: variables{}.lookup, Args: []string{arg}})
		if err == nil || !strings.Contains(err.Error(), "has no value; write off, or leave the key out") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want one fault: it has no value", arg, err)
		}
	}
}

func TestTwoArgumentsOfOneServiceAreAFault(t *testing.T) {
	_, err := Load(Options{Search: []string{}, Env: variables{}.lookup, Args: []string{"foo=7001", "bar=7003", "foo=7002,balance=ewma"}})
	want := `argument "foo=7002,balance=ewma": services.foo: is also what the argument "foo=7001" is about; `
	if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n") {
		t.Errorf("Load = %v\nwant one fault that names both: %s", err, want)
	}
}

func TestAnArgumentThatIsAFileIsToldHowToBeRead(t *testing.T) {
	there := write(t, t.TempDir(), "portside.conf", "admin: 1\n")
	for arg, hint := range map[string]string{
		"f.yaml": "to read the file, write -c f.yaml", "dir/F.YML": "to read the file, write -c dir/F.YML",
		there: "to read the file, write -c " + there, there + ".absent": "write orders=7001", filepath.Dir(there): "write orders=7001", "": "write orders=7001",
	} {
		_, err := Load(Options{Search: []string{}, Env: variables{}.lookup, Args: []string{arg}})
		if err == nil || !strings.Contains(err.Error(), "is no NAME=LISTEN; "+hint) {
			t.Errorf("%q: %v, want the hint: %s", arg, err, hint)
		}
	}
}

func TestMetadataAddsUp(t *testing.T) {
	of := func(key, value string) Setting {
		return Setting{"flag --meta " + key + "=" + value, []string{"register", "b", "metadata", key}, value}
	}
	c := load(t, Options{
		Path: "-", Stdin: strings.NewReader("register: {b: {address: \"h:1\", metadata: {a: file, z: file}}}\n"),
		Set: []Setting{of("a", "1"), of("b", "2"), of("c", "")},
	})
	if diff := cmp.Diff(map[string]string{"a": "1", "b": "2", "c": "", "z": "file"}, c.Register[0].Metadata); diff != "" {
		t.Errorf("the flags' keys win, and the file's others stay:\n%s", diff)
	}
}

// What cannot be registered is a fault like any other: in its place, beside the
// others, in their order.
func TestWhatAFormatHasNoRoomForIsAFaultInItsPlace(t *testing.T) {
	const file = `register:
  b:
    address: 127.0.0.1:8101
    weight: 3
  c: {address: "127.0.0.1:8102", zone: z, weight: 3}
  d: {address: "auto:8103", ttl: 5}
  e: {address: "auto:80", format: nope}
  f: {address: "f:80"}
`
	o := testOptions(file)
	o.Fits = func(reg Registration) error {
		if reg.Weight != 1 || reg.Zone != "" || reg.Format == "nope" {
			return errors.New("no room")
		}
		return nil
	}
	o.Resolve = func(address string) (string, error) {
		if address == "auto:8103" {
			return "", errors.New("no interface")
		}
		return strings.Replace(address, "auto", "10.0.0.1", 1), nil
	}
	_, err := Load(o)
	faults, _ := errors.AsType[Faults](err)
	want := []string{
		"4:13: register.b.weight: no room; ",
		"5:3: register.c: no room; ",
		"6:16: register.d.address: no interface; ",
		"6:34: register.d.ttl: a duration without a unit; write 5s",
		"7:35: register.e.format: unknown format \"nope\"; one of plain, etcd",
	}
	got := make([]string, len(faults))
	for i, f := range faults {
		got[i] = one(f)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestResolvedAddressStandsInTheKeyAndTheCheck(t *testing.T) {
	c := load(t, Options{
		Path: "-", Stdin: strings.NewReader("register: {b: {address: \"auto:80\"}, c: {address: \"auto:81\", key: x/auto:81}}\n"),
		Resolve: func(address string) (string, error) { return strings.Replace(address, "auto", "10.0.0.1", 1), nil },
	})
	b, other := c.Register[0], c.Register[1]
	if b.Address != "10.0.0.1:80" || b.Key != "service/b/10.0.0.1:80" || b.Check.Address != "10.0.0.1:80" || other.Key != "x/10.0.0.1:81" {
		t.Errorf("%s under %s, checked at %s, and %s; want 10.0.0.1 in all", b.Address, b.Key, b.Check.Address, other.Key)
	}
}

// What stands in auto's place comes from the environment: it is as wrong there as in
// the file.
func TestResolvedAddressIsHeldToWhatAWrittenOneIs(t *testing.T) {
	for pod, want := range map[string]string{
		"10.0.0.5": "10.0.0.5:80", "2001:DB8::0:5": "[2001:db8::5]:80",
		"0.0.0.0": "", "::": "", "nonsense": "", "10.0.0.1:9": "", "[::1]": "", "10.0.0.5 ": "", "10.0.0.5,fd00::5": "", "auto": "",
	} {
		o := testOptions("register: {b: {address: \"auto:80\"}}\n")
		o.Env = variables{"POD_IP": pod}.lookup
		o.Resolve = func(string) (string, error) { return net.JoinHostPort(pod, "80"), nil }
		c, err := Load(o)
		if want != "" {
			if err != nil || c.Register[0].Address != want {
				t.Errorf("POD_IP %q: %v, want %s", pod, err, want)
			}
			continue
		}
		if fault := fmt.Sprintf("1:25: register.b.address: POD_IP is %q, which is no IP address", pod); err == nil || !strings.Contains(err.Error(), fault) || strings.Contains(err.Error(), "\n") {
			t.Errorf("POD_IP %q: %v, want one fault: %s", pod, err, fault)
		}
	}
}

func TestFaultsOutsideAFileNameTheirOrigin(t *testing.T) {
	_, err := Load(Options{
		Search: []string{},
		Env:    variables{"PORTSIDE_ETCD": "ftp://a:1", "PORTSIDE_DRAIN_TIMEOUT": "5"}.lookup,
		Flags:  map[string]string{"admin": "x"},
		Args:   []string{"orders", "orders=7001,balance=rr", "b=7001,balance", "c=3,timeouts.idle=1,timeouts.idle=2s", "../d=4", "e=5,endpoints="},
	})
	want := []string{
		`environment PORTSIDE_ETCD: etcd.endpoints.0: a URL that is neither http nor https but "ftp"`,
		"environment PORTSIDE_DRAIN_TIMEOUT: drain.timeout: a duration without a unit; write 5s",
		`flag --admin: admin: "x" has no port`,
		`argument "orders": is no NAME=LISTEN`,
		`argument "orders=7001,balance=rr": services.orders.balance: unknown balance "rr"; one of round_robin`,
		`argument "b=7001,balance": services.b: "balance" is no key=value`,
		`argument "b=7001,balance": services.b.listen: 127.0.0.1:7001 is taken by services.orders.listen`,
		"argument \"c=3,timeouts.idle=1,timeouts.idle=2s\": services.c.timeouts.idle: a duration without a unit",
		"argument \"c=3,timeouts.idle=1,timeouts.idle=2s\": services.c: duplicate key `timeouts.idle`",
		`argument "../d=4": services."../d": name "../d" has a part that is only dots`,
		`argument "e=5,endpoints=": services.e.endpoints: is an empty list`,
	}
	if err == nil {
		t.Fatal("Load = nil, want faults")
	}
	got := strings.Split(err.Error(), "\n")
	for _, w := range want {
		found := false
		for _, line := range got {
			found = found || strings.HasPrefix(line, w)
		}
		if !found {
			t.Errorf("no fault says\n%s", w)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d faults, want %d:\n%v", len(got), len(want), err)
	}
}

func TestAliasesAndMergeKeysStandForWhatTheyName(t *testing.T) {
	const file = `
services:
  a: &base
    listen: 1
    balance: ewma
    timeouts: &fast {connect: 2s}
  b:
    <<: *base
    listen: 2
  c: {<<: [*base], listen: 3, balance: hash, timeouts: *fast}
`
	c := load(t, Options{Path: "-", Stdin: strings.NewReader(file)})
	for i, want := range []struct {
		listen  string
		balance pool.Balance
	}{{"127.0.0.1:1", pool.EWMA}, {"127.0.0.1:2", pool.EWMA}, {"127.0.0.1:3", pool.Hash}} {
		s := c.Services[i]
		if s.Listen != want.listen || s.Pool.Balance != want.balance || s.Timeouts.Connect != 2*time.Second {
			t.Errorf("%s = %s, %s, %s; want %s, %s, 2s", s.Name, s.Listen, s.Pool.Balance, s.Timeouts.Connect, want.listen, want.balance)
		}
	}
}

// A few lines that stand for a billion values must cost neither memory nor time.
func TestAliasesCannotMultiplyWithoutBound(t *testing.T) {
	var b strings.Builder
	b.WriteString("services:\n  a: &a\n    listen: 1\n    endpoints: [" + strings.Repeat("h:1,", 2000) + "h:1]\n")
	for i := range 500 {
		fmt.Fprintf(&b, "  s%d: *a\n", i)
	}
	_, err := Load(Options{Path: "-", Stdin: strings.NewReader(b.String()), Env: variables{}.lookup})
	if err == nil || !strings.Contains(err.Error(), "once aliases and merge keys are followed") {
		t.Error("500 services of 2,000 endpoints each from 502 lines were read, want a fault")
	}
}

func TestByteOrderMarkAndCarriageReturnsAreNoMatter(t *testing.T) {
	c := load(t, Options{Path: "-", Stdin: strings.NewReader("\ufeffadmin: 1\r\nstate_dir: /x\r\n")})
	if c.Admin != "127.0.0.1:1" || c.StateDir != "/x" {
		t.Errorf("read admin %q and state_dir %q, want 127.0.0.1:1 and /x", c.Admin, c.StateDir)
	}
}

func TestEqualSeesEveryChange(t *testing.T) {
	read := func(extra string) *Config {
		return load(t, Options{Args: []string{"a=1" + extra}, Set: []Setting{{"-", []string{"register", "r", "address"}, "h:1"}}})
	}
	one, same, other := read(""), read(""), read(",timeouts.idle=1s")
	if !one.Services[0].Equal(same.Services[0]) || !one.Register[0].Equal(same.Register[0]) {
		t.Error("two loads of one text differ: every reload would restart every service")
	}
	if one.Services[0].Equal(other.Services[0]) {
		t.Error("a changed timeout is not seen")
	}
}

// Tools that go by YAML 1.1 write off as false when they have read it.
func TestFalseIsOff(t *testing.T) {
	for _, off := range []string{"off", "false", "no"} {
		text := strings.ReplaceAll(`etcd: {tls: OFF}
services: {a: {listen: 1, protocol: http, guard: OFF, eject: OFF, health: OFF, access_log: OFF, forwarded: OFF}}
register: {a: {address: "h:1", check: OFF}}
`, "OFF", off)
		c := load(t, Options{Path: write(t, t.TempDir(), "portside.yaml", text)})
		s := c.Services[0]
		if c.Etcd.TLS != nil || !s.Pool.Guard.Off || s.Pool.Eject.Consecutive >= 0 || s.Health != nil || s.HTTP.AccessLog != nil || s.HTTP.Forwarded != "off" || c.Register[0].Check != nil {
			t.Errorf("%s is not taken for off everywhere:\n%s", off, c.Effective())
		}
	}
}
