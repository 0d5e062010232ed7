package record

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func decoder(t testing.TB, o Options) *Decoder {
	t.Helper()
	d, err := New("", o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestEverySampleSaysWhatItsProjectMeant(t *testing.T) {
	for _, s := range samples() {
		t.Run(string(s.options.Format)+"/"+s.name, func(t *testing.T) {
			r, err := decoder(t, s.options).Decode(s.key, []byte(s.value))
			if err != nil {
				t.Fatalf("a record its own project writes was refused: %v", err)
			}
			checkReading(t, s, r)
		})
	}
}

func checkReading(t *testing.T, s sample, r Reading) {
	t.Helper()
	want := s.want
	if diff := cmp.Diff(want, r.Endpoints, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("endpoints, want - got +:\n%s", diff)
	}
	if (len(want) == 0) != (r.Reason != "") {
		t.Errorf("reason %q: it must be there exactly when there is no endpoint", r.Reason)
	}
	inVain := s.options.Protocol == "http" && len(want) > 0 && want[0].Metadata["scheme"] == "https"
	if (r.Warning != "") != inVain {
		t.Errorf("warning %q about a record; want one just where TLS is asked for in vain: %v", r.Warning, inVain)
	}
}

func TestAutoReadsEverySampleAsItsOwnFormat(t *testing.T) {
	for _, s := range samples() {
		name, only, plus := strings.Cut(string(s.options.Format), "+")
		t.Run(name+"/"+s.name, func(t *testing.T) {
			o := s.options
			o.Format = Auto
			if plus {
				o.Format = Format("auto+" + only)
			}
			r, err := decoder(t, o).Decode(s.key, []byte(s.value))
			if err != nil {
				t.Fatalf("auto refused an unmistakable record: %v", err)
			}
			checkReading(t, s, r)
			want, _ := Parse(name)
			if s.auto != "" {
				want = s.auto
			}
			if r.Format != want {
				t.Errorf("auto took it for %s, want %s", r.Format, want)
			}
		})
	}
}

func TestAutoDoesNotChooseBetweenReadingsThatDiffer(t *testing.T) {
	tests := []struct {
		name, key, value string
		o                Options
		want             []string // parts of the error
	}{
		{"rpcx key with an address for a value", "a/Arith/tcp@10.0.0.5:8972", "10.0.0.6:99", Options{}, []string{"rpcx", "plain", "10.0.0.5:8972", "10.0.0.6:99"}},
		{"etcd and kitex fields", "a/b", `{"Addr":"10.0.0.5:1","network":"tcp","address":"10.0.0.6:2"}`, Options{}, []string{"etcd", "kitex"}},
		{"a weight of nobody knows how many", "a/b", `{"address":"10.0.0.5:1","weight":20}`, Options{}, []string{"kitex", "trpc", "weight 2", "weight 20"}},
		{"skydns and tidb", "a/b", `{"host":"h1","port":1,"ip":"10.0.0.5","listening_port":4000}`, Options{}, []string{"skydns", "tidb"}},
		{"goframe metadata that names a URL", "/service/default/default/demo/latest/10.0.0.5:8000", `{"url":"http://10.0.0.9:1"}`, Options{}, []string{"goframe", "vulcand"}},
		{"a word beside an address", "a/10.0.0.5:8080", "up", Options{DefaultPort: 80}, []string{"up:80", "10.0.0.5:8080", "format: plain"}},
		{"one that is off and one that is on", "a/b", `{"Addr":"10.0.0.5:1","nodes":{"10.0.0.5:1":0}}`, Options{}, []string{"etcd", "apisix", "nothing"}},
		{"a pool and one of it", "a/b", `{"Addr":"10.0.0.5:1","nodes":{"10.0.0.5:1":1,"10.0.0.6:1":1}}`, Options{}, []string{"and 1 more"}},
		{"zones that differ", "a/b", `{"Addr":"10.0.0.5:1","Metadata":{"zone":"a"},"network":"tcp","address":"10.0.0.5:1"}`, Options{}, []string{"etcd", "kitex"}},
		{"unknown fields", "a/b", `{"weight":3}`, Options{}, []string{"no known format"}},
		{"no address at all", "a/b", "hello", Options{}, []string{"no port", "set default_port"}},
		{"broken JSON", "a/b", `{"Addr":`, Options{}, []string{"auto", "unexpected end"}},
		{"JSON array", "a/b", `["10.0.0.5:80"]`, Options{}, []string{"auto"}},
		{"plain, with a broken suffix", "a/b", "10.0.0.5:80;x", Options{}, []string{"plain", "name=value"}},
		{"kratos over an unknown protocol", "a/b", `{"id":"1","name":"n","endpoints":["a://h:1","b://h:2","c://h:3","d://h:4","e://h:5"]}`, Options{Protocol: "redis"}, []string{`"redis"`, "…"}},
		{"kratos over tcp", "a/b", `{"id":"1","name":"n","endpoints":["http://10.0.0.5:8000","grpc://10.0.0.5:9000"]}`, Options{}, []string{"protocol", "kratos+http"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := decoder(t, tt.o).Decode(tt.key, []byte(tt.value))
			if err == nil {
				t.Fatalf("taken as %s: %v; a guess sends traffic to the wrong place", r.Format, r.Endpoints)
			}
			for _, part := range tt.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q does not mention %q, which is how a user would mend it", err, part)
				}
			}
		})
	}
}

