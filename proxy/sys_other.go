//go:build !linux

package proxy

import "syscall"

// setUserTimeout: the option is Linux's; elsewhere the system's limits hold.
func setUserTimeout(_, _ string, _ syscall.RawConn) error { return nil }
