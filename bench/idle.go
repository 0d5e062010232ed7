package main

import (
	"context"
	"fmt"
	"time"
)

const idlers = 4000

// idleWorkloads ask what a connection costs that does nothing.
func idleWorkloads() (all []workload) {
	for _, w := range []struct {
		name, says, protocol, role string
		first                      func(*client) error
	}{
		{"http", "clients that sent a request each and keep their connection", "http", "http", func(c *client) error { return c.exchange(get("")) }},
		{"tcp", "connections that had 100 bytes echoed each", "tcp", "echo", func(c *client) error { return c.ping(100) }},
	} {
		all = append(all, workload{
			name: "idle/" + w.name, says: fmt.Sprintf("%d %s", idlers, w.says),
			figures:  []figure{pssConn, rssConn, fdsConn, pss},
			protocol: w.protocol, backends: role(w.role, "-count", "3"), cold: true, indirect: true,
			run: func(ctx context.Context, st *stage, on actor) (sample, error) {
				// A new process: most keep memory that they have used once.
				proc, err := on.peer.start(ctx, on.dir, on.setup)
				if err != nil {
					return nil, err
				}
				defer proc.stop()
				return idle(ctx, on.addr, proc, w.first)
			},
		})
	}
	return all
}

// idle compares what proc holds before and after its clients came to rest.
func idle(ctx context.Context, addr string, proc *process, first func(*client) error) (sample, error) {
	before, err := holdingOf(proc)
	if err != nil {
		return nil, err
	}
	buf := make([]byte, 16<<10)
	for i := range idlers {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		c := &client{addr: addr, limit: 10 * time.Second, buf: buf}
		if err := c.dial(); err != nil {
			return nil, fmt.Errorf("connection %d: %w", i+1, err)
		}
		defer c.close()
		if err := first(c); err != nil {
			return nil, fmt.Errorf("connection %d: %w", i+1, err)
		}
	}
	if err := sleep(ctx, time.Second); err != nil {
		return nil, err
	}
	after, err := holdingOf(proc)
	return sample{
		pssConn.name: (after.pss - before.pss) / idlers,
		rssConn.name: (after.rss - before.rss) / idlers,
		fdsConn.name: (after.fds - before.fds) / idlers,
		pss.name:     after.pss / 1024,
	}, err
}
