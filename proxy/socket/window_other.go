//go:build !linux

package socket

// LiftUserTimeout has nothing to lift: [Dialer.UserTimeout] is Linux' alone.
func LiftUserTimeout(uintptr) {}
