//go:build !linux

package parking

import (
	"context"
	"syscall"
	"time"
)

// poller exists on Linux alone.
type poller struct{}

// Run waits for ctx to end.
func (l *Lot) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

func (poller) watch(syscall.RawConn, Spot) (ok bool) { return false }
func (poller) forget(syscall.RawConn)                {}
func (poller) alarm(time.Time)                       {}
