package proxy

import (
	"errors"

	"portside/pool"
	"portside/proxy/http1"
	"portside/proxy/relay"
)

var errNotAsked = errors.New("101 to a request that did not ask for it")

// tunnel passes a 101 on and then whatever either side sends: the connections
// speak another protocol now (RFC 9110 7.8). It returns when both have ended.
func (s *httpSession) tunnel(c *backendConn, cfg *Config) error {
	x := s.x
	if !upgrades(&x.req) || x.resp.Upgrade == nil {
		s.lease.Report(pool.Malformed)
		return &attemptError{"bad_response", errNotAsked}
	}
	x.head = x.resp.AppendHead(x.head[:0])
	x.head = http1.AppendField(x.head, "Upgrade", x.resp.Upgrade)
	x.head = http1.AppendEnd(append(x.head, "Connection: Upgrade\r\n"...))
	s.begins(c, true)
	if err := s.toClient(x.head); err != nil {
		return err
	}
	if !s.enter(phaseBusy) { // the relay has a clock of its own
		return s.watch.why()
	}
	early := append([]byte(nil), x.in[x.r:x.w]...)
	backEarly := append([]byte(nil), x.back[x.br:x.bw]...)
	s.observe()
	s.release() // a tunnel may last for days, and the relay brings its own buffers
	relay.Run(s.client.Stream, c.Stream, relay.Config{
		Idle: cfg.Timeouts.Idle, Head: early, BackendHead: backEarly, Counters: &s.h.stats.Bytes,
	})
	return nil
}
