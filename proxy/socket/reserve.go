package socket

import (
	"math"
	"sync"
	"syscall"
)

// reserve is how many of the process's descriptors clients leave to backends, so that those
// who are in can be served, and both leave to everything else: to etcd, or a flood of
// clients would cost a server its registration at the next reconnect, to whoever asks how
// we are, and to files. Of few descriptors it is an eighth.
const reserve = 32

// shares are the first descriptors that no client and no backend may have. The kernel gives
// the lowest that is free: all below it are taken then.
type shares struct{ client, backend int }

var share = sync.OnceValue(func() shares {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || uint64(limit.Cur) > math.MaxInt32 {
		return sharesOf(math.MaxInt32)
	}
	return sharesOf(int(limit.Cur))
})

func sharesOf(limit int) shares {
	left := min(reserve, limit/8)
	return shares{client: limit - 2*left, backend: limit - left}
}

// Reserved reports whether fd is one of those that traffic leaves to everything else.
func Reserved(fd int) bool { return fd >= share().backend }
