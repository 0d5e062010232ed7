package relay

import (
	"syscall"

	"golang.org/x/sys/unix"
)

func isClosedTCP(fd uintptr) bool {
	info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	return err == nil && info.State == unix.BPF_TCP_CLOSE
}

// spliceFds moves up to n bytes between a pipe and a socket, waiting for
// neither. A whole pipe takes a few tenths of a millisecond, for which a garbage
// collection may have to wait; yet telling the scheduler costs a third more.
func spliceFds(from, to, n int) (int, syscall.Errno) {
	m, _, errno := syscall.RawSyscall6(syscall.SYS_SPLICE, uintptr(from), 0, uintptr(to), 0, uintptr(n), unix.SPLICE_F_NONBLOCK|unix.SPLICE_F_MOVE)
	return int(m), errno
}