func TestAutoTakesWhatAllAgreeOn(t *testing.T) {
	for name, value := range map[string]string{
		"an address alone":              `{"address":"10.0.0.5:1"}`,
		"weights that come to the same": `{"Addr":"10.0.0.5:1","network":"tcp","address":"10.0.0.5:1","weight":10}`,
	} {
		r, err := decoder(t, Options{}).Decode("a/b", []byte(value))
		if err != nil || len(r.Endpoints) != 1 || r.Endpoints[0].Address != "10.0.0.5:1" {
			t.Errorf("%s: got %v, %v; nothing differs, so nothing is a guess", name, r.Endpoints, err)
		}
	}
}

func TestWrongRecordsAreErrorsThatSayWhatIsWrong(t *testing.T) {
	tests := []struct {
		f          Format
		key, value string
		want       string
	}{
		{Plain, "a/b", "10.0.0.5", "no port"},
		{Plain, "a/b", "10.0.0.5:0", `port "0"`},
		{Plain, "a/b", "10.0.0.5:80,10.0.0.6:80", "10.0.0.5:80,10.0.0.6:80"},
		{Plain, "a/b", "10.0.0.5:80;weight", `"weight" is not name=value`},
		{Plain, "a/b", "10.0.0.5:80;=3", `"=3" is not name=value`},
		{Plain, "a/b", `{"Addr":"10.0.0.5:80"}`, "Addr"},
		{Plain, "a/b", "unix:///run/x.sock", "unix socket"},
		{Etcd, "a/b", "10.0.0.5:80", "not a JSON object"},
		{Etcd, "a/b", "", "not a JSON object"},
		{Etcd, "a/b", `{"Op":0}`, "empty"},
		{Etcd, "a/b", `{"Addr":"10.0.0.5:80"} x`, "invalid character"},
		{Etcd, "a/b", `{"Addr":{"host":"x"}}`, "address"},
		{GoZero, "a/b", "10.0.0.5:80;weight=2", "port"},
		{Kratos, "a/b", `{"endpoints":"http://10.0.0.5:80"}`, "endpoints"},
		{Kratos, "a/b", `{"endpoints":["http://","grpc://"]}`, "no usable endpoint"},
		{Kratos, "a/b", `{"endpoints":["http://10.0.0.5:1","grpc://10.0.0.5:2"]}`, "set protocol"},
		{GoMicro, "a/b", `{"nodes":[{"address":""}]}`, "no usable node"},
		{Kitex, "a/b", `{"network":"tcp","address":"10.0.0.5:99999"}`, `port "99999"`},
		{RPCX, "a/tcp@10.0.0.5", "", "no port"},
		{RPCX, "a/tcp@10.0.0.5:1", "a=%zz", "invalid URL escape"},
		{RPCX, "a/tcp@10.0.0.5:1", `{"Addr":"x"}`, "not a query string"},
		{Dubbo, "a/tri%3A%2F%2F10.0.0.5%zz", "", "invalid URL escape"},
		{Dubbo, "a/tri%3A%2F%2F10.0.0.5", "", "no port"},
		{Dubbo, "a/b", "hello", "neither a URL in the key nor JSON"},
		{GoFrame, "a/b/c/d/e/10.0.0.5", `{}`, "no port"},
		{GoFrame, "a/b/c/d/e/10.0.0.5:1", `[]`, "not a JSON object"},
		{SkyDNS, "a/b", `{"host":"10.0.0.5"}`, "no port"},
		{SkyDNS, "a/b", `{"host":"10.0.0.5","port":70000}`, `port "70000"`},
		{TRPC, "a/b", `{"address":"10.0.0.5"}`, "no port"},
		{Jupiter, "a/b", `{"Op":0,"Addr":"","MetadataX":{}}`, "empty"},
		{Vulcand, "a/b", `{"URL":"http://"}`, "empty"},
		{Milvus, "a/b", `{"ServerName":"proxy"}`, "empty"},
		{TiDB, "a/b", "x", "not a JSON object"},
		{Patroni, "a/b", "n1", "not a JSON object"},
		{APISIX, "a/b", `{"nodes":3}`, "nodes"},
		{APISIX, "a/b", `{"scheme":"http"}`, "nodes"},
		{APISIX, "a/b", `{"nodes":{"a b:1":1}}`, "no part of a host name"},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%s %s", tt.f, tt.value), func(t *testing.T) {
			r, err := decoder(t, Options{Format: tt.f}).Decode(tt.key, []byte(tt.value))
			if err == nil {
				t.Fatalf("read as %v %s", r.Endpoints, r.Reason)
			}
			if !strings.HasPrefix(err.Error(), string(tt.f)+": ") || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %q, want it to begin with the format and to say %q", err, tt.want)
			}
		})
	}
}

