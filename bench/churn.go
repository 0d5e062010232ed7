package main

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// churnWorkloads are large pools that change all the time. One socket serves every
// address of the loopback network, so that ten thousand backends cost two processes
// nothing. portside alone is told of changes; its peers have a list that stands.
func churnWorkloads() (all []workload) {
	for _, n := range []int{10, 1000, 10000} {
		for _, changes := range []bool{false, true} {
			w := workload{
				name:     fmt.Sprintf("pool/%d", n),
				says:     fmt.Sprintf("small GET on 64 kept connections, %d backends", n),
				figures:  perRequest,
				protocol: "http", backends: manyBackends(n),
				// Each backend is connected to once before it counts.
				run: measuredWarm(keepAlive(64, get("")), time.Duration(n)*500*time.Microsecond),
			}
			if changes {
				w.name, w.says, w.indirect = fmt.Sprintf("churn/%d", n), w.says+" in etcd, 20 changes a second", true
				w.prepare = churning(n)
			}
			all = append(all, w)
		}
	}
	return all
}

// churning registers the first n backends and then changes them all the time.
func churning(n int) func(context.Context, *stage) error {
	return func(ctx context.Context, st *stage) error {
		if err := st.register(ctx, n); err != nil {
			return err
		}
		return st.churn(ctx)
	}
}

func manyBackends(n int) func() (*process, []string, error) {
	return func() (*process, []string, error) {
		p, addrs, err := startRole("http", "-wild")
		if err != nil {
			return nil, nil, err
		}
		var port string
		if _, err := fmt.Sscanf(addrs[0], "0.0.0.0:%s", &port); err != nil {
			p.stop()
			return nil, nil, err
		}
		all := make([]string, n)
		for i := range all {
			all[i] = fmt.Sprintf("127.1.%d.%d:%s", i/250, i%250+1, port)
		}
		return p, all, nil
	}
}

// churn takes a backend away and brings it back, then the next one, and so on until the
// stage is cleared.
func (st *stage) churn(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var wait sync.WaitGroup
	wait.Go(func() {
		for i := 0; ; i++ {
			a := st.setup.Backends[i/2%len(st.setup.Backends)]
			change := st.registry.delete
			if i%2 == 1 {
				change = st.registry.put
			}
			if change(ctx, a) != nil || sleep(ctx, 50*time.Millisecond) != nil {
				return
			}
		}
	})
	// First: it must end before its registry does.
	st.after = append([]func(){cancel, wait.Wait}, st.after...)
	return nil
}
