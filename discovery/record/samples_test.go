package record

import "portside/discovery"

// sample is a record as a project's own code writes it, and what it says.
type sample struct {
	name    string
	options Options
	key     string
	value   string
	want    []discovery.Endpoint // none: an absence
	auto    Format               // what auto calls it; empty: the same
}

func at(address string) discovery.Endpoint { return discovery.Endpoint{Address: address, Weight: 1} }

func ep(e discovery.Endpoint, more ...string) []discovery.Endpoint {
	if e.Weight == 0 {
		e.Weight = 1
	}
	for i := 0; i < len(more); i += 2 {
		e.Metadata = with(e.Metadata, more[i], more[i+1])
	}
	return []discovery.Endpoint{e}
}

// The values are literal: field order, escapes and blanks are the writers' own.
func samples() []sample {
	var all []sample
	for _, some := range [][]sample{
		textSamples(), etcdSamples(), kratosSamples(), rpcSamples(), dubboSamples(), otherSamples(), infraSamples(),
	} {
		all = append(all, some...)
	}
	return all
}

func textSamples() []sample {
	plain := Options{Format: Plain}
	return []sample{
		{"host:port", plain, "service/orders/i-01", "10.0.0.5:8080", ep(at("10.0.0.5:8080")), ""},
		{"confd", plain, "/myapp/upstream/app1", "10.0.1.101:80", ep(at("10.0.1.101:80")), ""},
		{"no segment for the server", plain, "/services/db", "10.0.1.101:80", ep(at("10.0.1.101:80")), ""},
		{"written by a shell", plain, "service/orders/i-01", "10.0.0.5:8080\n", ep(at("10.0.0.5:8080")), ""},
		{"URL", plain, "service/orders/i-01", "http://10.0.0.5:8080", ep(at("10.0.0.5:8080"), "scheme", "http"), ""},
		{"address in the key", plain, "service/orders/10.0.0.5:8080", "", ep(at("10.0.0.5:8080")), ""},
		{
			"portside's suffix", plain, "service/orders/a", "10.0.0.5:8080;weight=2;zone=a;version=v1;draining=true;rack=7",
			ep(discovery.Endpoint{Address: "10.0.0.5:8080", Weight: 2, Zone: "a", Version: "v1", Draining: true}, "rack", "7"), "",
		},
		{"registrator's id", plain, "/svc/web/host:container:80", "10.0.0.5:32768", ep(at("10.0.0.5:32768")), ""},
		{"fixed list", plain, "", "10.0.0.8:5432;weight=2", ep(discovery.Endpoint{Address: "10.0.0.8:5432", Weight: 2}), ""},
		{"default port", Options{Format: Plain, DefaultPort: 80}, "s/o/a", "api", ep(at("api:80")), ""},
		{"go-zero", Options{Format: GoZero}, "user.rpc/7587884829401234567", "10.0.0.5:8080", ep(at("10.0.0.5:8080")), Plain},
		{"go-kit", Options{Format: GoKit}, "/service/foobar/10.0.0.5:8080", "http://10.0.0.5:8080", ep(at("10.0.0.5:8080"), "scheme", "http"), Plain},
		{"go-kit, no scheme", Options{Format: GoKit}, "/service/foobar/1.2.3.4:8080", "1.2.3.4:8080", ep(at("1.2.3.4:8080")), Plain},
	}
}