func TestPlaceholdersAreAbsencesInEveryFormat(t *testing.T) {
	for _, f := range Formats() {
		for _, kv := range [][2]string{{"a/b/", ""}, {"a/b/", "10.0.0.5:80"}, {"a/b", "init_dir"}, {"a/b", "rpcx_path"}} {
			r, err := decoder(t, Options{Format: f}).Decode(kv[0], []byte(kv[1]))
			if err != nil || len(r.Endpoints) > 0 || r.Reason == "" {
				t.Errorf("%s %q=%q: %v, reason %q, %v; want an absence with a reason", f, kv[0], kv[1], r.Endpoints, r.Reason, err)
			}
		}
	}
}

func TestKeyEqualToThePrefixCarriesNoAddress(t *testing.T) {
	d, err := New("service/10.0.0.5:80/", Options{Format: Plain})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := d.Decode("service/10.0.0.5:80", nil); err != nil || r.Reason == "" {
		t.Errorf("the service's own name was taken for a backend: %v, %v", r.Endpoints, err)
	}
}

func TestWeightIsRelativeToTheFormatsOrdinary(t *testing.T) {
	tests := []struct {
		text     string
		ordinary float64
		want     float64
		warns    bool
	}{
		{"", 100, 1, false},
		{"0", 10, 1, false},
		{"0.0", 10, 1, false},
		{"20", 100, .2, false},
		{"20", 10, 2, false},
		{"20", 0, 20, false},
		{"2.5", 1, 2.5, false},
		{"1e2", 100, 1, false},
		{"-1", 1, 1, true},
		{"heavy", 1, 1, true},
		{"NaN", 1, 1, true},
		{"Inf", 1, 1, true},
		{"1e999", 1, 1, true},
		{"1e300", 1, maxWeight, true},
		{"1e-300", 1, minWeight, true},
		{`{"a":1}`, 1, 1, true},
	}
	for _, tt := range tests {
		got, warning := weigh(tt.text, tt.ordinary)
		if got != tt.want || (warning != "") != tt.warns {
			t.Errorf("weigh(%q, %g) = %g, %q; want %g, warning %t", tt.text, tt.ordinary, got, warning, tt.want, tt.warns)
		}
	}
}

