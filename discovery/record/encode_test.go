package record

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"portside/discovery"
)

func TestEncodeWritesWhatTheFormatsOwnLibrariesWrite(t *testing.T) {
	bare := discovery.Endpoint{Address: "10.0.0.5:8080"}
	full := discovery.Endpoint{Address: "10.0.0.5:8080", Weight: 2, Zone: "z1", Version: "v1", Metadata: map[string]string{"rack": "7"}}
	tests := []struct {
		f    Format
		e    discovery.Endpoint
		want Written
	}{
		{Plain, bare, Written{"10.0.0.5:8080", "10.0.0.5:8080;draining=true"}},
		{Plain, full, Written{"10.0.0.5:8080;weight=2;rack=7;version=v1;zone=z1", "10.0.0.5:8080;weight=2;draining=true;rack=7;version=v1;zone=z1"}},
		{Etcd, bare, Written{`{"Op":0,"Addr":"10.0.0.5:8080","Metadata":null}`, `{"Op":0,"Addr":"10.0.0.5:8080","Metadata":{"draining":true}}`}},
		{Etcd, full, Written{
			`{"Op":0,"Addr":"10.0.0.5:8080","Metadata":{"rack":"7","version":"v1","weight":2,"zone":"z1"}}`,
			`{"Op":0,"Addr":"10.0.0.5:8080","Metadata":{"draining":true,"rack":"7","version":"v1","weight":2,"zone":"z1"}}`,
		}},
		{GoZero, bare, Written{"10.0.0.5:8080", ""}},
		{Kratos, bare, Written{
			`{"id":"10.0.0.5:8080","name":"orders","version":"","metadata":null,"endpoints":["grpc://10.0.0.5:8080"]}`,
			`{"id":"10.0.0.5:8080","name":"orders","version":"","metadata":{"draining":"true"},"endpoints":["grpc://10.0.0.5:8080"]}`,
		}},
		{Kratos, full, Written{
			`{"id":"10.0.0.5:8080","name":"orders","version":"v1","metadata":{"rack":"7","weight":"200","zone":"z1"},"endpoints":["grpc://10.0.0.5:8080"]}`,
			`{"id":"10.0.0.5:8080","name":"orders","version":"v1","metadata":{"draining":"true","rack":"7","weight":"200","zone":"z1"},"endpoints":["grpc://10.0.0.5:8080"]}`,
		}},
		{Kitex, bare, Written{
			`{"network":"tcp","address":"10.0.0.5:8080","weight":10,"tags":null}`,
			`{"network":"tcp","address":"10.0.0.5:8080","weight":10,"tags":{"draining":"true"}}`,
		}},
		{Hertz, full, Written{
			`{"network":"tcp","address":"10.0.0.5:8080","weight":20,"tags":{"rack":"7","version":"v1","zone":"z1"}}`,
			`{"network":"tcp","address":"10.0.0.5:8080","weight":20,"tags":{"draining":"true","rack":"7","version":"v1","zone":"z1"}}`,
		}},
	}
	for _, tt := range tests {
		got, err := Encode(tt.f, Registrant{Service: "orders", Protocol: "grpc", Endpoint: tt.e})
		if err != nil {
			t.Errorf("%s: %v", tt.f, err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s, want - got +: the format's other readers know these bytes\n%s", tt.f, diff)
		}
	}
}

func TestWhatIsWrittenReadsBack(t *testing.T) {
	for _, f := range Writable() {
		for _, e := range []discovery.Endpoint{
			{Address: "10.0.0.5:8080", Weight: 1},
			{Address: "[fe80::1%eth0]:8080", Weight: 1},
			{Address: "api.example.com:8080", Weight: 2.5, Zone: "z1", Version: "v1.2.0", Metadata: map[string]string{"a.b": "c d", "<&>": `"q"`}},
			{Address: "10.0.0.5:8080", Weight: .1, Zone: "ü"},
		} {
			if f == GoZero {
				e = discovery.Endpoint{Address: e.Address, Weight: 1}
			}
			rec, err := Encode(f, Registrant{Service: "orders", Endpoint: e})
			if err != nil {
				t.Errorf("%s %+v: %v", f, e, err)
				continue
			}
			checkReadsBack(t, f, rec, rec.Value, e)
			if rec.Draining != "" {
				e.Draining = true
				checkReadsBack(t, f, rec, rec.Draining, e)
			}
		}
	}
}

func checkReadsBack(t *testing.T, f Format, rec Written, value string, want discovery.Endpoint) {
	t.Helper()
	for _, o := range []Options{{Format: f}, {Format: Auto}} {
		r, err := decoder(t, o).Decode("s/o/1", []byte(value))
		if err != nil || len(r.Endpoints) != 1 {
			t.Errorf("%s as %s: %v, %v", value, o.Format, r, err)
			continue
		}
		got := r.Endpoints[0]
		delete(got.Metadata, "scheme")
		if len(got.Metadata) == 0 {
			got.Metadata = nil
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s as %s, wrote - read +:\n%s", value, o.Format, diff)
		}
	}
}

func TestKratosSchemeComesFromWhoeverKnows(t *testing.T) {
	tests := []struct {
		r    Registrant
		want string
	}{
		{Registrant{Endpoint: discovery.Endpoint{Address: "10.0.0.5:1"}}, "http://10.0.0.5:1"},
		{Registrant{Protocol: "tcp", Endpoint: discovery.Endpoint{Address: "grpc://10.0.0.5:1"}}, "tcp://10.0.0.5:1"},
		{Registrant{Endpoint: discovery.Endpoint{Address: "grpc://10.0.0.5:1"}}, "grpc://10.0.0.5:1"},
		{Registrant{Endpoint: discovery.Endpoint{Address: "10.0.0.5:1", Metadata: map[string]string{"protocol": "grpc"}}}, "grpc://10.0.0.5:1"},
	}
	for _, tt := range tests {
		rec, err := Encode(Kratos, tt.r)
		if err != nil || !strings.Contains(rec.Value, `["`+tt.want+`"]`) {
			t.Errorf("%+v: %s, %v; want %s", tt.r, rec.Value, err, tt.want)
		}
	}
}

func TestEncodeRefusesWhatTheFormatCannotHold(t *testing.T) {
	tests := []struct {
		f    Format
		e    discovery.Endpoint
		want string
	}{
		{RPCX, discovery.Endpoint{}, "those are plain"},
		{Auto, discovery.Endpoint{}, "those are plain"},
		{Plain, discovery.Endpoint{Address: "10.0.0.5"}, "no port"},
		{Plain, discovery.Endpoint{Weight: -1}, "weight -1"},
		{Plain, discovery.Endpoint{Weight: math.NaN()}, "weight NaN"},
		{Plain, discovery.Endpoint{Weight: math.Inf(1)}, "weight +Inf"},
		{Plain, discovery.Endpoint{Zone: "a;b"}, "cannot hold"},
		{Plain, discovery.Endpoint{Metadata: map[string]string{"a=b": "c"}}, "cannot hold"},
		{Plain, discovery.Endpoint{Metadata: map[string]string{"a": "b\nc"}}, "cannot hold"},
		{Etcd, discovery.Endpoint{Metadata: map[string]string{"Weight": "3"}}, "record's own"},
		{Etcd, discovery.Endpoint{Metadata: map[string]string{"a": strings.Repeat("x", maxMetadata)}}, "4096 bytes"},
		{GoZero, discovery.Endpoint{Weight: 2}, "an address alone"},
		{GoZero, discovery.Endpoint{Zone: "z"}, "an address alone"},
		{GoZero, discovery.Endpoint{Metadata: map[string]string{"a": "b"}}, "an address alone"},
		{Kratos, discovery.Endpoint{Metadata: map[string]string{"protocol": "g rpc"}}, "not a URL scheme"},
		{Kratos, discovery.Endpoint{Metadata: map[string]string{"scheme": "mine"}}, "read back"},
		{Etcd, discovery.Endpoint{Metadata: map[string]string{"a": " b"}}, "read back"},
		{Etcd, discovery.Endpoint{Metadata: map[string]string{"a": "\xff"}}, "read back"},
		{Kitex, discovery.Endpoint{Metadata: map[string]string{"": "b"}}, "read back"},
		{Plain, discovery.Endpoint{Metadata: map[string]string{"": "b"}}, "cannot hold"},
		{Kitex, discovery.Endpoint{Metadata: map[string]string{"weight": ""}}, "record's own"},
		{GoZero, discovery.Endpoint{Metadata: map[string]string{"a": ""}}, "an address alone"},
		{Kratos, discovery.Endpoint{Version: "v1\n"}, "read back"},
	}
	for _, tt := range tests {
		if tt.e.Address == "" {
			tt.e.Address = "10.0.0.5:80"
		}
		rec, err := Encode(tt.f, Registrant{Endpoint: tt.e})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s %+v: wrote %q, %v; want an error with %q", tt.f, tt.e, rec.Value, err, tt.want)
		}
	}
}

