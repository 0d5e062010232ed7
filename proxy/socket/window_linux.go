package socket

import "golang.org/x/sys/unix"

// LiftUserTimeout takes [Dialer.UserTimeout] off a connection whose peer has closed its
// window: one that works before it reads on, say, or waits for a lock. As long as it
// acknowledges probes the connection is to stay (RFC 9293 3.8.6.1, MUST-37), but the kernel
// counts that time as well (tcp_probe_timer) and would reset a peer that is alive. To be
// called about once a second while something is written. It does not wait.
func LiftUserTimeout(fd uintptr) {
	if limit, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT); err != nil || limit == 0 {
		return
	}
	info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	if err == nil && info.Notsent_bytes > 0 && info.Unacked == 0 {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 0)
	}
}
