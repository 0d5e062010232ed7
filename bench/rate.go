package main

import (
	"context"
	"fmt"
	"time"
)

// rateWorkload is the open loop: the same requests a second for all.
func rateWorkload() workload {
	return workload{
		name: "http/rate", says: "small GET on 64 kept connections at a fixed rate, 30 % of what portside can",
		figures:  []figure{p99, p50, p999, cpuOp, rate, pss, generatorOp, faults},
		protocol: "http", backends: threeHTTP,
		run: func(ctx context.Context, st *stage, on actor) (sample, error) {
			if st.rate == 0 {
				if err := st.calibrate(ctx, on); err != nil {
					return nil, err
				}
			}
			o := openLoop{conns: 64, perSec: st.rate, request: get("")}
			return measure(ctx, on.subject, o.start(on.addr), st.bed.options.window)
		},
	}
}

// calibrate sets the rate to 30 % of what the actor can do: the first one, which is portside.
func (st *stage) calibrate(ctx context.Context, on actor) error {
	l := keepAlive(64, get(""))
	s, err := measure(ctx, on.subject, l.start(on.addr), window{warm: 500 * time.Millisecond, length: 2 * time.Second})
	if err != nil {
		return err
	}
	if st.rate = 0.3 * s[rate.name]; st.rate < 1 {
		return fmt.Errorf("%s answers %.1f requests a second", on.peer.name, s[rate.name])
	}
	return nil
}
