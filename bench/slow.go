package main

import (
	"bytes"
	"context"
	"sync/atomic"
)

// slowWorkloads have one backend of three answer 20 ms late. The better a policy, the fewer
// requests go there.
func slowWorkloads(perSec float64) (all []workload) {
	if perSec == 0 {
		perSec = 1000
	}
	for _, policy := range []string{"round_robin", "least_conn", "ewma", "random", "hash"} {
		all = append(all, workload{
			name: "slow/" + policy, says: "one backend of three answers 20 ms late; 1000 requests a second, or -rate",
			figures:  []figure{slowShare, p50, p99, rate, cpuOp, faults},
			protocol: "http", balance: policy, indirect: true,
			backends: role("http", "-count", "3", "-slow", "20ms"),
			run: func(ctx context.Context, st *stage, on actor) (sample, error) {
				var all, late atomic.Int64
				slow := []byte(st.setup.Backends[2] + " ")
				o := openLoop{conns: 256, perSec: perSec, request: get(""), many: policy == "hash", seen: func(body []byte) {
					all.Add(1)
					if bytes.HasPrefix(body, slow) {
						late.Add(1)
					}
				}}
				s, err := measure(ctx, on.subject, o.start(on.addr), st.bed.options.window)
				if n := all.Load(); n > 0 && err == nil {
					s[slowShare.name] = 100 * float64(late.Load()) / float64(n)
				}
				return s, err
			},
		})
	}
	return all
}
