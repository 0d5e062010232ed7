//go:build !linux

package parking

import (
	"context"
	"syscall"
	"time"
)

// poller exists on Linux alone.
type poller struct{}

// Start does nothing: the lot stays closed.
func (l *Lot) Start() error { return nil }

// Run waits for ctx to end.
func (l *Lot) Run(ctx context.Context) { <-ctx.Done() }

func (poller) watch(syscall.RawConn, Spot, int) (ok bool) { return false }
func (poller) forget(syscall.RawConn)                     {}
func (poller) alarm(time.Time)                            {}
