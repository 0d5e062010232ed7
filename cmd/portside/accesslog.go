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
	log := &proxy.AccessLog{Out: os.Stdout, Common: c.Format == config.LogCommon, Sample: c.Sample, ErrorsOnly: c.ErrorsOnly}
	s.access, s.accessCfg = log, *c
	if c.File == "stdout" {
		return log
	}
	f, err := os.OpenFile(c.File, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		s.log.Error("no access log", "error", err)
		s.access = nil
		return nil
	}
	log.Out = f
	return log
}
