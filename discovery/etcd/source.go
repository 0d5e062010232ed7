package etcd

import (
	"context"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"portside/discovery"
)

// maxSkipped bounds Status().Skipped.
const maxSkipped = 100

// A Source follows the keys under one prefix. It is a [discovery.Source].
type Source struct {
	// Reuse has each update overwrite the slice of the last but one: with
	// thousands of endpoints that saves most of what a change costs. A slice that
	// was handed over is then valid until the next call of update has returned;
	// copies of its endpoints are valid for ever. False: so is every slice. Set it
	// before Run.
	Reuse bool

	client *Client
	prefix string // ends in one slash
	end    string // first key past the prefix
	decode Decode
	log    *slog.Logger

	mu   sync.Mutex
	seen seen
}

// seen is what a source knows of itself; its Run writes it, Status reads it.
type seen struct {
	known    bool      // there is a set: it was handed over
	proven   time.Time // when the set was last proven current; zero: never
	revision int64     // the one that the set is true for
	cluster  uint64
	err      error // of the last call, if it failed
	refusal  error // of the last audit, if etcd refused it; the watch goes on all the same
	resyncs  map[string]uint64
	bad      uint64
	drift    uint64
	skipped  []discovery.Skipped
}

// Source returns a source for the keys under prefix. That is made to end in exactly one
// slash, so that the keys of service/ab are no part of service/a; nothing else of it is
// changed, not even a leading blank. The source does nothing until its Run.
func (c *Client) Source(prefix string, decode Decode) *Source {
	prefix = strings.TrimRight(prefix, "/") + "/"
	return &Source{
		client: c,
		prefix: prefix,
		end:    clientv3.GetPrefixRangeEnd(prefix),
		decode: decode,
		log:    c.log.With("prefix", prefix),
		seen:   seen{resyncs: noDoubts()},
	}
}

var _ discovery.Source = (*Source)(nil)

// Run implements [discovery.Source]. It ends with ctx and for no other reason.
func (s *Source) Run(ctx context.Context, update func([]discovery.Endpoint)) error {
	f := newFollower(s, update)
	defer f.close()
	return f.run(ctx)
}

// Status implements [discovery.Source]. The set is synced while a list, an
// event or an answer on the watch proved it within the client's liveness.
func (s *Source) Status() discovery.Status {
	link, _ := s.client.link()
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	st := discovery.Status{
		Source:     "etcd",
		Prefix:     s.prefix,
		State:      s.seen.state(now, s.client.cfg.liveness()),
		Revision:   s.seen.revision,
		Proven:     s.seen.proven,
		Resyncs:    maps.Clone(s.seen.resyncs),
		BadRecords: s.seen.bad,
		Drift:      s.seen.drift,
		Skipped:    s.seen.skipped,
	}
	switch {
	case st.State != discovery.Synced:
		st.Reason = s.reason(link)
	case link.stream == nil && refused(link.err):
		st.Reason = plain(link.err, s.prefix, s.client.cfg.Username, link.since)
	case refused(s.seen.err):
		st.Reason = plain(s.seen.err, s.prefix, s.client.cfg.Username, s.seen.proven)
	case s.seen.refusal != nil:
		st.Reason = plain(s.seen.refusal, s.prefix, s.client.cfg.Username, s.seen.proven) + "; the watch goes on"
	}
	return st
}

func (s *seen) state(now time.Time, liveness time.Duration) discovery.State {
	switch {
	case !s.known:
		return discovery.Syncing
	case now.Sub(s.proven) <= liveness:
		return discovery.Synced
	}
	return discovery.Stale
}

// reason is why the set is not proven, in plain words.
func (s *Source) reason(l link) string {
	user := s.client.cfg.Username
	switch {
	case l.stream == nil:
		return plain(l.err, s.prefix, user, l.since)
	case s.seen.err != nil:
		since := s.seen.proven
		if since.IsZero() {
			since = l.since
		}
		return plain(s.seen.err, s.prefix, user, since)
	case s.seen.proven.IsZero():
		return "first list under way"
	}
	return "no answer from etcd since " + clock(s.seen.proven)
}

// note changes what is known under the lock that Status takes.
func (s *Source) note(change func(*seen)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.seen)
}
