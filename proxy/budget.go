package proxy

import (
	"sync"
	"time"
)

// budget bounds second tries: over ten seconds, a share of the requests and a
// floor of so many a second (as Finagle's RetryBudget). It costs a request
// nothing: how many there have been is asked when a second try is wanted.
type budget struct {
	mu     sync.Mutex
	start  time.Time // of the current window
	first  int64     // requests there had been by then
	tries  float64   // second tries since then
	former window
}

// window is what happened in the ten seconds before the current window.
type window struct{ requests, tries float64 }

const (
	budgetFloor  = 10 // second tries a second, whatever the traffic
	budgetWindow = 10 * time.Second
)

// take reports whether a second try may be made at now, and counts it, where
// share is earned by each request and requests is how many there have been.
func (b *budget) take(share float64, requests int64, now time.Time) bool {
	if share < 0 {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch age := now.Sub(b.start); {
	case age >= 2*budgetWindow:
		b.former = window{}
		b.start, b.first, b.tries = now, requests, 0
	case age >= budgetWindow:
		b.former = window{float64(requests - b.first), b.tries}
		b.start, b.first, b.tries = b.start.Add(budgetWindow), requests, 0
	}
	// The window slides: of the former one, what is not ten seconds old yet.
	left := 1 - float64(now.Sub(b.start))/float64(budgetWindow)
	earned := share * (float64(requests-b.first) + left*b.former.requests)
	spent := b.tries + left*b.former.tries
	if spent+1 > earned+budgetFloor*budgetWindow.Seconds() {
		return false
	}
	b.tries++
	return true
}

// giveBack undoes a take: nothing was left to try.
func (b *budget) giveBack() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tries = max(b.tries-1, 0)
}
