package pool

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// mayEject reports whether one more of n backends may be set aside when out of
// them already are: at most percent of them, but always one of two or more (gRFC
// A50; a plain percentage never ejects from small pools), and never the last.
func mayEject(out, n, percent int) bool {
	most := min(max(n*percent/100, 1), n-1)
	return out < most
}

// backoff is the wait before the trial that follows level failed ones: base
// doubled level times, at most top, jittered by jitter in [0, 1) to ±10 %.
func backoff(base, top time.Duration, level int, jitter float64) time.Duration {
	d := base
	for range level {
		if d >= top/2 {
			d = top
			break
		}
		d *= 2
	}
	return time.Duration(float64(min(d, top)) * (0.9 + 0.2*jitter))
}

// failed counts a failure of b, on a trial or not, and ejects it if that is one too many.
func (p *Pool) failed(b *Backend, o Outcome, trial bool) {
	p.mu.Lock()
	defer p.unlock()
	now := time.Now()
	streak := b.streak.Load()
	if b.Left() {
		return
	}
	if b.doubted && o.unreachable() {
		p.remove(b, "suspect: "+o.String(), now)
		p.publish()
		return
	}
	switch b.state {
	case Ejected:
		if trial && !b.until.After(now) {
			b.level++
			p.setAside(b, o, fmt.Sprintf("trial %d failed: %s", b.level, o), now)
		}
	case Active, Suspect:
		limit := p.cfg.Eject.Consecutive
		if limit < 0 || int(streak) < limit {
			if trial && b.unreachable() { // it was kept under limits that have changed since
				b.level++
				b.until = p.nextTrial(b, now)
				p.publish()
				p.wakeRun()
			}
			return
		}
		reason := fmt.Sprintf("%s, the last: %s", inARow(streak), o)
		if p.tooManyOut() {
			p.keep(b, reason, o.trouble(), trial)
			return
		}
		if b.staying && int(streak) > limit { // it has not answered since it was ejected
			b.level++
		} else {
			b.level = 0
		}
		p.setAside(b, o, reason, now)
	}
}

func inARow(failures int32) string {
	if failures == 1 {
		return "1 failure"
	}
	return fmt.Sprintf("%d failures in a row", failures)
}

// keep leaves a failing b in rotation, and says so. One that cannot be reached gets little
// traffic, and trials as if it were out. Trial reports that this failure was one of them.
func (p *Pool) keep(b *Backend, reason string, why trouble, trial bool) {
	b.reason = reason + "; kept, too many are out"
	switch {
	case !b.kept:
		b.level = 0
	case trial && why == cannotConnect:
		b.level++
	case b.trouble == why:
		return
	}
	b.kept, b.trouble = true, why
	if why == cannotConnect {
		b.until = p.nextTrial(b, time.Now())
	}
	p.rotation.touch(b)
	p.noteTimed(b)
	p.publish()
	p.wakeRun()
}

// readmitEjected follows when ejection is turned off: it readmits what traffic has ejected.
// What could not be reached still gets little traffic, and trials. The caller holds p.mu
// and publishes.
func (p *Pool) readmitEjected(now time.Time) {
	for _, b := range p.backends {
		switch {
		case b.state == Ejected && !b.unhealthy:
			p.moved(b, b.stateInRotation(), "ejection is off", now)
			b.kept = b.trouble == cannotConnect
		case b.kept && b.trouble != cannotConnect && b.trouble != failsChecks:
			b.kept, b.reason = false, ""
		default:
			continue
		}
		p.rotation.touch(b)
	}
}

// nextTrial is when b, which fails at now, is to be tried again.
func (p *Pool) nextTrial(b *Backend, now time.Time) time.Time {
	return now.Add(backoff(p.cfg.Eject.Backoff, p.cfg.Eject.MaxBackoff, b.level, rand.Float64()))
}

// unreachable reports whether b is kept in rotation though it cannot be reached.
func (b *Backend) unreachable() bool { return b.kept && b.trouble == cannotConnect }

// unreachableShare is the part of its weight that an unreachable backend is chosen by.
// A client sent there has to go on to another, at best after a refusal and at worst
// after timeouts.connect.
const unreachableShare = 0.02

// effectiveWeight is the weight by which b is chosen.
func (b *Backend) effectiveWeight() float64 {
	if b.unreachable() {
		return b.weight * unreachableShare
	}
	return b.weight
}

// setAside ejects b, or ejects it anew after a failed trial.
func (p *Pool) setAside(b *Backend, o Outcome, reason string, now time.Time) {
	p.ejections[o.label()]++
	b.staying = false
	b.proven.Store(false) // it may have answered, if badly
	b.until = p.nextTrial(b, now)
	b.trouble = o.trouble()
	if b.state == Ejected {
		b.reason = reason
	} else {
		p.moved(b, Ejected, reason, now)
	}
	p.publish()
	p.wakeRun()
}

// succeeded readmits b if it has succeeded on its trial. Work from before an ejection does
// not undo it, unless nothing better is left. A b that was kept is well again.
func (p *Pool) succeeded(b *Backend, trial bool) {
	p.mu.Lock()
	defer p.unlock()
	switch {
	case b.state == Ejected && !b.unhealthy && (trial || p.view.Load().failOpen):
		b.level = 0
		p.moved(b, b.stateInRotation(), "trial succeeded", time.Now())
	case b.kept:
		b.kept, b.reason, b.level = false, "", 0
		p.rotation.touch(b)
	default:
		return
	}
	p.publish()
}

// trialUndecided follows a trial of b that ended without a verdict. The next one has to wait:
// if all work ended like that, every piece of it would be a trial of b.
func (p *Pool) trialUndecided(b *Backend) {
	p.mu.Lock()
	defer p.unlock()
	if b.triable() {
		b.until = time.Now().Add(backoff(p.cfg.Eject.Backoff, p.cfg.Eject.MaxBackoff, 0, rand.Float64()))
		p.publish()
		p.wakeRun()
	}
	b.trial.Store(false)
}

// trialStays readmits b for now, which has neither failed nor answered on its trial.
func (p *Pool) trialStays(b *Backend) {
	p.mu.Lock()
	defer p.unlock()
	switch {
	case b.state == Ejected && !b.unhealthy:
		p.moved(b, b.stateInRotation(), "its trial goes on", time.Now())
		b.staying = true
	case b.kept:
		b.kept, b.reason = false, ""
		p.rotation.touch(b)
	default:
		return
	}
	p.publish()
}

// trialSettled applies how the trial ended that trialStays had readmitted b for.
func (p *Pool) trialSettled(b *Backend, o Outcome, failed bool) {
	p.mu.Lock()
	defer p.unlock()
	if failed {
		b.failures.Add(1)
	}
	if b.state != Active && b.state != Suspect || b.kept {
		return // it has been ejected, or kept, since
	}
	if !failed {
		b.level = 0
		b.streak.Store(0)
		return
	}
	if p.cfg.Eject.Consecutive < 0 {
		return // ejection has been turned off since
	}
	b.level++
	reason := fmt.Sprintf("trial %d failed: %s", b.level, o)
	if p.tooManyOut() {
		p.keep(b, reason, o.trouble(), true)
		return
	}
	p.setAside(b, o, reason, time.Now())
}

// tooManyOut reports whether the pool can spare no more. The caller holds p.mu and
// has changed nothing since the view was published.
func (p *Pool) tooManyOut() bool {
	v := p.view.Load()
	return !mayEject(v.out, v.out+v.in, p.cfg.Eject.MaxPercent)
}
