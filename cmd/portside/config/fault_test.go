package config

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// faultCases are files and the faults of each: "line:column: path: part of the
// message; part of the hint", all of them, in order.
var faultCases = []struct {
	name, yaml string
	want       []string
}{
	// The file itself.
	{"empty", "", []string{"0:0: : is empty; it needs at least"}},
	{"only comments", "# nothing\n", []string{"0:0: : is empty"}},
	{"only a null", "~\n", []string{"0:0: : is empty"}},
	{"a tab", "services:\n\torders: {}\n", []string{"2:1: : a tab; YAML is indented with spaces"}},
	{"NUL", "admin: \"a\x00\"\n", []string{"1:10: : control character (0x00)"}},
	{"not UTF-8", "admin: 1\nstate_dir: \xff\n", []string{"2:12: : not UTF-8; save it as UTF-8"}},
	{"UTF-16", "\xff\xfea\x00", []string{"1:1: : UTF-16"}},
	{"two documents", "admin: 7070\n---\nadmin: 7071\n", []string{"2:1: : a second document"}},
	{"a document after the end of one", "admin: 7070\n...\nadmin: 7071\n", []string{"3:1: : a second document"}},
	{"two keys after the end of one", "admin: 7070\n...\nadmin: 7071\nstate_dir: x\n", []string{"3:1: : a second document"}},
	{"a list", "- a\n", []string{"1:1: : wants a table of keys, has a list; its keys are etcd, admin"}},
	{"text", "hello\n", []string{"1:1: : wants a table of keys, has a plain value"}},
	{"unclosed bracket", "admin: [7070\n", []string{"1:8: : not YAML"}},
	{"unclosed quote", "admin: \"7070\n", []string{"1:8: : not YAML"}},
	{"a colon too many", "admin: a: b\n", []string{"1:8: : not YAML; either the indentation"}},
	{"larger than 1 MiB", "#" + strings.Repeat(" ", maxFile), []string{"0:0: : larger than 1 MiB"}},
	{"brackets in brackets", "admin: " + strings.Repeat("[", 2000), []string{"1:108: : more than 100 lists and tables in one another"}},
	{"braces in braces", "admin: " + strings.Repeat("{a: ", 2000), []string{"1:408: : more than 100 lists and tables in one another"}},
	{"dashes behind dashes", "admin:\n  " + strings.Repeat("- ", 2000), []string{"2:203: : more than 100 lists and tables in one another"}},
	{"brackets that are closed", "admin: [" + strings.Repeat("[],", 200) + "]\n", []string{"1:8: admin: wants a plain value, has a list"}},
	{"a variable in braces without quotes", "etcd: {username: app, password: ${PW}}\n", []string{
		"1:33: : not YAML: a variable without quotes; in {…} and […] write \"${NAME}\", in quotes",
	}},
	{"a variable in brackets without quotes", "etcd: {endpoints: [http://${A}:1]}\n", []string{"1:27: : not YAML: a variable without quotes"}},
	{"a variable with a default in braces without quotes", "admin: 1\nservices:\n  a: {listen: 1, zone: \"${A}\", # ${B}\n    balance: ${C:-ewma} }\n", []string{
		"4:14: : not YAML: a variable without quotes",
	}},
	{"variables in quotes are not at fault", "etcd: {password: \"${PW}\"\n", []string{"1:7: : not YAML"}},
	{"after a text over two lines that end in CR LF", "state_dir: \"a\r\n  b\"\r\nfoo: 1\r\n", []string{"3:1: foo: unknown key"}},
	{"after a block of lines that end in CR LF", "state_dir: >-\r\n  a\r\n  b\r\n\r\nfoo: 1\r\n", []string{"5:1: foo: unknown key"}},
	{"not UTF-8 in lines that end in CR", "admin: 1\rstate_dir: \xff\r", []string{"2:12: : not UTF-8"}},
	{"a key with a question mark", "? admin : 7070\n", []string{"1:1: : a key that begins with ?; write KEY: VALUE"}},
	{"a key with a question mark in braces", "drain: {? delay : 1s, ? timeout : 2s}\n", []string{
		"1:9: drain: a key that begins with ?",
		"1:23: drain: a key that begins with ?",
	}},
	{"a tag", "admin: !!int 7070\n", []string{"1:8: admin: a tag; leave it out"}},
	{"no such anchor", "admin: *a\n", []string{"1:8: admin: no anchor &a before this"}},
	{"an anchor within itself", "etcd: &a {tls: *a}\n", []string{"1:16: etcd.tls: no anchor &a before this"}},
	{"alias whose value is another's", "services:\n  a: {listen: &p 7001}\n  b: {listen: *p}\n", []string{"3:15: services.b.listen: 127.0.0.1:7001 is taken by services.a.listen"}},
	{"alias whose value is of another kind", "drain: {delay: 1s, timeout: &t 2s}\nservices: {a: {listen: 1, max_idle: *t, protocol: http}}\n", []string{
		"2:37: services.a.max_idle: whole number from 0 to 65536, has \"2s\"",
	}},
	{"alias of a table whose value is another's", "services:\n  a: &a {listen: 7001}\n  b: *a\n", []string{"3:6: services.b.listen: 127.0.0.1:7001 is taken by services.a.listen"}},
	{"merged value that is another's", "services:\n  a: &a {listen: 7001}\n  b: {<<: *a}\n", []string{"3:11: services.b.listen: 127.0.0.1:7001 is taken by services.a.listen"}},
	{"merged value that will not do", "services:\n  a: &a {listen: 1, balance: rr}\n  b: {<<: *a, listen: 2}\n", []string{"2:30: services.a.balance: unknown balance \"rr\""}},
	{"two merge keys", "drain: {<<: {delay: 1s}, <<: {timeout: 1s}}\n", []string{"1:26: drain: duplicate key `<<`; it is already on line 1; to merge two tables"}},
	{"merge of text", "etcd:\n  <<: x\n", []string{"2:7: etcd: merge key (<<) that names no table"}},

	// Keys.
	{"unknown key", "services:\n  a:\n    listen: 1\n    ballance: ewma\n", []string{
		"4:5: services.a.ballance: unknown key `ballance`; did you mean `balance`?",
	}},
	{"unknown key in a short section", "drain: {wait: 1s}\n", []string{"1:9: drain.wait: unknown key `wait`; known are delay, timeout"}},
	{"unknown key at the top", "service: {}\n", []string{"1:1: service: unknown key `service`; did you mean `services`?"}},
	{"unknown key of a wrong case", "Admin: 7070\n", []string{"1:1: Admin: unknown key `Admin`; did you mean `admin`?"}},
	{"duplicate key", "admin: 7070\nstate_dir: x\nadmin: 7071\n", []string{"3:1: admin: duplicate key `admin`; it is already on line 1"}},
	{"duplicate service", "services:\n  a: {listen: 1}\n  a: {listen: 2}\n", []string{"3:3: services.a: duplicate key `a`; it is already on line 2"}},
	{"a key without a value", "admin:\n", []string{"1:1: admin: has no value"}},
	{"tls whose keys are commented out", "etcd:\n  tls:\n    # ca: ca.pem\nadmin: 1\n", []string{"2:3: etcd.tls: has no value; write its keys below it, {} for all of its defaults, or off"}},
	{"sections that may be off, without a value", "services:\n  a:\n    listen: 1\n    protocol: http\n    access_log:\n    eject:\n    guard: ~\n    health: null\nregister: {b: {address: \"h:1\", check: }}\n", []string{
		"5:5: services.a.access_log: has no value; or off",
		"6:5: services.a.eject: has no value; or off",
		"7:5: services.a.guard: has no value; or off",
		"8:5: services.a.health: has no value; or off",
		"9:32: register.b.check: has no value; or off",
	}},
	{"services without a value", "services: {a: }\n", []string{"1:12: services.a.listen: is missing"}},
	{"variables in keys", "${A}: 1\n", []string{"1:1: \"${A}\": unknown key `${A}`"}},

	// Names.
	{"name with a blank", "services: {a b: {listen: 1}}\n", []string{"1:12: services.\"a b\": name \"a b\" has characters that no name has"}},
	{"empty name", "services: {\"\": {listen: 1}}\n", []string{"1:12: services.\"\": name \"\" is empty"}},
	{"name with slashes outside", "services:\n  /a: {listen: 1}\n  b/: {listen: 2}\n", []string{
		"2:3: services./a: begins or ends with a slash",
		"3:3: services.b/: begins or ends with a slash",
	}},
	{"name with dots alone", "services: {a/../b: {listen: 1}}\n", []string{"1:12: services.\"a/../b\": has a part that is only dots"}},
	{"name of a registration", "register: {\"a\\n\": {address: h:1}}\n", []string{`1:12: register."a\n": has characters`}},

	// Scalars.
	{"duration without unit", "drain: {timeout: 5}\n", []string{"1:18: drain.timeout: without a unit; write 5s"}},
	{"negative duration", "drain: {timeout: -5s}\n", []string{"1:18: drain.timeout: -5s is negative; write 0s or more"}},
	{"no duration", "drain: {timeout: soon}\n", []string{"1:18: drain.timeout: \"soon\" is no duration; write 250ms"}},
	{"duration with a blank", "drain: {timeout: 5 s}\n", []string{"1:18: drain.timeout: is no duration"}},
	{"duration of zero", "services: {a: {listen: 1, timeouts: {connect: 0s}}}\n", []string{
		"1:47: services.a.timeouts.connect: 0s is too short; at least 1ms",
	}},
	{"lease too short", "register: {a: {address: h:1, ttl: 500ms}}\n", []string{"1:35: register.a.ttl: 500ms is too short; at least 1s"}},
	{"list for text", "state_dir: [a]\n", []string{"1:12: state_dir: wants a plain value, has a list"}},
	{"table for text", "state_dir: {a: b}\n", []string{"1:12: state_dir: wants a plain value, has a table"}},
	{"text for a section", "drain: 5s\n", []string{"1:8: drain: wants a table of keys, has a plain value; its keys are delay, timeout"}},
	{"list for names", "services: [a]\n", []string{"1:11: services: wants a table of names, has a list"}},
	{"number in quotes", "services: {a: {listen: 1, retry: {attempts: \"3\"}}}\n", []string{"1:45: services.a.retry.attempts: has text in quotes; leave the quotes out"}},
	{"number too small", "services: {a: {listen: 1, retry: {attempts: 0}}}\n", []string{"1:45: services.a.retry.attempts: whole number from 1 to 8, has \"0\""}},
	{"number in hexadecimal", "services: {a: {listen: 1, default_port: 0x50}}\n", []string{"1:41: services.a.default_port: whole number"}},
	{"yes for true", "services: {a: {listen: 1, protocol: http, access_log: {errors_only: yes}}}\n", []string{
		"1:69: services.a.access_log.errors_only: wants true or false, has \"yes\"",
	}},
	{"true in quotes", "services: {a: {listen: 1, protocol: http, access_log: {errors_only: \"true\"}}}\n", []string{
		"1:69: services.a.access_log.errors_only: wants true or false, has text in quotes",
	}},
	{"ratio above one", "services: {a: {listen: 1, retry: {budget: 20}}}\n", []string{"1:43: services.a.retry.budget: 20 is more than 1; write 20%"}},
	{"ratio of nothing", "services: {a: {listen: 1, guard: {max_leave: 0%}}}\n", []string{"1:46: services.a.guard.max_leave: \"0%\" is out of range; above 0%"}},
	{"no ratio", "services: {a: {listen: 1, retry: {budget: few}}}\n", []string{"1:43: services.a.retry.budget: \"few\" is no ratio; write 20%"}},
	{"negative ratio", "services: {a: {listen: 1, retry: {budget: -1%}}}\n", []string{"1:43: services.a.retry.budget: out of range"}},
	{"too many fields", "services: {a: {listen: 1, protocol: http, limits: {fields: 129}}}\n", []string{"1:60: services.a.limits.fields: whole number from 1 to 128"}},
	{"no percentage", "services: {a: {listen: 1, eject: {max_percent: 101}}}\n", []string{"1:48: services.a.eject.max_percent: percentage from 1 to 100"}},
	{"size without unit", "services: {a: {listen: 1, protocol: http, limits: {head: 65536}}}\n", []string{"1:58: services.a.limits.head: without a unit; write 65536B"}},
	{"no size", "services: {a: {listen: 1, protocol: http, limits: {head: 64kb}}}\n", []string{"1:58: services.a.limits.head: \"64kb\" is no size; write 64KiB"}},
	{"size too large", "services: {a: {listen: 1, protocol: http, limits: {head: 1MiB}}}\n", []string{"1:58: services.a.limits.head: 1MiB is out of range; from 1KiB to 64KiB"}},
	{"control character", "state_dir: |\n  a\n", []string{"1:12: state_dir: control character; a block written with |"}},

	// Variables.
	{"unset variable", "admin: 127.0.0.1:${NO_PORT}\n", []string{"1:8: admin: the variable NO_PORT is not set"}},
	{"lone dollar", "etcd: {username: a, password: pa$word}\n", []string{"1:31: etcd.password: begins no variable; write $$"}},
	{"open variable", "state_dir: ${HOME\n", []string{"1:12: state_dir: begins no variable"}},
	{"variable in a default", "state_dir: ${A:-${B}}\n", []string{"1:12: state_dir: cannot hold another variable"}},

	// etcd.
	{"no endpoints", "etcd: {endpoints: []}\n", []string{"1:19: etcd.endpoints: empty list"}},
	{"endpoints as text", "etcd: {endpoints: \"http://a:1\"}\n", []string{"1:19: etcd.endpoints: wants a list, has a plain value; write [http://127.0.0.1:2379]"}},
	{"another scheme", "etcd: {endpoints: [\"ftp://a:1\"]}\n", []string{"1:20: etcd.endpoints.0: neither http nor https but \"ftp\""}},
	{"URL without a port", "etcd: {endpoints: [\"http://etcd\"]}\n", []string{"1:20: etcd.endpoints.0: has no port; write http://etcd:2379"}},
	{"URL with a path", "etcd: {endpoints: [\"http://etcd:2379/v3\"]}\n", []string{"1:20: etcd.endpoints.0: has a path"}},
	{"URL with a password", "etcd: {endpoints: [\"http://u:hunter2@etcd:2379\"]}\n", []string{"1:20: etcd.endpoints.0: user or password in it; write http://127.0.0.1:2379, and etcd.username"}},
	{"URL without a host", "etcd: {endpoints: [\"http://:2379\"]}\n", []string{"1:20: etcd.endpoints.0: without a valid host"}},
	{"mixed schemes", "etcd:\n  endpoints:\n    - https://a:1\n    - http://b:1\n", []string{"4:7: etcd.endpoints.1: is http, but the first endpoint is https"}},
	{"cert without key", "etcd: {endpoints: [\"https://a:1\"], tls: {cert: c.pem}}\n", []string{"1:48: etcd.tls.cert: has no `key` beside it"}},
	{"key without cert", "etcd: {endpoints: [\"https://a:1\"], tls: {key: k.pem}}\n", []string{"1:47: etcd.tls.key: has no `cert` beside it"}},
	{"missing files", "etcd: {endpoints: [\"https://a:1\"], tls: {ca: no-ca, cert: no-cert, key: no-key}}\n", []string{
		"1:46: etcd.tls.ca: no such file",
		"1:59: etcd.tls.cert: no such file",
		"1:73: etcd.tls.key: no such file",
	}},
	{"a folder for a file", "etcd: {endpoints: [\"https://a:1\"], tls: {ca: .}}\n", []string{"1:46: etcd.tls.ca: not a regular file"}},
	{"durations that overflow when multiplied", "etcd: {liveness: 200000h, audit: 290000h}\n", []string{
		"1:18: etcd.liveness: 200000h is too long; at most 87600h, which is ten years",
		"1:34: etcd.audit: 290000h is too long",
	}},
	{"password alone", "etcd: {password: hunter2}\n", []string{"1:18: etcd.password: never sent without `username`"}},
	{"user alone", "etcd: {username: app}\n", []string{"1:18: etcd.username: never sent without `password`; set $PORTSIDE_ETCD_PASSWORD"}},
	{"user with an empty password", "etcd: {username: app, password: \"\"}\n", []string{"1:18: etcd.username: never sent without `password`"}},
	{"user whose password is unset", "etcd: {username: app, password: \"${NO_PASSWORD}\"}\n", []string{"1:33: etcd.password: the variable NO_PASSWORD is not set"}},
	{"password in a list", "etcd: {username: a, password: [hunter2]}\n", []string{"1:31: etcd.password: wants a plain value, has a list"}},
	{"embedded with a user", "etcd: {endpoints: embedded, username: a, tls: {}}\n", []string{
		"1:39: etcd.username: has no effect; an embedded etcd has none",
		"1:47: etcd.tls: has no effect",
	}},

	// Listeners.
	{"no listen", "services:\n  a: {balance: ewma}\n", []string{"2:3: services.a.listen: is missing; write the address"}},
	{"no listen in an empty service", "services:\n  a:\n", []string{"2:3: services.a.listen: is missing"}},
	{"listen without a port", "services: {a: {listen: localhost}}\n", []string{"1:24: services.a.listen: \"localhost\" has no port; write 127.0.0.1:7001"}},
	{"listen with a large port", "services: {a: {listen: 70000}}\n", []string{"1:24: services.a.listen: port \"70000\" is not from 0 to 65535"}},
	{"listen with a named port", "services: {a: {listen: \"localhost:http\"}}\n", []string{"1:24: services.a.listen: port \"http\" is not a number"}},
	{"listen on a mistyped address", "services: {a: {listen: \"127.0.1:80\"}}\n", []string{"1:24: services.a.listen: host \"127.0.1\" is neither"}},
	{"listen taken", "services:\n  a: {listen: 7001}\n  b: {listen: \":7001\"}\n", []string{"3:15: services.b.listen: :7001 is taken by services.a.listen (127.0.0.1:7001)"}},
	{"listen taken by admin", "services: {a: {listen: 7070}}\n", []string{"1:24: services.a.listen: is taken by admin (127.0.0.1:7070)"}},

	// Services.
	{"unknown balance", "services: {a: {listen: 1, balance: rr}}\n", []string{"1:36: services.a.balance: unknown balance \"rr\"; one of round_robin, least_conn, ewma, random, hash"}},
	{"misspelt balance", "services: {a: {listen: 1, balance: leastconn}}\n", []string{"1:36: services.a.balance: unknown balance \"leastconn\"; did you mean least_conn?"}},
	{"protocol grpc", "services: {a: {listen: 1, protocol: grpc}}\n", []string{"1:37: services.a.protocol: unknown protocol \"grpc\"; write http, which carries"}},
	{"what only Kratos has", "register: {a: {address: \"h:1\", service: b, protocol: grpc}}\n", []string{
		"1:41: register.a.service: has no effect; only a record of `format: kratos` says it",
		"1:54: register.a.protocol: has no effect",
	}},
	{"unknown format", "services: {a: {listen: 1, format: kratus}}\n", []string{"1:35: services.a.format: unknown format \"kratus\"; did you mean kratos?"}},
	{"format without a choice", "services: {a: {listen: 1, format: kratos+}}\n", []string{"1:35: services.a.format: unknown format \"kratos+\"; did you mean kratos?"}},
	{"no fixed endpoints", "services: {a: {listen: 1, endpoints: []}}\n", []string{"1:38: services.a.endpoints: empty list; write [10.0.0.7:5432], or leave"}},
	{"fixed endpoint without a port", "services: {a: {listen: 1, endpoints: [10.0.0.7]}}\n", []string{"1:39: services.a.endpoints.0: \"10.0.0.7\" has no port; write 10.0.0.7:PORT, or set default_port"}},
	{"IPv6 without brackets", "services: {a: {listen: 1, endpoints: [\"2001:db8::7:5432\"]}}\n", []string{"1:39: services.a.endpoints.0: has no port; write [2001:db8::7]:5432"}},
	{"endpoint on port zero", "services: {a: {listen: 1, endpoints: [\"h:0\"]}}\n", []string{"1:39: services.a.endpoints.0: port 0"}},
	{"endpoint everywhere", "services: {a: {listen: 1, endpoints: [\"0.0.0.0:80\"]}}\n", []string{"1:39: services.a.endpoints.0: is every interface here"}},
	{"endpoint everywhere on the default port", "services: {a: {listen: 1, default_port: 80, endpoints: [\"::\"]}}\n", []string{"1:57: services.a.endpoints.0: is every interface here"}},
	{"endpoint with a bad weight", "services: {a: {listen: 1, endpoints: [\"h:1;weight=0\"]}}\n", []string{"1:39: services.a.endpoints.0: weight above 0 and at most 1000000, has \"0\""}},
	{"endpoint with an unknown attribute", "services: {a: {listen: 1, endpoints: [\"h:1;wait=2\"]}}\n", []string{"1:39: services.a.endpoints.0: unknown attribute \"wait\"; write ;weight=2"}},
	{"endpoint twice", "services: {a: {listen: 1, endpoints: [\"h:1\", \"h:1;zone=b\"]}}\n", []string{"1:46: services.a.endpoints.1: h:1 is listed twice"}},
	{"endpoint is the service by another name", "services: {a: {listen: \":7001\", endpoints: [\"10.0.0.1:7001\", \"localhost:7001\"]}}\n", []string{"1:62: services.a.endpoints.1: it would call itself"}},
	{"endpoint is the service, mapped", "services: {a: {listen: 7001, endpoints: [\"[::ffff:127.0.0.1]:7001\"]}}\n", []string{"1:42: services.a.endpoints.0: it would call itself"}},
	{"endpoint is the service", "services: {a: {listen: 7001, endpoints: [\"127.0.0.1:7001\"]}}\n", []string{"1:42: services.a.endpoints.0: it would call itself"}},
	{"prefix of a fixed list", "services: {a: {listen: 1, endpoints: [\"h:1\"], prefix: p/, format: plain}}\n", []string{
		"1:55: services.a.prefix: has no effect; `endpoints` is a fixed list",
		"1:67: services.a.format: has no effect",
	}},
	{"http keys over tcp", "services: {a: {listen: 1, forwarded: off, max_idle: 3}}\n", []string{
		"1:38: services.a.forwarded: has no effect; it needs `protocol: http`",
		"1:53: services.a.max_idle: has no effect",
	}},
	{"backoff above its maximum", "services: {a: {listen: 1, eject: {backoff: 2m}}}\n", []string{"1:34: services.a.eject: `max_backoff` is below `backoff`; at least 2m"}},
	{"class of answers", "services: {a: {listen: 1, eject: {on: 500}}}\n", []string{"1:39: services.a.eject.on: unknown class \"500\"; one of 5xx, gateway, connect"}},
	{"guard on", "services: {a: {listen: 1, guard: on}}\n", []string{"1:34: services.a.guard: wants a table of keys, has a plain value; its keys are max_leave"}},
	{"health without a way", "services: {a: {listen: 1, health: {interval: 1s}}}\n", []string{"1:35: services.a.health: gives no check method; write one of http"}},
	{"health two ways", "services: {a: {listen: 1, health: {http: /, tcp: {}}}}\n", []string{"1:45: services.a.health.tcp: `tcp` beside `http`; one check asks one way"}},
	{"health of a URL", "services: {a: {listen: 1, health: {http: \"http://h/\"}}}\n", []string{"1:42: services.a.health.http: is no path; write /healthz"}},
	{"health slower than its interval", "services: {a: {listen: 1, health: {tcp: {}, interval: 1s, timeout: 2s}}}\n", []string{"1:68: services.a.health.timeout: 2s is longer than the interval, 1s"}},
	{"log without a file", "services: {a: {listen: 1, protocol: http, access_log: {file: \"\"}}}\n", []string{"1:62: services.a.access_log.file: is empty; write a path or stdout"}},

	// Registrations.
	{"no address", "register:\n  a: {}\n", []string{"2:3: register.a.address: is missing; write the HOST:PORT"}},
	{"address everywhere", "register: {a: {address: \":8080\"}}\n", []string{"1:25: register.a.address: every interface here; write one"}},
	{"key that is a prefix", "register: {a: {address: \"h:1\", key: a/}}\n", []string{"1:37: register.a.key: ends in a slash"}},
	{"one key twice", "register:\n  a: {address: \"h:1\", key: k}\n  b: {address: \"h:2\", key: k}\n", []string{"3:28: register.b.key: k is the key of register.a too"}},
	{"format that is only read", "register: {a: {address: \"h:1\", format: auto}}\n", []string{"1:40: register.a.format: unknown format \"auto\"; one of plain, etcd"}},
	{"choice within a written format", "register: {a: {address: \"h:1\", format: etcd+x}}\n", []string{"1:40: register.a.format: unknown format \"etcd+x\""}},
	{"negative weight", "register: {a: {address: \"h:1\", weight: -1}}\n", []string{"1:40: register.a.weight: weight above 0 and at most 1000000, has \"-1\""}},
	{"metadata of lists", "register: {a: {address: \"h:1\", metadata: {k: [v]}}}\n", []string{"1:46: register.a.metadata.k: wants a plain value, has a list"}},
	{"check of a path", "register: {a: {address: \"h:1\", check: {http: /healthz}}}\n", []string{"1:46: register.a.check.http: neither http nor https but \"\"; write http://127.0.0.1:8080/healthz"}},
	{"check by a line of shell", "register: {a: {address: \"h:1\", check: {exec: pg_isready -q}}}\n", []string{"1:46: register.a.check.exec: wants a list, has a plain value; write [pg_isready, -q]"}},
	{"embedded in brackets", "etcd: {endpoints: [embedded]}\n", []string{"1:19: etcd.endpoints: embedded is no member of a list; write `endpoints: embedded`"}},
	{"on, read as YAML 1.1 and written again", "services: {a: {listen: 1, eject: {true: 5xx}}}\n", []string{"1:35: services.a.eject.true: unknown key `true`; did you mean `on`?"}},
	{"false in quotes", "services: {a: {listen: 1, guard: \"false\"}}\n", []string{"1:34: services.a.guard: wants a table of keys"}},
	{"true for a section", "services: {a: {listen: 1, guard: true}}\n", []string{"1:34: services.a.guard: wants a table of keys"}},
	{"unknown check", "register: {a: {address: \"h:1\", check: {htpp: x}}}\n", []string{"1:40: register.a.check.htpp: unknown key `htpp`; did you mean `http`?"}},

	// All at once.
	{"many", "admin: [1]\nservices:\n  a:\n    listen: x\n    timeouts: {connect: 5, idle: 1}\nregister: {b: {}}\n", []string{
		"1:8: admin: wants a plain value",
		"4:13: services.a.listen: has no port",
		"5:25: services.a.timeouts.connect: write 5s",
		"5:34: services.a.timeouts.idle: write 1s",
		"6:12: register.b.address: is missing",
	}},
}

