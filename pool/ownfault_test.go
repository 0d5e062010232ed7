package pool

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"
)

func TestOwnFaultBlamesNobodyElse(t *testing.T) {
	dial := func(err error) error { return fmt.Errorf("ask: %w", &net.OpError{Op: "dial", Net: "tcp", Err: err}) }
	for _, c := range []struct {
		err  error
		want bool
	}{
		{dial(os.NewSyscallError("socket", syscall.EMFILE)), true},
		{dial(os.NewSyscallError("connect", syscall.EADDRNOTAVAIL)), true},
		{dial(&net.DNSError{Err: "dial udp 10.0.0.2:53: socket: too many open files", Name: "orders"}), true},
		{dial(&net.DNSError{Err: "no such host", Name: "orders", IsNotFound: true}), false},
		{dial(os.NewSyscallError("connect", syscall.ECONNREFUSED)), false},
		{errors.New("the server said: too many open files"), false},
		{nil, false},
	} {
		if got := OwnFault(c.err); got != c.want {
			t.Errorf("%v is told as a fault of ours: %t, want %t", c.err, got, c.want)
		}
	}
}
