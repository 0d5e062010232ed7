package main

import "golang.org/x/sys/unix"

// isStopped reports, once for each time, that the child was stopped. It leaves the
// child's end to whoever waits for that.
func isStopped(child int) bool {
	var info unix.Siginfo
	err := unix.Waitid(unix.P_PID, child, &info, unix.WSTOPPED|unix.WNOHANG, nil)
	return err == nil && info.Signo != 0
}
