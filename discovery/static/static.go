// Package static is a source that never changes: a fixed list of endpoints.
//
//	source := static.New(endpoints)
//	err := source.Run(ctx, pool.Update)
//
// It resolves no names: a host name is looked up each time it is dialled.
package static

import (
	"context"
	"slices"
	"strings"
	"time"

	"portside/discovery"
)

// Source hands over one list, once.
type Source struct {
	endpoints []discovery.Endpoint
}

var _ discovery.Source = (*Source)(nil)

// New returns a source of endpoints, which it sorts by address into a copy.
func New(endpoints []discovery.Endpoint) *Source {
	es := slices.Clone(endpoints)
	slices.SortFunc(es, func(a, b discovery.Endpoint) int { return strings.Compare(a.Address, b.Address) })
	return &Source{endpoints: es}
}

// Run calls update once and waits for ctx's end.
func (s *Source) Run(ctx context.Context, update func([]discovery.Endpoint)) error {
	update(s.endpoints)
	<-ctx.Done()
	return ctx.Err()
}

// Status is always synced, and proven now: a fixed list cannot go out of date.
func (s *Source) Status() discovery.Status {
	return discovery.Status{Source: "static", State: discovery.Synced, Proven: time.Now()}
}