func etcdSamples() []sample {
	etcd, jupiter := Options{Format: Etcd}, Options{Format: Jupiter}
	return []sample{
		{"null metadata", etcd, "svc/a/1", `{"Op":0,"Addr":"10.0.0.5:8080","Metadata":null}`, ep(at("10.0.0.5:8080")), ""},
		{
			"scheme and weight", etcd, "svc/a/2", `{"Op":0,"Addr":"http://10.0.0.5:8080","Metadata":{"weight":3}}`,
			ep(discovery.Endpoint{Address: "10.0.0.5:8080", Weight: 3}, "scheme", "http"), "",
		},
		{"string metadata", etcd, "svc/a/3", `{"Op":0,"Addr":"10.0.0.6:8080","Metadata":"zone-a"}`, ep(at("10.0.0.6:8080"), "metadata", "zone-a"), ""},
		{"number metadata", etcd, "svc/a/3", `{"Op":0,"Addr":"10.0.0.6:8080","Metadata":17}`, ep(at("10.0.0.6:8080"), "metadata", "17"), ""},
		{
			"a Go struct as metadata", etcd, "svc/a/3", `{"Op":0,"Addr":"10.0.0.6:8080","Metadata":{"Weight":2,"Zone":"z1","Version":"v2"}}`,
			ep(discovery.Endpoint{Address: "10.0.0.6:8080", Weight: 2, Zone: "z1", Version: "v2"}), "",
		},
		{
			"draining and nesting", etcd, "svc/a/4", `{"Op":0,"Addr":"10.0.0.6:8080","Metadata":{"draining":true,"a":{"b":[1, 2],"c":null}}}`,
			ep(discovery.Endpoint{Address: "10.0.0.6:8080", Draining: true}, "a.b", "[1,2]"), "",
		},
		{
			"neither Op nor port",
			Options{Format: Etcd, DefaultPort: 50051},
			"svc/1.2.3.4", `{"Addr":"1.2.3.4","Metadata":"..."}`,
			ep(at("1.2.3.4:50051"), "metadata", "..."), "",
		},
		{"deleted", etcd, "svc/a/1", `{"Op":1,"Addr":"10.0.0.5:8080","Metadata":null}`, nil, ""},
		{
			"jupiter", jupiter, "grpc:main:v1:dev/10.0.0.5:9527",
			`{"Op":0,"Addr":"10.0.0.5:9527","MetadataX":{"name":"main","appId":"8f2c","scheme":"grpc","address":"10.0.0.5:9527","weight":100,"enable":true,"healthy":true,"metadata":{"appVersion":"1.0"},"region":"","zone":"unknown","kind":1,"version":"v1","mode":"dev","hostname":"","deployment":"","group":""}}`,
			ep(discovery.Endpoint{Address: "10.0.0.5:9527", Version: "v1"},
				"appId", "8f2c", "scheme", "grpc", "metadata.appVersion", "1.0", "kind", "1", "mode", "dev"), "",
		},
		{
			"jupiter, half weight", jupiter, "grpc:main:v1:dev/10.0.0.5:9527", `{"Op":0,"Addr":"10.0.0.5:9527","MetadataX":{"weight":50.0,"zone":"z1"}}`,
			ep(discovery.Endpoint{Address: "10.0.0.5:9527", Weight: .5, Zone: "z1"}), "",
		},
		{"jupiter, disabled", jupiter, "grpc:main:v1:dev/10.0.0.5:9527", `{"Op":0,"Addr":"10.0.0.5:9527","MetadataX":{"enable":false,"healthy":true}}`, nil, ""},
		{"jupiter, unhealthy", jupiter, "grpc:main:v1:dev/10.0.0.5:9527", `{"Op":0,"Addr":"10.0.0.5:9527","MetadataX":{"enable":true,"healthy":false}}`, nil, ""},
		{"jupiter, other scheme", Options{Format: "jupiter+http"}, "grpc:main:v1:dev/10.0.0.5:9527", `{"Op":0,"Addr":"10.0.0.5:9527","MetadataX":{"scheme":"grpc"}}`, nil, ""},
	}
}

