//go:build !linux

package socket

import (
	"context"
	"syscall"
)

func (d *Dialer) dialLiteral(context.Context, string) (_ Stream, err error, ok bool) {
	return nil, nil, false
}

// control: the option is Linux's.
func (d *Dialer) control(_, _ string, _ syscall.RawConn) error { return nil }