func TestAddressesThatMeanAnotherMachineAreWarnedOf(t *testing.T) {
	for address, want := range map[string]string{
		"127.0.0.1:80": "loopback", "127.9.9.9:80": "loopback", "[::1]:80": "loopback", "localhost:80": "loopback",
		"0.0.0.0:80": "listens", "[::]:80": "listens", "172.17.0.1:80": "docker", "10.0.0.5:80": "", "api:80": "",
	} {
		r, err := decoder(t, Options{}).Decode("a/b", []byte(address))
		if err != nil || len(r.Endpoints) != 1 {
			t.Errorf("%s: %v; a warning is no refusal", address, err)
		}
		if !strings.Contains(r.Warning, want) || want == "" && r.Warning != "" {
			t.Errorf("%s: warning %q, want %q in it", address, r.Warning, want)
		}
	}
}

// A weight of zero that somebody wrote means no new work; in a field that every
// record has it is what nobody wrote.
func TestZeroWeightIsOffWhereItIsWritten(t *testing.T) {
	for _, tt := range []struct {
		key, value string
		off        bool
	}{
		{"a/b", "10.0.0.5:80;weight=0", true},
		{"a/b", `{"Addr":"10.0.0.5:80","Metadata":{"Weight":0,"Zone":""}}`, false}, // a Go struct with nothing set
		{"a/b", `{"id":"1","name":"a","metadata":{"weight":"0"},"endpoints":["tcp://10.0.0.5:80"]}`, true},
		{"a/tcp@10.0.0.5:80", "weight=0.0", true},
		{"a/providers/dubbo%3A%2F%2F10.0.0.5%3A80%2Fa%3Fweight%3D0", "", true},
		{"a/b", `{"network":"tcp","address":"10.0.0.5:80","weight":0}`, false},
		{"a/tcp@10.0.0.5:80", "weight=3", false},
	} {
		r, err := decoder(t, Options{}).Decode(tt.key, []byte(tt.value))
		if err != nil || len(r.Endpoints) != 1 || r.Endpoints[0].Draining != tt.off || strings.Contains(r.Warning, "weight 0: no new work") != tt.off {
			t.Errorf("%s %s: %+v, %v; want it off: %t, and said", tt.key, tt.value, r, err, tt.off)
		}
	}
}

// The port that a record keeps apart counts, and never default_port in its place.
func TestPortsApartFromTheirHost(t *testing.T) {
	d := decoder(t, Options{DefaultPort: 9999, Protocol: "http"})
	for value, want := range map[string]string{
		`{"address":"10.0.0.5","port":8080}`:                                                 "10.0.0.5:8080",
		`{"id":"i","name":"n","address":"10.0.0.5","port":"8080","weight":3}`:                "10.0.0.5:8080",
		`{"ID":"i","Name":"n","Address":"10.0.0.5","Port":8080}`:                             "10.0.0.5:8080",
		`{"address":"2001:db8::5","port":8080}`:                                              "[2001:db8::5]:8080",
		`{"address":"http://10.0.0.5/","port":8080}`:                                         "10.0.0.5:8080",
		`{"address":"10.0.0.5:8080","port":8080}`:                                            "10.0.0.5:8080",
		`{"address":"10.0.0.5:8080","port":0}`:                                               "10.0.0.5:8080",
		`{"address":"10.0.0.5:8080","port":8081}`:                                            "10.0.0.5:8080",
		`{"address":"10.0.0.5:8080","port":"http"}`:                                          "10.0.0.5:8080",
		`{"address":"10.0.0.5:8080","port":{"a":1}}`:                                         "10.0.0.5:8080",
		`{"Op":0,"Addr":"10.0.0.5:8080","Port":9090}`:                                        "10.0.0.5:8080",
		`{"address":"10.0.0.5","port":"http"}`:                                               "",
		`{"address":"10.0.0.5","port":70000}`:                                                "",
		`{"address":"10.0.0.5"}`:                                                             "10.0.0.5:9999",
		`{"name":"n","nodes":[{"id":"i","address":"10.0.0.5","port":8080}],"endpoints":[]}`:  "10.0.0.5:8080",
		`{"Op":0,"Addr":"10.0.0.5","Port":8080}`:                                             "10.0.0.5:8080",
		`{"ServerName":"proxy","Address":"10.0.0.5","Port":8080}`:                            "10.0.0.5:8080",
		`{"serviceName":"n","host":"10.0.0.5","port":8080,"enable":true,"healthy":true}`:     "10.0.0.5:8080",
		`{"network":"tcp","address":"10.0.0.5","port":8080,"weight":10,"tags":{"zone":"a"}}`: "10.0.0.5:8080",
	} {
		r, err := d.Decode("a/b", []byte(value))
		got := ""
		if len(r.Endpoints) == 1 {
			got = r.Endpoints[0].Address
		}
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v; want %q", value, got, err, want)
		}
	}
}

