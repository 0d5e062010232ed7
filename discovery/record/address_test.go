package record

import (
	"strings"
	"testing"
)

func TestAddressIsCleanedToHostPort(t *testing.T) {
	long := strings.Repeat("a", 63)
	tests := []struct {
		raw     string
		port    int
		want    string
		scheme  string
		problem string // in the error, when there is one
	}{
		{raw: "10.0.0.5:8080", want: "10.0.0.5:8080"},
		{raw: " 10.0.0.5:8080\r\n", want: "10.0.0.5:8080"},
		{raw: "10.0.0.5", port: 80, want: "10.0.0.5:80"},
		{raw: "10.0.0.5:81", port: 80, want: "10.0.0.5:81"},
		{raw: "10.0.0.5:1", want: "10.0.0.5:1"},
		{raw: "10.0.0.5:65535", want: "10.0.0.5:65535"},
		{raw: "http://10.0.0.5:8080", want: "10.0.0.5:8080", scheme: "http"},
		{raw: "HTTP://10.0.0.5:8080/path?q=1#f", want: "10.0.0.5:8080", scheme: "http"},
		{raw: "http://10.0.0.5", want: "10.0.0.5:80", scheme: "http"},
		{raw: "https://10.0.0.5/", want: "10.0.0.5:443", scheme: "https"},
		{raw: "wss://10.0.0.5/", want: "10.0.0.5:443", scheme: "wss"},
		{raw: "http://10.0.0.5", port: 8080, want: "10.0.0.5:8080", scheme: "http"},
		{raw: "grpc+tls://10.0.0.5:1", want: "10.0.0.5:1", scheme: "grpc+tls"},
		{raw: "postgres://user:p@ss@10.0.0.5:5432/db", want: "10.0.0.5:5432", scheme: "postgres"},
		{raw: "10.0.0.5:8080/path", want: "10.0.0.5:8080"},
		{raw: "10.0.0.5:8080/login?back=http://x/", want: "10.0.0.5:8080"},
		{raw: "10.0.0.5:8080?isSecure=true", want: "10.0.0.5:8080"},
		{raw: "API.Example.COM:80", want: "api.example.com:80"},
		{raw: "my_container:80", want: "my_container:80"},
		{raw: "api.example.com.:80", want: "api.example.com.:80"},
		{raw: "localhost:80", want: "localhost:80"},
		{raw: "1.example:80", want: "1.example:80"},
		{raw: long + ".example:80", want: long + ".example:80"},
		{raw: "[2001:db8::1]:80", want: "[2001:db8::1]:80"},
		{raw: "[2001:DB8:0:0::1]:80", want: "[2001:db8::1]:80"},
		{raw: "[2001:db8::1]", port: 80, want: "[2001:db8::1]:80"},
		{raw: "http://[2001:db8::1]:80/x", want: "[2001:db8::1]:80", scheme: "http"},
		{raw: "[[::1]]:8080", want: "[::1]:8080"},
		{raw: "fe80::1:8888", want: "[fe80::1]:8888"},
		{raw: "::1:8080", want: "[::1]:8080"},
		{raw: ":::8080", want: "[::]:8080"},
		{raw: "2001:db8:0:0:0:0:0:5:80", want: "[2001:db8::5]:80"},
		{raw: "2001:db8:0:0:0:0:0:5", port: 80, want: "[2001:db8::5]:80"},
		{raw: "2001:db8::5", port: 80, want: "[2001:db8::5]:80", scheme: ""},
		{raw: "fe80::1", port: 80, want: "[fe80::1]:80"},
		{raw: "fe80::a:b", port: 80, want: "[fe80::a:b]:80"},
		{raw: "fe80::1:0080", port: 443, want: "[fe80::1:80]:443"},
		{raw: "[fe80::1%eth0]:80", want: "[fe80::1%eth0]:80"},
		{raw: "fe80::1%eth0:8888", want: "[fe80::1%eth0]:8888"},
		{raw: "http://[fe80::1%25eth0]:80", want: "[fe80::1%eth0]:80", scheme: "http"},
		{raw: "[fe80::1%25]:80", want: "[fe80::1%25]:80"},
		{raw: "[::ffff:10.0.0.5]:80", want: "10.0.0.5:80"},
		{raw: "::ffff:10.0.0.5:80", want: "10.0.0.5:80"},
		{raw: "0.0.0.0:80", want: "0.0.0.0:80"},

		{raw: "", problem: "empty"},
		{raw: "   ", problem: "empty"},
		{raw: "http://", problem: "empty"},
		{raw: ":80", problem: "no host"},
		{raw: ".:80", problem: "no host"},
		{raw: "10.0.0.5", problem: "no port"},
		{raw: "fe80::a:b", problem: "no port"},
		{raw: "10.0.0.5:", problem: "nothing after the colon"},
		{raw: "10.0.0.5:0", problem: `port "0"`},
		{raw: "10.0.0.5:65536", problem: `port "65536"`},
		{raw: "10.0.0.5:99999999999999999999", problem: "port"},
		{raw: "10.0.0.5:http", problem: `port "http"`},
		{raw: "10.0.0.5:+80", problem: `port "+80"`},
		{raw: "10.0.0.5:080", problem: `port "080"`},
		{raw: "10.0.0.5: 80", problem: "port"},
		{raw: "300.0.0.5:80", problem: "neither IPv4 nor a host name"},
		{raw: "10.0.0:80", problem: "neither IPv4 nor a host name"},
		{raw: "010.0.0.5:80", problem: "neither IPv4 nor a host name"},
		{raw: "7587884829401234567", port: 80, problem: "neither IPv4 nor a host name"},
		{raw: "a..b:80", problem: "no part of a host name"},
		{raw: "-a:80", problem: "no part of a host name"},
		{raw: "a b:80", problem: "no part of a host name"},
		{raw: "a\x00:80", problem: "no part of a host name"},
		{raw: "bücher.example:80", problem: "no part of a host name"},
		{raw: "user@host:80", problem: "no part of a host name"},
		{raw: "tcp@10.0.0.5:80", problem: "no part of a host name"},
		{raw: long + "a:80", problem: "no part of a host name"},
		{raw: strings.Repeat("a.", 127) + "a:80", problem: "longer than 253"},
		{raw: "[10.0.0.5]:80", problem: "not IPv6"},
		{raw: "[api]:80", problem: "not IPv6"},
		{raw: "[[[::1]]]:80", problem: "not IPv6"},
		{raw: "[::1:80", problem: "not closed"},
		{raw: "[::1]80", problem: "not a port"},
		{raw: "[::1]:", problem: "not a port"},
		{raw: "host:container:80", problem: "neither host:port nor IPv6"},
		{raw: "[fe80::1%a/b]:80", problem: "not closed"},
		{raw: "[fe80::1%a b]:80", problem: "zone"},
		{raw: "unix:///run/x.sock", problem: "unix socket"},
		{raw: "postgres://app:secret@10.0.0.5/db", problem: `"postgres://…@10.0.0.5/db": no port`},
		{raw: "1http://10.0.0.5:80", problem: "not a URL scheme"},
		{raw: "://10.0.0.5:80", problem: "not a URL scheme"},
		{raw: `{"Addr":"10.0.0.5:80"}`, problem: `{\"Addr`},
		{raw: strings.Repeat("x", 1<<20), problem: "xxx…"},
	}
	for _, tt := range tests {
		got, scheme, err := Address(tt.raw, tt.port)
		if tt.problem != "" {
			if err == nil || !strings.Contains(err.Error(), tt.problem) {
				t.Errorf("Address(%q, %d) = %q, %v; want an error with %q", short(tt.raw), tt.port, got, err, tt.problem)
			}
			continue
		}
		if err != nil || got != tt.want || scheme != tt.scheme {
			t.Errorf("Address(%q, %d) = %q, %q, %v; want %q, %q", tt.raw, tt.port, got, scheme, err, tt.want, tt.scheme)
		}
		if again, _, err := Address(got, 0); again != got || err != nil {
			t.Errorf("Address(%q) = %q, %v: cleaning twice must change nothing", got, again, err)
		}
	}
}
