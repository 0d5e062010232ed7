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

// accessLogs is a service's access log, as reloads replace it. The reloader alone opens.
type accessLogs struct {
	log     *slog.Logger
	current atomic.Pointer[accessLog] // nil: none
}

// accessLog is an open one.
type accessLog struct {
	*proxy.AccessLog
	cfg  config.AccessLog
	out  *outlet
	file *logFile // nil: standard output
}

// open opens the log that c asks for; nil for none. One that is open goes on. A file
// that cannot be opened is said, and goes without: a log is no reason not to serve.
func (a *accessLogs) open(c *config.AccessLog) *proxy.AccessLog {
	if c == nil {
		a.current.Store(nil)
		return nil
	}
	if now := a.current.Load(); now != nil && now.cfg == *c {
		if now.file != nil {
			now.Flush() // what was before belongs to the file that was
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
	l.out = newOutlet(to, func(bytes int64, err error) {
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

// flush writes what waits to be.
func (a *accessLogs) flush() {
	if l := a.current.Load(); l != nil {
		l.out.flush()
	}
}

// retire closes l, which was replaced, once what is on its way through it has been
// written. Of nil there is nothing to close.
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
	// To open a pipe waits for who reads it, and start and reload would wait with it.
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

func (l *logFile) Write(p []byte) (int, error) {
	f := l.file.Load()
	n, err := f.Write(p)
	if err != nil && n == 0 && f != l.file.Load() { // it was replaced just now
		n, err = l.file.Load().Write(p)
	}
	return n, err
}
