package main

import (
	"context"
	"io"
	"os"
	"sync/atomic"
	"time"

	"portside/cmd/portside/config"
	"portside/proxy"
)

// accessLog opens the log that c asks for; nil for none. A file that cannot be
// opened is said, and goes without: a log is no reason not to serve.
func (s *service) accessLog(c *config.AccessLog) *proxy.AccessLog {
	if c == nil {
		s.access, s.accessFile = nil, nil
		return nil
	}
	if s.access != nil && s.accessCfg == *c {
		if s.accessFile != nil {
			if err := s.accessFile.reopen(); err != nil {
				s.log.Error("the access log cannot be opened anew, and goes on in the former file", "error", err)
			}
		}
		return s.access
	}
	log := &proxy.AccessLog{Common: c.Format == config.LogCommon, Sample: c.Sample, ErrorsOnly: c.ErrorsOnly}
	s.access, s.accessCfg, s.accessFile = log, *c, nil
	var to io.Writer = os.Stdout
	if c.File != "stdout" {
		f, err := openLog(c.File)
		if err != nil {
			s.log.Error("no access log", "error", err)
			s.access = nil
			return nil
		}
		to, s.accessFile = f, f
	}
	out := newOutlet(to, func(bytes int64, err error) {
		if err != nil {
			s.log.Error("the access log cannot be written", "file", c.File, "error", err)
			return
		}
		s.log.Warn("a part of the access log was lost: it could not be written, or not fast enough", "file", c.File, "bytes", bytes)
	})
	s.accessOut.Store(out)
	log.Out = out
	return log
}

// logFile is a file that lines are appended to.
type logFile struct {
	path string
	file atomic.Pointer[os.File]
}

func openLog(path string) (*logFile, error) {
	l := &logFile{path: path}
	return l, l.open()
}

func (l *logFile) open() error {
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if former := l.file.Swap(f); former != nil {
		_ = former.Close() // once it is written what is being written
	}
	return nil
}

// reopen opens the file anew if its path leads to another by now, or to none: those
// who rotate logs rename them, and have the configuration read again.
func (l *logFile) reopen() error {
	now, err := os.Stat(l.path)
	if err == nil {
		if was, err := l.file.Load().Stat(); err == nil && os.SameFile(was, now) {
			return nil
		}
	}
	return l.open()
}

// retire closes the file once what is on its way through out has been written.
func (l *logFile) retire(ctx context.Context, out *outlet) error {
	pause(ctx, time.Second) // requests that end now may still have it
	out.flush()
	_ = l.file.Load().Close()
	return nil
}

func (l *logFile) Write(p []byte) (int, error) {
	f := l.file.Load()
	n, err := f.Write(p)
	if err != nil && n == 0 && f != l.file.Load() { // it was replaced just now
		n, err = l.file.Load().Write(p)
	}
	return n, err
}
