package config

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// full says every key that has something to say.
const full = `
etcd: {endpoints: ["http://[::1]:2379", "http://b:1"], prefix: " odd: prefix", username: "null", password: "p$$w\"d"}
admin: off
drain: {delay: 1.5s, timeout: 0s}
state_dir: "/var/lib/$${x}"
services:
  a/b.c:
    listen: "*:0"
    protocol: http
    prefix: svc/
    format: kratos+grpc
    default_port: 80
    balance: ewma
    timeouts: {connect: 1ms, idle: 1h30m, head: 1h, response: 90s}
    retry: {attempts: 1, budget: 33.3%}
    eject: off
    guard: {max_leave: 0.123456789, window: 1s, suspect_max: 2s, probe_every: 3s}
    on_remove: close
    remove_timeout: 1s
    health: {grpc: "", interval: 500ms, rise: 1, fall: 1}
    forwarded: replace
    max_idle: 0
    access_log: {file: "./log file", format: common, sample: 0.01, errors_only: true}
    limits: {head: 1025B, fields: 1}
  b: {listen: ":0", default_port: 53, endpoints: ["[::1]", "h:1;weight=0.5;zone=a b;version=\"1\""], guard: off, health: {tcp: {}}}
  c: {listen: 0, protocol: http, access_log: stdout}
register:
  r:
    address: "h:1"
    key: k
    format: etcd
    ttl: 1500ms
    leave_delay: 0s
    stop_timeout: 1s
    weight: 0.1
    zone: "ü\u2028"
    metadata: {"": "", "<<": "a", "k y": "$$", n: 1, t: true, "~": "- x", "a#b": "# no"}
    check: {exec: [sh, -c, "exit 0"], interval: 1s, timeout: 1s, rise: 2, fall: 2, grace: 1m}
  s: {address: "h:2", check: off}
  t: {address: "h:3", check: {tcp: "g:1"}}
  u: {address: "h:4", check: {grpc: x}}
`

func TestEffectiveLoadsToTheSame(t *testing.T) {
	sample, err := os.ReadFile("testdata/sample.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"defaults": "admin: 7070\n",
		"sample":   strings.Replace(string(sample), "  tls:", "  # tls:", 1),
		"full":     full,
		"embedded": "etcd: {endpoints: embedded}\nservices: {a: {listen: 1}}\n",
	} {
		t.Run(name, func(t *testing.T) {
			o := testOptions(text)
			o.Env = variables{"ETCD_PASSWORD": "p$w"}.lookup
			first := load(t, o)
			effective := first.Effective()

			o.Stdin = strings.NewReader(string(effective))
			o.Env = variables{}.lookup
			if first.Etcd.Password != "" {
				o.Env = variables{passwordVariable: first.Etcd.Password}.lookup
			}
			second, err := Load(o)
			if err != nil {
				t.Fatalf("it does not load:\n%v\n%s", err, effective)
			}
			if diff := cmp.Diff(first, second); diff != "" {
				t.Errorf("it loads to something else (-first +second):\n%s\n%s", diff, effective)
			}
			if again := second.Effective(); string(again) != string(effective) {
				t.Errorf("it is written another way the second time:\n%s", cmp.Diff(string(effective), string(again)))
			}
		})
	}
}

func TestEffectiveKeepsThePasswordToItself(t *testing.T) {
	c := load(t, testOptions("etcd: {username: a, password: hunter2}\n"))
	text := string(c.Effective())
	if strings.Contains(text, "hunter2") {
		t.Errorf("the password is shown:\n%s", text)
	}
	if !strings.Contains(text, "password: ${PORTSIDE_ETCD_PASSWORD}\n") {
		t.Errorf("no variable stands for the password:\n%s", text)
	}
}

func TestEffectiveShowsEveryDefault(t *testing.T) {
	c := load(t, Options{Args: []string{"a=1,protocol=http"}})
	got := string(c.Effective())
	want, err := os.ReadFile("testdata/defaults.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("the defaults have changed; contract and documentation name them (-want +got):\n%s", diff)
	}
}
