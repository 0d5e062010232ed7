package proxy

import (
	"cmp"
	"context"
	"errors"
	"log"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"portside/pool"
	"portside/proxy/http2"
)

// h2c is the part of an HTTP service that speaks HTTP/2 without TLS, to clients
// who open with its preface (RFC 9113 3.3) and to backends for them. Frames and
// flow control are net/http's on both sides; which backend a stream goes to, and
// what becomes of it when that one fails, is decided here, as it is for HTTP/1.1.
type h2c struct {
	h       *HTTP
	serving context.Context // Serve's: when it ends, clients are told to go
	ctx     context.Context // ends when the last client has gone
	stop    context.CancelFunc
	own     sync.WaitGroup // connections being made
	trunks  sync.Map       // *pool.Backend to *trunks
}

const (
	// maxStreams is how many requests a client may have under way on one
	// connection; net/http's default of 250 has busy gRPC clients wait unseen.
	maxStreams = 1000
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
	q.own.Wait()
	q.sweep(time.Now(), true)
}

// newServer makes the server of one client's connection: so each has the
// configuration in force when it came, and can be told to go by itself.
func (q *h2c) newServer(c *h2cClient) *http.Server {
	cfg := q.h.config()
	s := &http.Server{
		Handler:                      http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { q.serve(c, w, r) }),
		Protocols:                    new(http.Protocols),
		DisableGeneralOptionsHandler: true, // OPTIONS * is the backend's to answer
		ReadHeaderTimeout:            cfg.Timeouts.Head,
		IdleTimeout:                  cfg.Timeouts.Idle,
		MaxHeaderBytes:               cmp.Or(cfg.HTTP.Limits.Head, 64<<10),
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          maxStreams,
			MaxReceiveBufferPerStream:     streamWindow,
			MaxReceiveBufferPerConnection: connWindow,
			WriteByteTimeout:              cfg.Timeouts.Idle,
		},
		ConnState: c.state,
		ErrorLog:  quietly(cfg.Log),
	}
	s.Protocols.SetUnencryptedHTTP2(true)
	return s
}

// quietly has net/http tell of clients' mistakes where connections are told of.
func quietly(l *slog.Logger) *log.Logger { return slog.NewLogLogger(l.Handler(), slog.LevelDebug) }

// serveHTTP2 serves a connection whose client began with HTTP/2's preface. It
// returns when that and all its streams have ended.
func (s *httpSession) serveHTTP2() {
	if !s.enter(phaseBusy) { // net/http has limits of its own
		return
	}
	early := append([]byte(nil), s.x.in[s.x.r:s.x.w]...)
	s.release()
	c := &h2cClient{
		Conn: &s.client, early: early, sent: &s.h.stats.Bytes.ToClient,
		address: string(s.clientAddress()), key: s.key,
		ready: make(chan struct{}), closed: make(chan struct{}),
	}
	c.heads = http2.NewHeadClock(s.h.config().Timeouts.Head, func() { _ = c.Close() })
	s.h2c.Store(c)
	q := s.h.h2c
	server := q.newServer(c)
	if err := server.Serve(&handoff{conn: c}); !errors.Is(err, errHandedOff) {
		_ = c.Close()
	}
	select {
	case <-c.closed:
	case <-q.serving.Done():
		c.drain(s.ctx, server)
	}
	c.streams.wait()
}

// drain tells the client to go (GOAWAY) and waits until it has: its streams may
// finish, until ctx ends and the session is cut.
func (c *h2cClient) drain(ctx context.Context, server *http.Server) {
	select {
	case <-c.ready: // before, net/http does not know yet whom to tell
	case <-c.closed:
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	var telling sync.WaitGroup
	telling.Go(func() { _ = server.Shutdown(ctx) })
	<-c.closed
	cancel()
	telling.Wait()
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

// handoff is a listener that accepts one connection, which is there already.
type handoff struct{ conn net.Conn }

// errHandedOff ends the accept loop; the connection is served on.
var errHandedOff = errors.New("the connection is handed off")

func (h *handoff) Accept() (net.Conn, error) {
	if h.conn == nil {
		return nil, errHandedOff
	}
	c := h.conn
	h.conn = nil
	return c, nil
}

func (h *handoff) Close() error   { return nil }
func (h *handoff) Addr() net.Addr { return &net.TCPAddr{} }
