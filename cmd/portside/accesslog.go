package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"portside/cmd/portside/config"
	"portside/proxy"
)

// accessLogs is a service's access log, which reloads may replace. Only a reload calls open.
type accessLogs struct {
	log     *slog.Logger
	current atomic.Pointer[accessLog] // nil: none
}

// accessLog is an open one.
type accessLog struct {
	*proxy.AccessLog
	cfg  config.AccessLog
	out  *asyncWriter
	file *logFile // nil: standard output
}

// open returns the log that c asks for; nil for none. One that is open already goes on. A
// file that cannot be opened is an error in the log, and there is no access log: that is no
// reason not to serve.
func (a *accessLogs) open(c *config.AccessLog) *proxy.AccessLog {
	if c == nil {
		a.current.Store(nil)
		return nil
	}
	if now := a.current.Load(); now != nil && now.cfg == *c {
		if now.file != nil {
			now.Flush() // what was logged so far belongs in the former file
			now.out.flush()
			if err := now.file.reopen(); err != nil {
				a.log.Error("the access log cannot be opened anew, and goes on in the former file", "error", err)
			}
		}
		return now.AccessLog
	}
	l := &accessLog{cfg: *c}
	var to io.Writer = os.Stdout
	if c.File != "stdout" {
		f, err := openLog(c.File)
		if err != nil {
			a.log.Error("cannot open the access log; requests are not logged", "error", err)
			a.current.Store(nil)
			return nil
		}
		to, l.file = f, f
	}
	l.out = newAsyncWriter(to, func(bytes int64, err error) {
		if err != nil {
			a.log.Error("the access log cannot be written", "file", c.File, "error", err)
			return
		}
		a.log.Warn("a part of the access log was lost: it could not be written, or not fast enough", "file", c.File, "bytes", bytes)
	})
	l.AccessLog = &proxy.AccessLog{Out: l.out, Common: c.Format == config.LogCommon, Sample: c.Sample, ErrorsOnly: c.ErrorsOnly}
	a.current.Store(l)
	return l.AccessLog
}

// flush writes what still waits to be written, but does not wait for long.
func (a *accessLogs) flush() {
	if l := a.current.Load(); l != nil {
		l.out.flush()
	}
}

// retire closes l, which was replaced, when the requests that still use it have been logged.
// A nil l has nothing to close.
func (l *accessLog) retire(ctx context.Context) error {
	if l == nil {
		return nil
	}
	pause(ctx, time.Second) // requests that end now may still have it
	l.close()
	return nil
}

func (l *accessLog) close() {
	l.out.flush()
	if l.file != nil {
		_ = l.file.file.Load().Close()
	}
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
	// Without O_NONBLOCK opening a pipe waits for its reader, and start and reload with it.
	const how = os.O_CREATE | os.O_APPEND | os.O_WRONLY | syscall.O_NONBLOCK
	f, err := os.OpenFile(l.path, how, 0o644)
	if errors.Is(err, syscall.ENXIO) {
		// Nobody reads it yet: whoever is started after us may. Until then, to write fails,
		// and is told; we read for as long as it takes to open it.
		if reader, rerr := os.OpenFile(l.path, os.O_RDONLY|syscall.O_NONBLOCK, 0); rerr == nil {
			f, err = os.OpenFile(l.path, how, 0o644)
			_ = reader.Close()
		}
	}
	if err != nil {
		return err
	}
	if former := l.file.Swap(f); former != nil {
		_ = former.Close() // a write under way is finished first
	}
	return nil
}

// reopen opens the file again if there is another, or none, at its path by now: tools that
// rotate logs rename the file and then have the configuration read again.
func (l *logFile) reopen() error {
	now, err := os.Stat(l.path)
	if err == nil {
		if was, err := l.file.Load().Stat(); err == nil && os.SameFile(was, now) {
			return nil
		}
	}
	return l.open()
}

func (l *logFile) Write(p []byte) (int, error) {
	f := l.file.Load()
	n, err := f.Write(p)
	if err != nil && n == 0 && f != l.file.Load() { // it was replaced, and closed, just now
		n, err = l.file.Load().Write(p)
	}
	return n, err
}
