package main

import (
	"os"

	"portside/cmd/portside/config"
	"portside/proxy"
)

// accessLog opens the log that c asks for; nil for none. A file that cannot be
// opened is said, and goes without: a log is no reason not to serve.
func (s *service) accessLog(c *config.AccessLog) *proxy.AccessLog {
	if c == nil {
		return nil
	}
	if s.access != nil && s.accessCfg == *c {
		return s.access // a reload that does not touch it goes on in the same file
	}
	log := &proxy.AccessLog{Common: c.Format == config.LogCommon, Sample: c.Sample, ErrorsOnly: c.ErrorsOnly}
	s.access, s.accessCfg = log, *c
	f := os.Stdout
	if c.File != "stdout" {
		var err error
		if f, err = os.OpenFile(c.File, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644); err != nil {
			s.log.Error("no access log", "error", err)
			s.access = nil
			return nil
		}
	}
	out := newOutlet(f, func(bytes int64) {
		s.log.Warn("a part of the access log was lost: it was not written fast enough", "file", c.File, "bytes", bytes)
	})
	s.accessOut.Store(out)
	log.Out = out
	return log
}
