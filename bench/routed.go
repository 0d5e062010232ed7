package main

import (
	"bytes"
	"context"
	"fmt"
	"time"
)

// routedWorkload is how long a change in etcd takes to reach the traffic: from
// the put's return to a response of the new backend, and from the delete's return
// to the last response of the old. A client asks without a pause; with three
// backends in turn that adds two requests at the most.
func routedWorkload() workload {
	return workload{
		name: "etcd/routed", says: "from a put in etcd to the first response of the new backend, median and worst of 50",
		figures: []figure{elapsed, worst, gone}, protocol: "http", backends: threeHTTP, indirect: true,
		prepare: func(ctx context.Context, st *stage) error { return st.register(ctx, 2) },
		run: func(ctx context.Context, st *stage, on actor) (sample, error) {
			c := &client{addr: on.addr, limit: time.Minute, buf: make([]byte, 16<<10)}
			if err := c.dial(); err != nil {
				return nil, err
			}
			defer c.close()
			var arrivals, departures []float64
			for range 50 {
				arrival, departure, err := comeAndGo(ctx, st, c)
				if err != nil {
					return nil, err
				}
				arrivals = append(arrivals, arrival.Seconds()*1e3)
				departures = append(departures, departure.Seconds()*1e3)
			}
			return sample{
				elapsed.name: median(arrivals), worst.name: maximum(arrivals), gone.name: median(departures),
			}, nil
		},
	}
}

// comeAndGo adds the third backend, waits for it, and takes it away.
func comeAndGo(ctx context.Context, st *stage, c *client) (arrival, departure time.Duration, err error) {
	third := st.setup.Backends[2]
	if err := st.registry.put(ctx, third); err != nil {
		return 0, 0, err
	}
	began := time.Now()
	if err := c.until(began, func(from bool, _ time.Time) bool { return from }, third); err != nil {
		return 0, 0, fmt.Errorf("after a put: %w", err)
	}
	arrival = time.Since(began)
	if err := st.registry.delete(ctx, third); err != nil {
		return 0, 0, err
	}
	began = time.Now()
	last := began
	err = c.until(began, func(from bool, now time.Time) bool {
		if from {
			last = now
		}
		return now.Sub(last) > 20*time.Millisecond
	}, third)
	return arrival, last.Sub(began), err
}

// until sends requests until enough says so, which is called with whether the response came
// from that backend, and when it came.
func (c *client) until(began time.Time, enough func(from bool, now time.Time) bool, backend string) error {
	request, from := get(""), []byte(backend+" ")
	for {
		if _, err := c.conn.Load().Write(request); err != nil {
			return err
		}
		body, err := c.receive()
		if err != nil {
			return err
		}
		now := time.Now()
		if enough(bytes.HasPrefix(body, from), now) {
			return nil
		}
		if now.Sub(began) > 10*time.Second {
			return fmt.Errorf("%s was not seen to change in 10 s", backend)
		}
	}
}
