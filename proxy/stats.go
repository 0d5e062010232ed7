package proxy

import (
	"sync/atomic"

	"portside/proxy/relay"
)

// Stats are a service's counters. Read them at any time.
type Stats struct {
	Connections   atomic.Int64 // accepted
	Active        atomic.Int64 // open now
	Bytes         relay.Counters
	Retries       atomic.Int64 // second tries made
	RetriesDenied atomic.Int64 // second tries that the budget refused
	Failed        atomic.Int64 // connections or requests that no backend could serve
	AcceptErrors  atomic.Int64 // accepts that failed, file descriptors run out among them
}
