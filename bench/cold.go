package main

import (
	"context"
	"time"
)

// startWorkload is the time from starting a process to the first request that
// comes through it.
func startWorkload() workload {
	return workload{
		name: "start", says: "from starting the process to the first proxied response",
		figures: []figure{elapsed, cpuOp, pss}, protocol: "http", backends: threeHTTP, cold: true, indirect: true,
		run: func(ctx context.Context, st *stage, on actor) (sample, error) {
			cmd, err := on.peer.command(on.dir, on.setup)
			if err != nil {
				return nil, err
			}
			began := time.Now()
			proc, err := startProcess(cmd)
			if err != nil {
				return nil, err
			}
			proc.watch()
			defer proc.stop()
			if err := proc.await(ctx, 200*time.Microsecond, func() error { return serves(on.setup) }); err != nil {
				return nil, err
			}
			took := time.Since(began)
			used, err := usageOf(proc)
			if err != nil {
				return nil, err
			}
			held, err := holdingOf(proc)
			return sample{
				elapsed.name: took.Seconds() * 1e3, cpuOp.name: used.cpu.Seconds() * 1e6, pss.name: held.pss / 1024,
			}, err
		},
	}
}
