package main

import (
	"errors"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"

	"portside/cmd/portside/config"
)

// settle is how long a changed file is left alone before it is read: editors and
// ConfigMaps change it in several steps.
const settle = 150 * time.Millisecond

// mostSettle bounds the wait for that: others may write in the directory all the time.
const mostSettle = time.Second

// absence is how long a file may be gone or empty before that counts as a change: some
// ways to replace it pass through both.
const absence = time.Second

// unnoticed is how often the file is looked at though no change was noticed: where it is a
// symbolic link, another directory changes than the one that is watched.
const unnoticed = 30 * time.Second

// watchConfig reloads when the configuration's file changes. The directory is
// watched, since most ways to change a file replace it.
func (p *process) watchConfig() error {
	source := p.config().Source
	if source == "" || p.nothingToRead() != nil {
		return nil
	}
	watcher, err := fsnotify.NewWatcher()
	if err == nil {
		defer func() { _ = watcher.Close() }()
		err = watcher.Add(filepath.Dir(source))
	}
	if err != nil {
		p.log.Warn("changes of the configuration are not noticed; send SIGHUP", "file", source, "error", err)
		return nil
	}
	timer := time.NewTimer(settle) // it may have changed since it was read
	defer timer.Stop()
	var unsettled time.Time // since when there are changes that were not looked at; zero: there are none
	for {
		select {
		case <-p.ctx.Done():
			return nil
		case <-watcher.Events:
			if unsettled.IsZero() {
				unsettled = time.Now()
			}
			timer.Reset(max(min(settle, time.Until(unsettled.Add(mostSettle))), 0))
		case err := <-watcher.Errors:
			p.log.Debug("watching the configuration", "error", err)
		case <-timer.C:
			unsettled = time.Time{}
			p.reloading.Lock()
			changed, again := p.file.see(lookAt(source), time.Now())
			p.reloading.Unlock()
			if changed {
				_ = p.reload() // it has said what is wrong
			}
			timer.Reset(again)
		}
	}
}

// watched is a file that is looked at again and again.
type watched struct {
	last look
	gone time.Time // since when it has been empty or gone, unlike last; zero: it is not
}

// see compares a look with the last one. It reports whether the file has changed, and when to
// look again.
func (w *watched) see(now look, at time.Time) (changed bool, again time.Duration) {
	if now.blind {
		return false, absence
	}
	if now == w.last {
		w.gone = time.Time{}
		return false, unnoticed
	}
	if now.empty() {
		if w.gone.IsZero() {
			w.gone = at
		}
		if wait := absence - at.Sub(w.gone); wait > 0 {
			return false, wait
		}
	}
	w.last, w.gone = now, time.Time{}
	return true, unnoticed
}

// look is the state in which a file was seen.
type look struct {
	content       string
	fault         string // why it cannot be read
	blind         bool   // for want of descriptors or memory: it says nothing of the file
	notRereadable bool   // it is no regular file: a pipe, say, is read only once
}

func lookAt(name string) look {
	data, err := config.Reread(name)
	for _, want := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM} {
		if errors.Is(err, want) {
			return look{blind: true}
		}
	}
	if err != nil {
		return look{fault: err.Error(), notRereadable: errors.Is(err, config.ErrNotRegular)}
	}
	return look{content: string(data)}
}

// empty reports whether there is nothing to read.
func (l look) empty() bool { return strings.TrimSpace(l.content) == "" }