// That a value is empty may mean something to who reads it.
func TestEmptyMetadataIsWritten(t *testing.T) {
	for f, want := range map[Format]string{
		Plain: "10.0.0.5:80;canary=", Etcd: `"Metadata":{"canary":""}`,
		Kratos: `"metadata":{"canary":""}`, Kitex: `"tags":{"canary":""}`, Hertz: `"tags":{"canary":""}`,
	} {
		rec, err := Encode(f, Registrant{Endpoint: discovery.Endpoint{Address: "10.0.0.5:80", Metadata: map[string]string{"canary": ""}}})
		if err != nil || !strings.Contains(rec.Value, want) {
			t.Errorf("%s: wrote %q, %v; want %s in it", f, rec.Value, err, want)
		}
		checkAutoReads(t, f, rec, discovery.Endpoint{Address: "10.0.0.5:80"})
	}
}

func FuzzEncode(f *testing.F) {
	f.Add("10.0.0.5:8080", 2.5, "z1", "v1", "rack", "7", "orders", "grpc")
	f.Add("grpc://[fe80::1%25eth0]:1", .1, "ü", "", "a.b", "<&>", "", "")
	f.Fuzz(func(t *testing.T, address string, weight float64, zone, version, name, value, service, protocol string) {
		e := discovery.Endpoint{Address: address, Weight: weight, Zone: zone, Version: version, Metadata: with(nil, name, value)}
		for _, format := range Writable() {
			rec, err := Encode(format, Registrant{Service: service, Protocol: protocol, Endpoint: e})
			if err != nil {
				continue
			}
			checkAutoReads(t, format, rec, e)
		}
	})
}

// checkAutoReads holds what was written to the commonest way of reading it.
func checkAutoReads(t *testing.T, f Format, rec Written, e discovery.Endpoint) {
	r, err := decoder(t, Options{}).Decode("s/o/1", []byte(rec.Value))
	if err != nil || len(r.Endpoints) != 1 {
		t.Fatalf("%s wrote %q=%q, which auto reads as %+v, %v", f, "s/o/1", rec.Value, r, err)
	}
	got := r.Endpoints[0]
	address, _, _ := Address(e.Address, 0)
	if got.Address != address || got.Zone != e.Zone || got.Version != e.Version || got.Draining {
		t.Fatalf("%s wrote %+v as %q, which reads as %+v", f, e, rec.Value, got)
	}
	want := e.Weight
	if want == 0 {
		want = 1
	}
	const coarsest = .1 // Kitex counts in tenths
	if got.Weight != want && (f == Plain || f == Etcd) || math.Abs(got.Weight-want) > coarsest {
		t.Fatalf("%s wrote weight %g, which reads as %g", f, want, got.Weight)
	}
}