func kratosSamples() []sample {
	const key = "/microservices/helloworld/c0a80105-host"
	const both = `{"id":"c0a80105-host","name":"helloworld","version":"v1.2.0","metadata":{"weight":"20"},"endpoints":["http://10.0.0.5:8000","grpc://10.0.0.5:9000"]}`
	fifth := func(address string) discovery.Endpoint {
		return discovery.Endpoint{Address: address, Weight: .2, Version: "v1.2.0"}
	}
	return []sample{
		{"for http", Options{Format: Kratos, Protocol: "http"}, key, both, ep(fifth("10.0.0.5:8000"), "scheme", "http"), ""},
		{"for grpc", Options{Format: Kratos, Protocol: "grpc"}, key, both, ep(fifth("10.0.0.5:9000"), "scheme", "grpc"), ""},
		{"for h2", Options{Format: Kratos, Protocol: "h2"}, key, both, ep(fifth("10.0.0.5:9000"), "scheme", "grpc"), ""},
		{"named", Options{Format: "kratos+grpc", Protocol: "http"}, key, both, ep(fifth("10.0.0.5:9000"), "scheme", "grpc"), ""},
		{"named by its alias", Options{Format: "sponge+http"}, key, both, ep(fifth("10.0.0.5:8000"), "scheme", "http"), ""},
		{"named and not there", Options{Format: "kratos+ws"}, key, both, nil, ""},
		{
			"single",
			Options{Format: Kratos},
			key, `{"id":"a","name":"h","version":"","metadata":null,"endpoints":["grpc://10.0.0.5:9000"]}`,
			ep(at("10.0.0.5:9000"), "scheme", "grpc"), "",
		},
		{
			"one address",
			Options{Format: Kratos},
			key, `{"id":"a","name":"h","version":"","metadata":null,"endpoints":["http://10.0.0.5:9000","grpc://10.0.0.5:9000"]}`,
			ep(at("10.0.0.5:9000"), "scheme", "http"), "",
		},
		{
			"tcp of several",
			Options{Format: Kratos},
			key, `{"id":"a","name":"h","endpoints":["http://10.0.0.5:8000","tcp://10.0.0.5:9001"]}`,
			ep(at("10.0.0.5:9001"), "scheme", "tcp"), "",
		},
		{
			"a protocol of its own",
			Options{Format: Kratos, Protocol: "redis"},
			key, `{"id":"a","name":"h","endpoints":["http://10.0.0.5:8000","redis://10.0.0.5:9001"]}`,
			ep(at("10.0.0.5:9001"), "scheme", "redis"), "",
		},
		{
			"old TLS",
			Options{Format: Kratos, Protocol: "http"},
			key, `{"id":"a","name":"h","endpoints":["http://10.0.0.5:8000?isSecure=true"]}`,
			ep(at("10.0.0.5:8000"), "scheme", "https"), "",
		},
		{"no endpoint", Options{Format: Kratos}, key, `{"id":"a","name":"h","version":"","metadata":null,"endpoints":[]}`, nil, ""},
		{"null endpoints", Options{Format: Kratos}, key, `{"id":"a","name":"h","version":"","metadata":null,"endpoints":null}`, nil, ""},
		{
			"draining",
			Options{Format: Kratos},
			key, `{"id":"a","name":"h","metadata":{"draining":"true","zone":"z1"},"endpoints":["grpc://10.0.0.5:9000"]}`,
			ep(discovery.Endpoint{Address: "10.0.0.5:9000", Zone: "z1", Draining: true}, "scheme", "grpc"), "",
		},
	}
}

