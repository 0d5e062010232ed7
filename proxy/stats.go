package proxy

import (
	"strconv"
	"sync/atomic"

	"portside/pool"
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

	answered [6]atomic.Int64 // requests, by ourselves or by nobody, by class of status
}

// answer counts a request that no backend's answer was passed on for.
func (s *Stats) answer(status int) { s.answered[status/100].Add(1) }

// Answered are the requests that no backend's answer was passed on for, but one of our
// own, or none because the client had left, which is a "4xx": by class.
func (s *Stats) Answered() map[string]uint64 {
	classes := map[string]uint64{}
	for i := range s.answered {
		if n := s.answered[i].Load(); n > 0 || i >= 4 {
			classes[strconv.Itoa(i)+"xx"] = uint64(n)
		}
	}
	return classes
}

// Duration is how long requests took, from their head to the end of their
// response.
func (h *HTTP) Duration() HistogramSnapshot { return h.duration.Snapshot() }

// Classes are each backend's answers by class, "2xx" and so on, under its address:
// those that the pool has, not those that have left and still finish.
func (h *HTTP) Classes() map[string]map[string]uint64 {
	all := map[string]map[string]uint64{}
	h.stocks.Range(func(b, v any) bool {
		if b.(*pool.Backend).Left() {
			return true // its address may be another's by now
		}
		classes := map[string]uint64{}
		for i := range v.(*stock).classes {
			if n := v.(*stock).classes[i].Load(); n > 0 {
				classes[strconv.Itoa(i)+"xx"] = n
			}
		}
		all[b.(*pool.Backend).Address()] = classes
		return true
	})
	return all
}
