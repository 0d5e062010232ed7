package main

import (
	"time"

	"portside/cmd/portside/config"
	"portside/pool"
	"portside/pool/health"
	"portside/proxy"
	"portside/proxy/http1"
)

// What the configuration says, in the words of the packages that do it.

func (s *service) poolConfig(cfg config.Service) pool.Config {
	pc := cfg.Pool
	pc.OnEvent = s.happened
	if h := cfg.Health; h != nil {
		pc.Probe = checkOf(h)
		pc.Health = pool.Health{Interval: h.Interval, Timeout: h.Timeout, Rise: h.Rise, Fall: h.Fall}
	}
	return pc
}

func (s *service) proxyConfig(cfg config.Service, drain config.Drain) proxy.Config {
	return proxy.Config{
		Timeouts:      proxy.Timeouts{Connect: cfg.Timeouts.Connect, Idle: orNever(cfg.Timeouts.Idle), Head: cfg.Timeouts.Head, Response: cfg.Timeouts.Response},
		Retry:         proxy.Retry{Attempts: cfg.Retry.Attempts, Budget: orNone(cfg.Retry.Budget)},
		CloseOnRemove: cfg.OnRemove == config.RemoveClose,
		RemoveTimeout: cfg.RemoveTimeout,
		DrainTimeout:  orNever(drain.Timeout),
		HTTP: proxy.HTTPConfig{
			Forwarded: proxy.Forwarded(cfg.HTTP.Forwarded),
			MaxIdle:   orNoneInt(cfg.HTTP.MaxIdle),
			Limits:    http1.Limits{Head: int(cfg.HTTP.Limits.Head), Fields: cfg.HTTP.Limits.Fields},
			AccessLog: s.access.open(cfg.HTTP.AccessLog),
		},
		Log: s.log,
	}
}

// In the configuration a zero says none; in the packages' it says the default.
func orNever(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}

func orNoneInt(n int) int {
	if n == 0 {
		return -1
	}
	return n
}

func orNone(share float64) float64 {
	if share == 0 {
		return -1
	}
	return share
}

// checkOf is the check that c says.
func checkOf(c *config.Check) health.Check {
	switch c.Kind {
	case config.CheckHTTP:
		return health.HTTP(c.URL)
	case config.CheckGRPC:
		return health.GRPC(c.Service)
	case config.CheckExec:
		return health.Exec(c.Command)
	default:
		return health.TCP()
	}
}
