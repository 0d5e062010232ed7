package proxy

import (
	"time"

	"portside/pool"
)

// MaxAttempts is the most that [Retry.Attempts] can be.
const MaxAttempts = 8

// mayTry reports whether one more backend may be tried after the first n of
// tried. One that left on being tried, as a suspect does that refuses, was no
// attempt on the service: after a mass departure half of a pool may be such.
func mayTry(tried []*pool.Backend, n int, cfg *Config) bool {
	if n > 0 && cfg.Retry.Budget < 0 {
		return false
	}
	attempts := 0
	for _, b := range tried[:n] {
		if !b.Left() {
			attempts++
		}
	}
	return n < len(tried) && attempts < cfg.Retry.Attempts
}

// Why an attempt failed, and so whether another backend may be tried.
type proof uint8

const (
	notSent proof = iota // nothing of the request has reached the backend
	refused              // it has looked at it, and says that it has not acted upon it
	unknown              // some may have; it may have been acted upon
	served               // the client has been told something, or would but be told it again: too late
)

// affords reports whether the service can afford a second try after an attempt that
// failed with that proof, and whether the budget has paid for it. What no backend has
// seen is no load on any: it is free, but for a budget that turns all of them off.
func (h *HTTP) affords(how proof, cfg *Config) (may, paid bool) {
	if how == notSent && cfg.Retry.Budget >= 0 {
		return true, false
	}
	if h.pool.FailingOpen() {
		return false, false
	}
	if !h.budget.take(cfg.Retry.Budget, h.requests.Load(), time.Now()) {
		h.stats.RetriesDenied.Add(1)
		return false, false
	}
	return true, true
}
