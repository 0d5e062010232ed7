package pool

import (
	"errors"
	"net"
	"strings"
	"syscall"
)

// OwnFault reports whether err, of a connection that was tried, is for want of something
// of ours: descriptors, ports or memory. It says nothing about a backend.
func OwnFault(err error) bool {
	for _, own := range []error{syscall.EMFILE, syscall.ENFILE, syscall.EADDRNOTAVAIL, syscall.EADDRINUSE, syscall.ENOBUFS, syscall.ENOMEM} {
		if errors.Is(err, own) {
			return true
		}
		// What keeps Go from asking for a name's address it tells as text.
		if dns, ok := errors.AsType[*net.DNSError](err); ok && strings.HasSuffix(dns.Err, own.Error()) {
			return true
		}
	}
	return false
}