func rpcSamples() []sample {
	const micro = `{"name":"greeter","version":"latest","metadata":null,"endpoints":[{"name":"Greeter.Hello","request":null}],"nodes":[{"metadata":{"broker":"http","protocol":"grpc","registry":"etcd","server":"grpc","transport":"grpc"},"id":"greeter-3f1e","address":"10.0.0.5:50051"}]}`
	return []sample{
		{
			"go-micro",
			Options{Format: GoMicro},
			"/micro/registry/greeter/greeter-3f1e", micro,
			ep(discovery.Endpoint{Address: "10.0.0.5:50051", Version: "latest"},
				"broker", "http", "protocol", "grpc", "registry", "etcd", "server", "grpc", "transport", "grpc"), "",
		},
		{
			"go-micro web, twice bracketed",
			Options{Format: GoMicro},
			"/micro/registry/web/web-1",
			`{"name":"web","version":"1","metadata":null,"endpoints":null,"nodes":[{"metadata":null,"id":"web-1","address":"[[2001:db8::1]]:8080"}]}`,
			ep(discovery.Endpoint{Address: "[2001:db8::1]:8080", Version: "1"}), "",
		},
		{"go-micro, other protocol", Options{Format: "go-micro+http"}, "/micro/registry/greeter/greeter-3f1e", micro, nil, ""},
		{"go-micro, no node", Options{Format: GoMicro}, "/micro/registry/greeter/x", `{"name":"greeter","endpoints":[],"nodes":[]}`, nil, ""},
		{
			"kitex",
			Options{Format: Kitex},
			"kitex/registry-etcd/Hello/10.0.0.5:8888",
			`{"network":"tcp","address":"10.0.0.5:8888","weight":10,"tags":null}`, ep(at("10.0.0.5:8888")), "",
		},
		{
			"kitex, bare IPv6",
			Options{Format: Kitex},
			"kitex/registry-etcd/Hello/fe80::1:8888",
			`{"network":"tcp","address":"fe80::1:8888","weight":20,"tags":{"zone":"z1"}}`,
			ep(discovery.Endpoint{Address: "[fe80::1]:8888", Weight: 2, Zone: "z1"}), "",
		},
		{
			"kitex, no weight",
			Options{Format: Kitex},
			"kitex/registry-etcd/Hello/10.0.0.5:8888",
			`{"network":"tcp","address":"10.0.0.5:8888","weight":0,"tags":null}`, ep(at("10.0.0.5:8888")), "",
		},
		{"kitex, unix", Options{Format: Kitex}, "kitex/registry-etcd/Hello/a", `{"network":"unix","address":"/tmp/a.sock","weight":10,"tags":null}`, nil, ""},
		{
			"hertz",
			Options{Format: Hertz},
			"hertz/registry-etcd/hertz.test.demo/10.0.0.5:8888",
			`{"network":"tcp","address":"10.0.0.5:8888","weight":10,"tags":null}`, ep(at("10.0.0.5:8888")), "",
		},
		{
			"rpcx",
			Options{Format: RPCX},
			"rpcx_test/Arith/tcp@10.0.0.5:8972", "weight=10&group=blue&state=active&calls=12.33&connections=1.00",
			ep(discovery.Endpoint{Address: "10.0.0.5:8972", Weight: 10}, "group", "blue", "state", "active", "network", "tcp"), "",
		},
		{"rpcx, empty", Options{Format: RPCX}, "rpcx_test/Arith/tcp@10.0.0.5:8972", "", ep(at("10.0.0.5:8972"), "network", "tcp"), ""},
		{"rpcx, inactive", Options{Format: RPCX}, "rpcx_test/Arith/tcp@10.0.0.5:8972", "state=inactive", nil, ""},
		{"rpcx, quic", Options{Format: RPCX}, "rpcx_test/Arith/quic@10.0.0.5:8972", "", nil, ""},
		{"rpcx root", Options{Format: RPCX}, "rpcx_test", "rpcx_path", nil, Auto},
		{
			"trpc",
			Options{Format: TRPC},
			" trpc/registry/services/trpc.test.helloworld.Greeter/10.0.0.5-8000-4711",
			`{"name":"trpc.test.helloworld.Greeter","id":"10.0.0.5-8000-4711","address":"10.0.0.5:8000","metadata":{"tags":"x"},"weight":1}`,
			ep(at("10.0.0.5:8000"), "tags", "x"), "",
		},
		{
			"goframe",
			Options{Format: GoFrame},
			"/service/default/default/hello.svc/latest/10.0.0.5:8000,172.17.0.1:8000", `{"insecure":true,"protocol":"http"}`,
			ep(at("10.0.0.5:8000"), "insecure", "true", "protocol", "http"), "",
		},
		{
			"goframe, docker first",
			Options{Format: GoFrame},
			"/service/default/default/hello.svc/v2/172.17.0.1:8000,10.0.0.5:8000", `{"protocol":"http"}`,
			ep(discovery.Endpoint{Address: "10.0.0.5:8000", Version: "v2"}, "protocol", "http"), "",
		},
		{
			"goframe, one",
			Options{Format: GoFrame},
			"/service/default/default/demo/latest/10.0.0.5:8000", `{"protocol":"grpc"}`,
			ep(at("10.0.0.5:8000"), "protocol", "grpc"), "",
		},
	}
}

