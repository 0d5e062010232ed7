package config

import (
	"time"

	"portside/discovery"
	"portside/pool"
	"portside/proxy"
)

var serviceSection = section(
	at("listen", "Where clients connect; a port alone means loopback.", listen, func(s *Service) *string { return &s.Listen }),
	at("protocol", "What they speak: tcp, or http for HTTP/1.1, WebSocket, h2c and gRPC.", protocol, func(s *Service) *Protocol { return &s.Protocol }),
	at("prefix", "Its keys in etcd; default <etcd.prefix><name>/.", prefix, func(s *Service) *string { return &s.Prefix }).when(Service.inEtcd),
	at("format", "How its records are written; auto tells by unmistakable signs.", format, func(s *Service) *string { return &s.Format }).when(Service.inEtcd),
	at("default_port", "Completes addresses without a port; 0: there are none.", count(0, 65535), func(s *Service) *int { return &s.DefaultPort }),
	at("endpoints", "A fixed list instead of etcd: HOST:PORT;weight=2;zone=a.", fixedEndpoints, func(s *Service) *[]discovery.Endpoint { return &s.Endpoints }).when(Service.fixed),
	at("balance", "How a backend is chosen.", balance, func(s *Service) *pool.Balance { return &s.Pool.Balance }),
	at("timeouts", "Bounds on the steps of a connection or a request.", timeoutsSection, func(s *Service) *Timeouts { return &s.Timeouts }),
	at("retry", "How often a failure is tried elsewhere while that is safe.", retrySection, func(s *Service) *Retry { return &s.Retry }),
	at("eject", "When a failing backend is set aside; or off.", ejectSection, func(s *Service) *pool.Eject { return &s.Pool.Eject }),
	at("guard", "When departures from etcd are doubted; or off.", guardSection, func(s *Service) *pool.Guard { return &s.Pool.Guard }),
	at("on_remove", "What becomes of connections to an endpoint that has left.", onRemove, func(s *Service) *OnRemove { return &s.OnRemove }),
	at("remove_timeout", "The most that on_remove: drain lets them take.", positive, func(s *Service) *time.Duration { return &s.RemoveTimeout }),
	at("health", "How each backend is asked whether it can serve; or off.", optional(healthSection, newHealth), func(s *Service) **Check { return &s.Health }),
	at("forwarded", "What happens to X-Forwarded-For and its kin (http).", forwarded, httpOf(func(h *HTTP) *proxy.Forwarded { return &h.Forwarded })).when(Service.http),
	at("max_idle", "Idle connections kept per backend; 0: none (http).", count(0, 1<<16), httpOf(func(h *HTTP) *int { return &h.MaxIdle })).when(Service.http),
	at("access_log", "Where each request leaves a line; or off, or stdout (http).", accessLog, httpOf(func(h *HTTP) **AccessLog { return &h.AccessLog })).when(Service.http),
	at("limits", "Bounds on a request's head (http).", limitsSection, httpOf(func(h *HTTP) *Limits { return &h.Limits })).when(Service.http),
)

// httpKeys are the keys that only an HTTP service reads.
var httpKeys = []string{"forwarded", "max_idle", "access_log", "limits"}

// etcdKeys are the keys that a fixed list leaves without a use.
var etcdKeys = []string{"prefix", "format"}

func (s Service) inEtcd() bool { return !s.fixed() }
func (s Service) http() bool   { return s.Protocol == ProtocolHTTP }

func httpOf[T any](of func(*HTTP) *T) func(*Service) *T {
	return func(s *Service) *T { return of(&s.HTTP) }
}

// positive is a duration that has to be one: zero would mean nothing, or, to the
// parts of portside, their default.
var positive = duration(time.Millisecond)

var protocol = enum("protocol", []Protocol{ProtocolTCP, ProtocolHTTP}, map[string]string{
	"grpc": carried, "h2c": carried, "http2": carried, "h2": carried, "http1": carried, "ws": carried, "websocket": carried,
	"https": "portside ends no TLS; tcp passes it through",
	"tls":   "portside ends no TLS; tcp passes it through",
})

const carried = "write http, which carries HTTP/1.1, WebSocket, h2c and gRPC"

var fixedEndpoints = listOf(fixedEndpoint, "[10.0.0.7:5432]")

var timeoutsSection = section(
	at("connect", "One attempt to connect.", positive, func(t *Timeouts) *time.Duration { return &t.Connect }),
	at("idle", "No byte in either direction; 0s: for ever.", duration(0), func(t *Timeouts) *time.Duration { return &t.Idle }),
	at("head", "A client's whole request head.", positive, func(t *Timeouts) *time.Duration { return &t.Head }),
	at("response", "A backend's response head; 0s: for ever.", duration(0), func(t *Timeouts) *time.Duration { return &t.Response }),
)

var retrySection = section(
	at("attempts", "In all, the first included; 1 turns retries off, 8 is the most.", count(1, proxy.MaxAttempts), func(r *Retry) *int { return &r.Attempts }),
	at("budget", "Share of requests that may be second tries; 0%: none.", share, func(r *Retry) *float64 { return &r.Budget }),
)

var onRemove = enum("on_remove", []OnRemove{RemoveDrain, RemoveClose}, nil)

func newService(name string) Service {
	return Service{
		Name: name, Protocol: ProtocolTCP, Format: "auto", Pool: newPool(),
		Timeouts: Timeouts{Connect: time.Second, Idle: 5 * time.Minute, Head: 10 * time.Second},
		Retry:    Retry{Attempts: 3, Budget: 0.2},
		OnRemove: RemoveDrain, RemoveTimeout: 5 * time.Minute,
		HTTP: newHTTP(),
	}
}
