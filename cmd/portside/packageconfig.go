package main

import (
	"log/slog"
	"time"

	"portside/cmd/portside/config"
	"portside/pool"
	"portside/pool/health"
	"portside/proxy"
	"portside/proxy/http1"
)

// The configuration as the packages have it that do the work.

func (s *service) poolConfig(cfg config.Service) pool.Config {
	pc := cfg.Pool
	pc.OnEvent = s.happened
	if h := cfg.Health; h != nil {
		pc.Probe = checkOf(h)
		pc.Health = pool.Health{Interval: h.Interval, Timeout: h.Timeout, Rise: h.Rise, Fall: h.Fall}
	}
	return pc
}

func proxyConfig(cfg config.Service, drain config.Drain, access *proxy.AccessLog, log *slog.Logger) proxy.Config {
	return proxy.Config{
		Timeouts:      proxy.Timeouts{Connect: cfg.Timeouts.Connect, Idle: orNone(cfg.Timeouts.Idle), Head: cfg.Timeouts.Head, Response: cfg.Timeouts.Response},
		Retry:         proxy.Retry{Attempts: cfg.Retry.Attempts, Budget: orNone(cfg.Retry.Budget)},
		CloseOnRemove: cfg.OnRemove == config.RemoveClose,
		RemoveTimeout: cfg.RemoveTimeout,
		DrainTimeout:  orNone(drain.Timeout),
		HTTP: proxy.HTTPConfig{
			Forwarded: cfg.HTTP.Forwarded,
			MaxIdle:   orNone(cfg.HTTP.MaxIdle),
			Limits:    http1.Limits{Head: int(cfg.HTTP.Limits.Head), Fields: cfg.HTTP.Limits.Fields},
			AccessLog: access,
		},
		Log: log,
	}
}

// orNone is v, but -1 for zero: in the configuration zero means none; in the packages' own it
// means the default, and a negative value none.
func orNone[T int | float64 | time.Duration](v T) T {
	if v == 0 {
		return -1
	}
	return v
}

// checkOf is the check that c configures.
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
