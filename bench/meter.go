package main

import (
	"context"
	"os"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// window is when a load is measured: for length, once it has run for warm.
type window struct{ warm, length time.Duration }

// totals are a load's counters so far.
type totals struct{ ops, bytes, faults float64 }

// load is work in progress against one address.
type load interface {
	connected()                      // waits until all its connections were tried
	counts() totals                  // so far
	record(on bool)                  // switches the recording of delays
	stop()                           // returns when it has ended; may be called again
	delays() *hdrhistogram.Histogram // of what was recorded; after stop
}

// subject is what a load runs against.
type subject struct {
	addr    string
	proxy   *process // nil: nothing between client and backend
	backend *process
}

// glance is all that is read at one moment.
type glance struct {
	at                        time.Time
	totals                    totals
	proxy, backend, generator usage
}

func look(s subject, l load) (g glance, err error) {
	g.totals = l.counts()
	if g.proxy, err = usageOf(s.proxy); err != nil {
		return g, err
	}
	if g.backend, err = usageOf(s.backend); err != nil {
		return g, err
	}
	g.generator.cpu, err = cpuTime(os.Getpid())
	g.at = time.Now()
	return g, err
}

// measure looks at a load at the beginning and the end of the window, and returns the
// difference. It stops the load.
func measure(ctx context.Context, s subject, l load, w window) (sample, error) {
	defer l.stop()
	l.connected()
	if err := sleep(ctx, w.warm); err != nil {
		return nil, err
	}
	a, err := look(s, l)
	if err != nil {
		return nil, err
	}
	l.record(true)
	err = sleep(ctx, w.length)
	l.record(false)
	if err != nil {
		return nil, err
	}
	b, err := look(s, l)
	if err != nil {
		return nil, err
	}
	out := between(a, b)
	if held, err := holdingOf(s.proxy); err == nil {
		out[pss.name] = held.pss / 1024
		out[fds.name] = held.fds
	}
	l.stop()
	addDelays(out, l.delays())
	return out, nil
}

// between is what happened from a to b.
func between(a, b glance) sample {
	out := sample{}
	seconds := b.at.Sub(a.at).Seconds()
	ops := b.totals.ops - a.totals.ops
	bytes := b.totals.bytes - a.totals.bytes
	cpu := (b.proxy.cpu - a.proxy.cpu).Seconds()
	out[rate.name] = ops / seconds
	out[volume.name] = bytes / seconds / 1e6
	out[faults.name] = b.totals.faults - a.totals.faults
	if ops > 0 && cpu > 0 {
		out[cpuOp.name] = cpu * 1e6 / ops
	}
	if ops > 0 {
		out[generatorOp.name] = (b.generator.cpu - a.generator.cpu).Seconds() * 1e6 / ops
		out[backendOp.name] = (b.backend.cpu - a.backend.cpu).Seconds() * 1e6 / ops
	}
	if bytes > 0 && cpu > 0 {
		out[cpuGB.name] = cpu * 1e9 / bytes
	}
	if bytes > 0 {
		out[generatorGB.name] = (b.generator.cpu - a.generator.cpu).Seconds() * 1e9 / bytes
	}
	if ticks := b.proxy.user + b.proxy.system - a.proxy.user - a.proxy.system; ticks > 0 {
		out[inUser.name] = 100 * (b.proxy.user - a.proxy.user) / ticks
	}
	return out
}

func addDelays(out sample, h *hdrhistogram.Histogram) {
	if h.TotalCount() == 0 {
		return
	}
	for f, q := range map[figure]float64{p50: 50, p99: 99, p999: 99.9} {
		out[f.name] = float64(time.Duration(h.ValueAtQuantile(q))*tick) / float64(time.Microsecond)
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
