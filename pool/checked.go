package pool

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// byCheck is the reason of an ejection by a health check.
const byCheck = "health_check"

// healthChecked applies the result of a health check of b; err is nil if it passed. The
// caller holds p.mu.
func (p *Pool) healthChecked(b *Backend, err error, now time.Time) {
	if err == nil {
		b.checks = max(b.checks, 0) + 1
		if b.kept && b.trouble == failsChecks && b.checks == p.cfg.Health.Rise {
			b.kept, b.reason = false, ""
			p.rotation.touch(b)
			p.publish()
		}
		if b.triable() && b.trouble == cannotConnect && b.checks == p.cfg.Health.Rise && b.until.After(now) {
			b.until = now // it can be reached again: its trial need not wait
			p.publish()
		}
		if b.state == Ejected && b.unhealthy && b.checks >= p.cfg.Health.Rise {
			b.streak.Store(0)
			p.moved(b, b.stateInRotation(), fmt.Sprintf("passed %d health checks", b.checks), now)
			p.publish()
		}
		return
	}
	b.checks = min(b.checks, 0) - 1
	if b.state != Active || -b.checks < p.cfg.Health.Fall {
		return
	}
	reason := fmt.Sprintf("failed %d health checks, the last: %v", -b.checks, err)
	if p.tooManyOut() {
		// What traffic has shown, a failure or since then a success, stands.
		if first := -b.checks == p.cfg.Health.Fall; first && !b.kept || b.kept && b.trouble == failsChecks {
			p.keep(b, reason, failsChecks, false)
		}
		return
	}
	p.ejections[byCheck]++
	p.moved(b, Ejected, reason, now)
	b.unhealthy = true
	p.publish()
}

// hastenChecks applies a shorter interval: checks that are due after it come forward,
// spread over it. The caller holds p.mu and wakes Run.
func (p *Pool) hastenChecks(every time.Duration, now time.Time) {
	for _, b := range p.backends {
		if !b.doubted && b.probeAt.Sub(now) > every {
			b.probeAt = now.Add(time.Duration(rand.Float64() * float64(every)))
		}
	}
}

// forgetChecks follows when health checks are turned off: what they have ejected gets a
// trial instead, and what else they have found counts no more. The caller holds p.mu and
// publishes.
func (p *Pool) forgetChecks() {
	for _, b := range p.backends {
		switch {
		case b.unhealthy:
			b.unhealthy, b.until, b.checks = false, time.Time{}, 0
		case b.kept && b.trouble == failsChecks:
			b.kept, b.reason, b.checks = false, "", 0
			p.rotation.touch(b)
		}
	}
}
