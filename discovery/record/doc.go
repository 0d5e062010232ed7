// Package record turns the value of a registry key into endpoints, and an endpoint
// into the value to write, in the formats that services already use:
//
//	d, err := record.New("service/orders/", record.Options{Protocol: "http"})
//	r, err := d.Decode("service/orders/a", []byte("10.0.0.5:8080\n"))
//	// r.Endpoints[0].Address == "10.0.0.5:8080", r.Format == record.Plain
//
// It reads one record at a time and keeps nothing: merging keys that name one
// address, and keeping the last good reading of a key, is its caller's work.
// It resolves no names and dials nobody.
//
// # Formats
//
// Weight is what the format gives an ordinary peer; an endpoint's weight is
// relative to it. Weight, zone, version and draining are honoured in the
// metadata of any format; a weight of 0 there is draining. A "k" before the value says
// that the key, not the value, holds the address.
//
//	format    key, where its own writers put it                value                                weight
//	plain     <prefix>/<any>                                   host:port, URL, host:port;weight=2   1
//	          <prefix>/host:port                               k: empty                             1
//	etcd      <target>/<any>                                   {"Op":0,"Addr","Metadata"}           1
//	go-zero   <key>/<lease id>                                 host:port                            –
//	kratos    /microservices/<name>/<id>                       {"version","metadata",               100
//	                                                           "endpoints":["grpc://…"]}
//	go-micro  /micro/registry/<name>/<id>                      {"nodes":[{"address","metadata"}]}   –
//	kitex     kitex/registry-etcd/<name>/<address>             {"network","address","weight"}       10
//	hertz     hertz/registry-etcd/<name>/<address>             the same                             10
//	rpcx      <base>/<service>/tcp@host:port                   k: weight=1&state=active             1
//	dubbo     /dubbo/<interface>/providers/<escaped URL>       k: empty, or a lease id              100
//	          /services/<app>/host:port                        {"serviceName","host","port",…}      100
//	goframe   /service/default/default/<name>/<version>/a,b    k: {"protocol","insecure"}           1
//	go-kit    <prefix>/<any>                                   host:port or URL                     –
//	skydns    /skydns/<labels reversed>/<id>                   {"host","port","weight"}             100
//	trpc      " trpc/registry/services/<name>/<id>"            {"name","id","address","weight"}     1
//	jupiter   <scheme>:<app>:v1:<mode>/<address>               {"Op","Addr","MetadataX"}            100
//	vulcand   /vulcand/backends/<name>/servers/<id>            {"URL"}                              –
//	milvus    <root>/meta/session/<role>-<id>                  {"ServerName","Address","Stopping"}  –
//	tidb      /tidb/server/info/<uuid>                         {"ip","listening_port","labels"}     –
//	          /topology/tidb/host:port/ttl                     k: a time                            –
//	patroni   /service/<scope>/members/<name>                  {"conn_url","state","role","tags"}   –
//	apisix    /apisix/upstreams/<id>                           {"nodes":{"host:port":weight}}       1
//
// Their sources, in that order: portside and everybody's own scripts; etcd
// client/v3 naming/endpoints; zeromicro/go-zero core/discov; go-kratos/kratos
// contrib/registry/etcd, and zhufuyi/sponge, which writes the same;
// micro/plugins registry/etcd; kitex-contrib/registry-etcd;
// hertz-contrib/registry; rpcxio/rpcx-etcd; apache/dubbo-go and
// dubbo-spi-extensions; gogf/gf contrib/registry/etcd; go-kit/kit sd/etcdv3;
// coredns etcd plugin; trpc-ecosystem/go-naming-etcd; douyu/jupiter;
// vulcand/vulcand; milvus-io/milvus sessionutil; pingcap/tidb infosync;
// patroni/patroni; apache/apisix.
//
// # One of several
//
// A Kratos record holds one process in several protocols. The service's
// protocol chooses: http takes http, https, rest, ws, wss, h2c, tri, grpc,
// grpcs, the first there is; grpc takes grpc, grpcs, tri, h2c; tcp takes tcp,
// tls. Where a record has none of these, all its endpoints must have one address.
// Otherwise it is an error and not a guess, because http at a grpc port fails in
// obscure ways; "kratos+grpc" as the format says which is meant. GoFrame lists one
// process on each of its networks: the first address that other machines can reach is
// taken. The nodes of an APISIX or go-micro record are all backends of their own.
//
// # Auto
//
// Auto reads a record as every format whose signs it bears, and takes the reading
// that they agree on. Where they differ it is an error that names the formats to
// choose from. A value that is a bare address is called plain, even if go-zero or
// go-kit wrote it.
package record