// With a default port nearly every word could be a host.
func TestWordsThatAreNoHosts(t *testing.T) {
	for _, format := range []Format{Auto, Plain} {
		d := decoder(t, Options{DefaultPort: 8080, Format: format})
		for _, tt := range []struct{ key, value, want string }{
			{"a/lock", "", ""},
			{"a/config", "null", ""},
			{"a/up", "true", ""},
			{"a/10.0.0.5", "", "10.0.0.5:8080"},
			{"a/web.example", "", "web.example:8080"},
			{"a/10.0.0.5:80", "", "10.0.0.5:80"},
			{"a/web:80", "", "web:80"},
			{"a/one", "web", "web:8080"},
		} {
			r, _ := d.Decode(tt.key, []byte(tt.value))
			got := ""
			if len(r.Endpoints) == 1 {
				got = r.Endpoints[0].Address
			}
			if got != tt.want {
				t.Errorf("%s: %s=%q is %q, want %q", format, tt.key, tt.value, got, tt.want)
			}
		}
	}
}

func TestTheNamedSchemeComesBeforeItsTwinWithTLS(t *testing.T) {
	d := decoder(t, Options{Format: "kratos+http", Protocol: "http"})
	r, err := d.Decode("a/b", []byte(`{"id":"1","name":"a","endpoints":["https://10.0.0.5:443","http://10.0.0.5:80"]}`))
	if err != nil || len(r.Endpoints) != 1 || r.Endpoints[0].Address != "10.0.0.5:80" {
		t.Errorf("%+v, %v; want the http endpoint", r, err)
	}
}

func TestDrainingInOtherWords(t *testing.T) {
	for word, want := range map[string]bool{"True": true, "yes": true, "ON": true, "1": true, "False": false, "no": false, "maybe": false} {
		r, err := decoder(t, Options{}).Decode("a/b", []byte("10.0.0.5:80;draining="+word))
		if err != nil || r.Endpoints[0].Draining != want || (r.Warning != "") != (word == "maybe") {
			t.Errorf("draining=%s: %+v, %v; want %t", word, r, err, want)
		}
	}
}

func TestLongZonesAreCut(t *testing.T) {
	long := strings.Repeat("zö", 1000)
	r, err := decoder(t, Options{}).Decode("a/b", []byte("10.0.0.5:80;zone="+long+";version="+long))
	if err != nil || len(r.Endpoints[0].Zone) > maxWord || len(r.Endpoints[0].Version) > maxWord || !strings.Contains(r.Warning, "zone of 3000 bytes") {
		t.Errorf("%+v, %v; want both cut, and said", r, err)
	}
}

func TestOneBadEndpointAmongGoodOnesIsAWarning(t *testing.T) {
	for f, value := range map[Format]string{
		Kratos:  `{"endpoints":["unix:///x","http://10.0.0.5:80"]}`,
		GoMicro: `{"nodes":[{"address":"?"},{"address":"10.0.0.5:80"}]}`,
		APISIX:  `{"nodes":{"?:1":1,"10.0.0.5:80":1}}`,
	} {
		r, err := decoder(t, Options{Format: f}).Decode("a/b", []byte(value))
		if err != nil || len(r.Endpoints) != 1 || r.Warning == "" {
			t.Errorf("%s: %v, warning %q, %v; want the good one and a word about the other", f, r.Endpoints, r.Warning, err)
		}
	}
}