func TestEveryFaultIsReportedWhereItIs(t *testing.T) {
	if len(faultCases) < 60 {
		t.Errorf("only %d cases", len(faultCases))
	}
	for _, c := range faultCases {
		t.Run(c.name, func(t *testing.T) {
			faults := faultsOf(t, c.yaml)
			for i, f := range faults {
				if f.File != "standard input" {
					t.Errorf("the fault names the file %q", f.File)
				}
				if i < len(c.want) && !matches(f, c.want[i]) {
					t.Errorf("fault %d = %s\nwant %s", i, one(f), c.want[i])
				}
			}
			if len(faults) != len(c.want) {
				t.Errorf("%d faults, want %d:\n%v", len(faults), len(c.want), faults)
			}
			if text := faults.Error() + faults.Pretty(); strings.Contains(text, "hunter2") {
				t.Errorf("a password is shown:\n%s", text)
			}
		})
	}
}

func faultsOf(t *testing.T, yaml string) Faults {
	t.Helper()
	_, err := Load(testOptions(yaml))
	faults, ok := errors.AsType[Faults](err)
	if !ok {
		t.Fatalf("Load = %v, want faults", err)
	}
	return faults
}

func testOptions(yaml string) Options {
	return Options{
		Path: "-", Stdin: strings.NewReader(yaml), Env: variables{}.lookup,
		Formats: []string{"auto", "plain", "etcd", "kratos"}, Written: []string{"plain", "etcd"},
	}
}

func one(f Fault) string {
	return fmt.Sprintf("%d:%d: %s: %s; %s", f.Line, f.Column, f.Path, f.Message, f.Hint)
}

// matches compares place and path exactly, message and hint by parts of them.
func matches(f Fault, want string) bool {
	rest, ok := strings.CutPrefix(want, fmt.Sprintf("%d:%d: %s: ", f.Line, f.Column, f.Path))
	message, hint, _ := strings.Cut(rest, "; ")
	return ok && (strings.Contains(f.Message+"; "+f.Hint, rest) ||
		strings.Contains(f.Message, message) && strings.Contains(f.Message+"; "+f.Hint, hint))
}