func dubboSamples() []sample {
	dubbo := Options{Format: Dubbo}
	const key = "/dubbo/com.foo.Greeter/providers/tri%3A%2F%2F10.0.0.5%3A20000%2Fcom.foo.Greeter%3Fanyhost%3Dtrue%26application%3Dshop%26interface%3Dcom.foo.Greeter%26methods%3DSayHello%26side%3Dprovider%26timestamp%3D1763800000%26weight%3D100"
	provider := ep(at("10.0.0.5:20000"), "scheme", "tri", "anyhost", "true", "application", "shop", "interface", "com.foo.Greeter",
		"methods", "SayHello", "side", "provider", "timestamp", "1763800000")
	const golang = `{"ID":"10.0.0.5:20000","ServiceName":"shop","Host":"10.0.0.5","Port":20000,"Weight":0,"Enable":true,"Healthy":true,"Metadata":{"dubbo.endpoints":"[{\"port\":20000,\"protocol\":\"tri\"}]"},"ServiceMetadata":null,"Address":"","GroupName":"","Tag":""}`
	const java = `{"id":"10.0.0.5:20880","serviceName":"shop","host":"10.0.0.5","port":20880,"enabled":true,"healthy":true,"metadata":{"dubbo.endpoints":"[{\"port\":20880,\"protocol\":\"dubbo\"},{\"port\":8081,\"protocol\":\"rest\"}]"}}`
	return []sample{
		{"dubbo-go by interface", dubbo, key, "", provider, ""},
		{"dubbo Java by interface", dubbo, key, "7587884829401234567", provider, ""},
		{"consumer", dubbo, "/dubbo/com.foo.Greeter/consumers/consumer%3A%2F%2F10.0.0.9%2Fcom.foo.Greeter%3Fside%3Dconsumer", "", nil, ""},
		{"override", dubbo, "/dubbo/com.foo.Greeter/configurators/override%3A%2F%2F0.0.0.0%2Fcom.foo.Greeter%3Fdisabled%3Dtrue", "", nil, ""},
		{"disabled by interface", dubbo, key + "%26disabled%3Dtrue", "", nil, ""},
		{"other protocol", Options{Format: "dubbo+rest"}, key, "", nil, ""},
		{"dubbo-go directory", dubbo, "/dubbo/com.foo.Greeter/providers", "", nil, Auto},
		{"dubbo-go by application", dubbo, "/services/shop/10.0.0.5:20000", golang, ep(at("10.0.0.5:20000"), "scheme", "tri"), ""},
		{"dubbo Java by application", dubbo, "/services/shop/10.0.0.5:20880", java, ep(at("10.0.0.5:20880"), "scheme", "dubbo"), ""},
		{"rest of several", Options{Format: Dubbo, Protocol: "http"}, "/services/shop/10.0.0.5:20880", java, ep(at("10.0.0.5:8081"), "scheme", "rest"), ""},
		{"named of several", Options{Format: "dubbo+rest"}, "/services/shop/10.0.0.5:20880", java, ep(at("10.0.0.5:8081"), "scheme", "rest"), ""},
		{"named and not there", Options{Format: "dubbo+tri"}, "/services/shop/10.0.0.5:20880", java, nil, ""},
		{"disabled", dubbo, "/services/shop/10.0.0.5:1", `{"ServiceName":"shop","Host":"10.0.0.5","Port":1,"Enable":false,"Healthy":true}`, nil, ""},
		{"disabled in Java", dubbo, "/services/shop/10.0.0.5:1", `{"serviceName":"shop","host":"10.0.0.5","port":1,"enabled":false}`, nil, ""},
		{"unhealthy", dubbo, "/services/shop/10.0.0.5:1", `{"ServiceName":"shop","Host":"10.0.0.5","Port":1,"Enable":true,"Healthy":false}`, nil, ""},
	}
}

func otherSamples() []sample {
	sky := Options{Format: SkyDNS}
	return []sample{
		{
			"skydns", sky, "/skydns/local/cluster/api/x1", `{"host":"10.0.0.5","port":8080,"priority":10,"weight":100,"ttl":60}`,
			ep(at("10.0.0.5:8080"), "priority", "10"), "",
		},
		{"external-dns, no port", Options{Format: SkyDNS, DefaultPort: 443}, "/skydns/local/cluster/api/x1", `{"host":"10.0.0.5","ttl":60}`, ep(at("10.0.0.5:443")), ""},
		{"skydns at the service's own key", sky, "/skydns/local/cluster/api", `{"host":"api.cluster.local","port":8080}`, ep(at("api.cluster.local:8080")), ""},
		{
			"skydns IPv6", sky, "/skydns/local/cluster/api/x1", `{"host":"2001:db8::5","port":8080,"weight":50}`,
			ep(discovery.Endpoint{Address: "[2001:db8::5]:8080", Weight: .5}), "",
		},
		{"text", sky, "/skydns/local/cluster/api/x1", `{"text":"owner=me"}`, nil, ""},
		{"no service at that host", sky, "/skydns/local/cluster/api/x1", `{"host":"10.0.0.5","port":-1}`, nil, ""},
		{"mail", sky, "/skydns/local/cluster/api/x1", `{"host":"10.0.0.5","port":25,"mail":true}`, nil, ""},
		{"vulcand", Options{Format: Vulcand}, "/vulcand/backends/b1/servers/s1", `{"URL":"http://10.0.0.5:5000"}`, ep(at("10.0.0.5:5000"), "scheme", "http"), ""},
	}
}