func TestMetadataIsBoundedAndSaysSo(t *testing.T) {
	many := map[string]string{"weight": "2", "zone": "z"}
	for i := range 100 {
		many[fmt.Sprintf("k%03d", i)] = "v"
	}
	r := decodeMetadata(t, many)
	e := r.Endpoints[0]
	if len(e.Metadata) != maxEntries || !strings.Contains(r.Warning, "36 of 100") {
		t.Errorf("kept %d entries, warning %q; want %d and a count of the rest", len(e.Metadata), r.Warning, maxEntries)
	}
	if e.Weight != 2 || e.Zone != "z" {
		t.Errorf("weight %g zone %q: the bound must not cost what balancing needs", e.Weight, e.Zone)
	}
	r = decodeMetadata(t, map[string]string{"big": strings.Repeat("x", maxMetadata), "small": "y"})
	if got := r.Endpoints[0].Metadata; got["small"] != "y" || got["big"] != "" || r.Warning == "" {
		t.Errorf("kept %d entries, warning %q; want the one that fits", len(got), r.Warning)
	}
}

func decodeMetadata(t *testing.T, m map[string]string) Reading {
	t.Helper()
	value, err := json.Marshal(map[string]any{"Addr": "10.0.0.5:80", "Metadata": m})
	if err != nil {
		t.Fatal(err)
	}
	r, err := decoder(t, Options{}).Decode("a/b", value)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestHostileValuesAreRefusedOrHarmless(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 5000) + "1" + strings.Repeat("}", 5000)
	for name, value := range map[string]string{
		"huge":            strings.Repeat("x", maxValue+1),
		"too deep":        strings.Repeat(`{"Addr":`, 20000),
		"deep":            `{"Addr":"10.0.0.5:80","Metadata":` + deep + `}`,
		"many brackets":   strings.Repeat("[", 1<<16),
		"many colons":     strings.Repeat(":", 1<<16),
		"many semicolons": "10.0.0.5:80" + strings.Repeat(";", 1<<16),
		"many commas":     strings.Repeat(",", 1<<16),
		"many bad nodes":  `{"nodes":[` + strings.Repeat(`{"host":"?","port":1},`, 8000) + `{"host":"?"}]}`,
		"many endpoints":  `{"endpoints":[` + strings.Repeat(`"x://?",`, 8000) + `"x://?"]}`,
		"many warnings":   `{"nodes":[` + strings.Repeat(`{"host":"10.0.0.5","port":80,"weight":"?"},`, 8000) + `{"host":"?"}]}`,
		"NULs":            strings.Repeat("\x00", 1<<16),
	} {
		for _, f := range Formats() {
			r, err := decoder(t, Options{Format: f, DefaultPort: 80}).Decode("a/b", []byte(value))
			if err != nil && len(err.Error()) > 600 {
				t.Errorf("%s as %s: an error of %d bytes floods the log", name, f, len(err.Error()))
			}
			if len(r.Warning) > 600 {
				t.Errorf("%s as %s: a warning of %d bytes floods the log", name, f, len(r.Warning))
			}
			for _, e := range r.Endpoints {
				if e.Address != "10.0.0.5:80" {
					t.Errorf("%s as %s: read %q", name, f, e.Address)
				}
			}
		}
	}
}

func TestUnknownFormatNamesTheKnown(t *testing.T) {
	_, err := New("", Options{Format: "consul"})
	if err == nil {
		t.Fatal("a format nobody reads was accepted")
	}
	for _, f := range Formats() {
		if !strings.Contains(err.Error(), string(f)) {
			t.Errorf("error %q does not offer %s", err, f)
		}
	}
}

