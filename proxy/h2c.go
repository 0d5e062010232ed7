package proxy

import (
	"cmp"
	"context"
	"sync"
	"time"

	"portside/pool"
	"portside/proxy/http2"
)

// h2c is the part of an HTTP service that speaks HTTP/2 without TLS, to clients
// who open with its preface (RFC 9113 3.3) and to backends for them. Frames and
// flow control are http2's on both sides; which backend a stream goes to, and
// what becomes of it when that one fails, is decided here, as it is for HTTP/1.1.
type h2c struct {
	h       *HTTP
	serving context.Context // Serve's: when it ends, clients are told to go
	ctx     context.Context // ends when the last client has gone
	stop    context.CancelFunc
	own     sync.WaitGroup // connections to backends, those being made, and who waits for them
	trunks  sync.Map       // *pool.Backend to *trunks
}

const (
	// maxStreams is how many requests a client may have under way on one
	// connection: fewer would have busy gRPC clients wait unseen.
	maxStreams = 1000
	// maxServed is how many may be served for one connection, those included whose
	// client has given them up (CVE-2023-44487).
	maxServed = 4 * maxStreams
	// One upload that its backend does not take must not hold up those beside
	// it: a connection's window has room for many streams'. Clients are near, so
	// that little is under way at a time.
	streamWindow = 64 << 10
	connWindow   = 16 << 20
)

func newH2C(h *HTTP) *h2c {
	q := &h2c{h: h, serving: context.Background()}
	q.ctx, q.stop = context.WithCancel(context.Background())
	return q
}

// close ends what is left when every client has gone.
func (q *h2c) close() {
	q.stop()
	q.sweep(time.Now(), true)
	q.own.Wait()
}

// serveHTTP2 serves a connection whose client began with HTTP/2's preface. It
// returns when that and all its streams have ended.
func (s *httpSession) serveHTTP2() {
	if !s.enter(phaseBusy) { // HTTP/2 has limits of its own
		return
	}
	early := append([]byte(nil), s.x.in[s.x.r:s.x.w]...)
	s.release()
	q, cfg := s.h.h2c, s.h.config()
	c := &h2cClient{address: string(s.clientAddress()), key: s.key}
	c.Server = http2.NewServer(&s.client, early, &s.h.stats.Bytes.ToClient, http2.ServerConfig{
		Streams: maxStreams, Window: streamWindow, All: connWindow, Head: cmp.Or(cfg.HTTP.Limits.Head, 64<<10),
		InTime: cfg.Timeouts.Head, Idle: cfg.Timeouts.Idle, Trails: trails,
	})
	s.h2c.Store(c)
	stop := context.AfterFunc(q.serving, c.Drain)
	err := c.Serve(func(st *http2.ServerStream, by *http2.Batch) { q.accept(c, st, by) })
	stop()
	cfg.Log.Debug("an HTTP/2 connection has ended", "client", c.address, "reason", err)
	c.streams.wait()
}

// left tells that b has left the pool: idle connections to it are closed now,
// those with streams when these have had time to finish.
func (q *h2c) left(b *pool.Backend) {
	if t, ok := q.trunks.Load(b); ok {
		t.(*trunks).leaves()
		t.(*trunks).sweep(time.Now(), false)
	}
}

// cutFrom is when a backend that left now loses its streams.
func (q *h2c) cutFrom(now time.Time) time.Time {
	cfg := q.h.config()
	if cfg.CloseOnRemove {
		return now
	}
	return now.Add(cfg.RemoveTimeout)
}

// sweep closes what is not needed any more; everything, when told.
func (q *h2c) sweep(now time.Time, all bool) {
	q.trunks.Range(func(b, t any) bool {
		none := t.(*trunks).sweep(now, all)
		if none && b.(*pool.Backend).Left() && b.(*pool.Backend).InFlight() == 0 {
			q.trunks.Delete(b)
		}
		return true
	})
}

// trunksTo returns the connections to b.
func (q *h2c) trunksTo(b *pool.Backend) *trunks {
	if t, ok := q.trunks.Load(b); ok {
		return t.(*trunks)
	}
	t, _ := q.trunks.LoadOrStore(b, &trunks{h2c: q, backend: b, coming: map[*h2cClient]*coming{}})
	return t.(*trunks)
}

// spoke reports whether b has served HTTP/2.
func (q *h2c) spoke(b *pool.Backend) bool {
	t, ok := q.trunks.Load(b)
	return ok && t.(*trunks).spoke.Load()
}
