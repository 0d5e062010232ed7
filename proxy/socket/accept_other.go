//go:build !linux

package socket

import "net"

// ownAccept is Linux's alone: elsewhere net accepts.
type ownAccept struct{}

func (ownAccept) start(net.Listener, net.KeepAliveConfig) {}
func (ownAccept) ready() bool                             { return false }
func (ownAccept) accept() (Stream, error)                 { return nil, net.ErrClosed }
func (ownAccept) close()                                  {}
func (ownAccept) release()                                {}