func TestOptionsAreCheckedOnce(t *testing.T) {
	for _, o := range []Options{
		{Format: "plain+grpc"}, {Format: "kratos+"}, {Format: "Plain"}, {DefaultPort: -1}, {DefaultPort: 65536},
	} {
		if _, err := New("", o); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
	for name, want := range map[string]Format{"": Auto, "sponge": Kratos, "grpc": Etcd, "coredns": SkyDNS, "kratos": Kratos, "dubbo-go": Dubbo, "trpc-go": TRPC, "registrator": Plain} {
		if got, err := Parse(name); got != want || err != nil {
			t.Errorf("Parse(%q) = %q, %v; want %q", name, got, err, want)
		}
	}
}

func TestTenThousandRecordsTakeWellUnderASecond(t *testing.T) {
	d := decoder(t, Options{Protocol: "http"})
	begin := time.Now()
	for _, s := range samples() {
		for range 200 {
			d.Decode(s.key, []byte(s.value))
		}
	}
	n := 200 * len(samples())
	if took := time.Since(begin); took > 10*time.Second { // generous: a race build on a loaded machine
		t.Errorf("%d records took %v: a list of a large service must not hold up its watch", n, took)
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, s := range samples() {
		if s.name != "host:port" && s.name != "null metadata" && s.name != "for http" && s.name != "go-micro" && s.name != "dubbo-go by interface" {
			continue
		}
		for _, f := range []Format{s.options.Format, Auto} {
			o := s.options
			o.Format = f
			d := decoder(b, o)
			b.Run(fmt.Sprintf("%s/%s", s.name, f), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := d.Decode(s.key, []byte(s.value)); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, s := range samples() {
		f.Add(s.key, []byte(s.value), string(s.options.Format), s.options.Protocol, s.options.DefaultPort)
	}
	f.Fuzz(func(t *testing.T, key string, value []byte, format, protocol string, port int) {
		for _, name := range append(Formats(), Format(format)) {
			d, err := New("", Options{Format: name, Protocol: protocol, DefaultPort: port})
			if err != nil {
				continue
			}
			checkSound(t, d, key, value)
		}
	})
}

// checkSound holds a reading to what the pool relies on.
func checkSound(t *testing.T, d *Decoder, key string, value []byte) {
	r, err := d.Decode(key, value)
	if err != nil && (r.Format != "" || len(r.Endpoints) > 0) {
		t.Fatalf("%s: both a reading %+v and an error %v", d.format, r, err)
	}
	if err == nil && (len(r.Endpoints) == 0) != (r.Reason != "") {
		t.Fatalf("%s: %d endpoints and reason %q", d.format, len(r.Endpoints), r.Reason)
	}
	seen := map[string]bool{}
	for _, e := range r.Endpoints {
		if a, _, err := Address(e.Address, 0); a != e.Address || err != nil {
			t.Fatalf("%s: address %q cleans to %q, %v: one backend would have two identities", d.format, e.Address, a, err)
		}
		if !(e.Weight > 0) || math.IsInf(e.Weight, 0) {
			t.Fatalf("%s: weight %g", d.format, e.Weight)
		}
		if _, dropped := bound(e.Metadata); dropped != "" || seen[e.Address] {
			t.Fatalf("%s: %q twice, or its metadata out of bounds", d.format, e.Address)
		}
		seen[e.Address] = true
	}
	if again, _ := d.Decode(key, value); !same(r, again) {
		t.Fatalf("%s: two readings of one record differ: %+v, %+v", d.format, r, again)
	}
}

func same(a, b Reading) bool {
	if a.Format != b.Format || a.Reason != b.Reason || a.Warning != b.Warning || len(a.Endpoints) != len(b.Endpoints) {
		return false
	}
	for i := range a.Endpoints {
		if !a.Endpoints[i].Equal(b.Endpoints[i]) {
			return false
		}
	}
	return true
}

func TestEveryWordIsAFormat(t *testing.T) {
	for _, w := range Words() {
		if f, err := Parse(w); err != nil || !slices.Contains(Formats(), f) {
			t.Errorf("Parse(%q) = %q, %v", w, f, err)
		}
	}
	if _, err := Parse("sponges"); err == nil || !strings.Contains(err.Error(), "sponge,") {
		t.Errorf("an unknown word: %v, want those that are known", err)
	}
}