func infraSamples() []sample {
	const milvus = `{"ServerID":7,"ServerName":"proxy","Address":"10.0.0.5:19529","TriggerKill":true,"Version":"2.5.0","LeaseID":1,"HostName":"m1"}`
	const patroni = `{"conn_url":"postgres://10.0.0.5:5432/postgres","api_url":"http://10.0.0.5:8008/patroni","state":"running","role":"primary","version":"4.0.4","xlog_location":67197376,"timeline":1}`
	const noLoad = `{"conn_url":"postgres://10.0.0.5:5432/postgres","state":"running","role":"master","version":"3.0.0","tags":{"noloadbalance":true}}`
	const starting = `{"conn_url":"postgres://10.0.0.5:5432/postgres","state":"starting","role":"replica"}`
	postgres := func(version string) []discovery.Endpoint {
		return ep(discovery.Endpoint{Address: "10.0.0.5:5432", Version: version}, "role", "primary", "scheme", "postgres")
	}
	proxy := discovery.Endpoint{Address: "10.0.0.5:19529", Version: "2.5.0"}
	stopping := proxy
	stopping.Draining = true
	return []sample{
		{"milvus", Options{Format: Milvus}, "by-dev/meta/session/proxy-7", milvus, ep(proxy, "role", "proxy", "host", "m1"), ""},
		{"milvus, stopping", Options{Format: "milvus+proxy"}, "by-dev/meta/session/proxy-7", `{"Stopping":true,` + milvus[1:], ep(stopping, "role", "proxy", "host", "m1"), ""},
		{"milvus, other role", Options{Format: "milvus+datanode"}, "by-dev/meta/session/proxy-7", milvus, nil, ""},
		{
			"tidb server",
			Options{Format: TiDB},
			"/tidb/server/info/8a3c", `{"version":"8.0","ip":"10.0.0.5","listening_port":4000,"status_port":10080,"labels":{"zone":"z1"}}`,
			ep(discovery.Endpoint{Address: "10.0.0.5:4000", Zone: "z1", Version: "8.0"}), "",
		},
		{"tidb topology", Options{Format: TiDB}, "/topology/tidb/10.0.0.5:4000/ttl", "1763800000000000000", ep(at("10.0.0.5:4000")), ""},
		{
			"tidb topology without a lease",
			Options{Format: TiDB},
			"/topology/tidb/10.0.0.5:4000/info",
			`{"version":"8.0","git_hash":"x","ip":"10.0.0.5","status_port":10080,"deploy_path":"/","start_timestamp":1,"labels":{"zone":"z1"}}`, nil, "",
		},
		{"patroni", Options{Format: Patroni}, "/service/pg/members/n1", patroni, postgres("4.0.4"), ""},
		{"patroni, not for load", Options{Format: Patroni}, "/service/pg/members/n1", noLoad, nil, ""},
		{"patroni, the primary all the same", Options{Format: "patroni+primary"}, "/service/pg/members/n1", noLoad, postgres("3.0.0"), ""},
		{"patroni, replicas only", Options{Format: "patroni+replica"}, "/service/pg/members/n1", patroni, nil, ""},
		{"patroni, starting", Options{Format: Patroni}, "/service/pg/members/n1", starting, nil, ""},
		{"apisix directory", Options{Format: APISIX}, "/apisix/upstreams/", "init_dir", nil, Auto},
		{
			"apisix map",
			Options{Format: APISIX},
			"/apisix/upstreams/1",
			`{"id":"1","type":"roundrobin","scheme":"http","pass_host":"pass","nodes":{"10.0.0.7:1980":2,"10.0.0.5:1980":1,"10.0.0.6:1980":0},"create_time":1763800000,"update_time":1763800000}`,
			append(ep(at("10.0.0.5:1980"), "scheme", "http"), ep(discovery.Endpoint{Address: "10.0.0.7:1980", Weight: 2}, "scheme", "http")...), "",
		},
		{
			"apisix array",
			Options{Format: APISIX},
			"/apisix/upstreams/2", `{"id":"2","nodes":[{"host":"10.0.0.5","port":1980,"weight":1,"priority":0,"metadata":{}}]}`,
			ep(at("10.0.0.5:1980"), "priority", "0"), "",
		},
		{"apisix, all off", Options{Format: APISIX}, "/apisix/upstreams/1", `{"id":"1","nodes":{"10.0.0.6:1980":0}}`, nil, ""},
		{"apisix, empty as Lua has it", Options{Format: APISIX}, "/apisix/upstreams/1", `{"id":"1","nodes":[]}`, nil, ""},
	}
}
