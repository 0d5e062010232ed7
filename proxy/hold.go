package proxy

import (
	"context"
	"errors"
	"io"
	"time"

	"portside/pool"
	"portside/proxy/socket"
)

// early is how soon after connecting an end without a byte is a backend's fault.
const early = time.Second

// A backend that has not answered lately is given a moment to show that it ends
// what it accepts, before the client's first bytes, which may be sent only once,
// go to it: a short moment for one that is new, a longer one if it has failed.
const (
	newcomerHold = 2 * time.Millisecond
	doubtfulHold = 25 * time.Millisecond
)

// hold waits a moment for c, to a backend that is not proven, to show that it has
// ended already. It looks now and then: to wait for it would have the runtime's
// poller watch c for as long as it lives, beside the lot.
func hold(ctx context.Context, c socket.Stream, b *pool.Backend) error {
	wait := newcomerHold
	if b.Failing() {
		wait = doubtfulHold
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	over := time.NewTimer(wait)
	defer over.Stop()
	look := time.NewTicker(newcomerHold / 4)
	defer look.Stop()
	for {
		if bytes, err := socket.Alive(raw); bytes || err != nil {
			return err
		}
		select {
		case <-look.C:
		case <-over.C:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

// endOutcome says what an end before the first byte was.
func endOutcome(err error) pool.Outcome {
	if err == nil || errors.Is(err, io.EOF) {
		return pool.Closed
	}
	return pool.Reset
}
