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
	log := &proxy.AccessLog{Out: os.Stdout, Common: c.Format == config.LogCommon, Sample: c.Sample, ErrorsOnly: c.ErrorsOnly}
	if c.File == "stdout" {
		return log
	}
	f, err := os.OpenFile(c.File, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		s.log.Error("no access log", "error", err)
		return nil
	}
	log.Out = f
	return log
}
