package config

import (
	"time"

	"portside/pool"
)

var balance = enum("balance", []pool.Balance{pool.RoundRobin, pool.LeastConn, pool.EWMA, pool.Random, pool.Hash}, nil)

var ejectSection = orOff(section(
	at("consecutive", "Failures in a row that set a backend aside.", count(1, 1<<16), func(e *pool.Eject) *int { return &e.Consecutive }),
	at("on", "The answers that count besides failures to connect: 5xx, gateway (502-504) or connect (none).", ejectOn, func(e *pool.Eject) *pool.EjectOn { return &e.On }),
	at("backoff", "The first wait before a trial; it doubles.", positive, func(e *pool.Eject) *time.Duration { return &e.Backoff }),
	at("max_backoff", "The longest wait.", positive, func(e *pool.Eject) *time.Duration { return &e.MaxBackoff }),
	at("max_percent", "Of the pool, that may be out at once.", percent, func(e *pool.Eject) *int { return &e.MaxPercent }),
), newEject,
	func(e pool.Eject) bool { return e.Consecutive < 0 },
	func(e *pool.Eject) { *e = pool.Eject{Consecutive: -1} })

var ejectOn = enum("class", []pool.EjectOn{pool.On5xx, pool.OnGateway, pool.OnConnect}, nil)

var guardSection = orOff(section(
	at("max_leave", "Of the pool, that may leave undoubted.", ratio, func(g *pool.Guard) *float64 { return &g.MaxLeave }),
	at("window", "How close together departures count as one.", positive, func(g *pool.Guard) *time.Duration { return &g.Window }),
	at("suspect_max", "The longest a suspect stays.", positive, func(g *pool.Guard) *time.Duration { return &g.SuspectMax }),
	at("probe_every", "How often a suspect is probed.", positive, func(g *pool.Guard) *time.Duration { return &g.ProbeEvery }),
), newGuard,
	func(g pool.Guard) bool { return g.Off },
	func(g *pool.Guard) { *g = pool.Guard{Off: true} })

func newPool() pool.Config {
	return pool.Config{Balance: pool.RoundRobin, Eject: newEject(), Guard: newGuard()}
}

func newEject() pool.Eject {
	return pool.Eject{Consecutive: 5, On: pool.On5xx, Backoff: time.Second, MaxBackoff: time.Minute, MaxPercent: 50}
}

func newGuard() pool.Guard {
	return pool.Guard{MaxLeave: 0.5, Window: 5 * time.Second, SuspectMax: 10 * time.Minute, ProbeEvery: time.Second}
}
