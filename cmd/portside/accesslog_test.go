package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"portside/cmd/portside/config"
	"portside/pool"
	"portside/proxy"
)

// Lines that were gathered when the file was renamed are the renamed file's.
func TestLinesOfBeforeGoToTheRenamedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	logs := &accessLogs{log: slog.New(slog.DiscardHandler)}
	h := proxy.NewHTTP(pool.New(pool.Config{}), proxy.Config{HTTP: proxy.HTTPConfig{AccessLog: logs.open(&config.AccessLog{File: path})}})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var serving sync.WaitGroup
	serving.Go(func() { _, _ = h.Serve(ctx, ln) })
	defer serving.Wait()
	defer stop()
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "odd\r\n\r\n")
	_ = conn.(*net.TCPConn).CloseWrite()
	_, _ = io.Copy(io.Discard, conn) // it is answered, and logged
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	logs.open(&config.AccessLog{File: path})
	if got, err := os.ReadFile(path + ".1"); !strings.Contains(string(got), `"status":400`) || err != nil {
		t.Errorf("the renamed file has %q, %v; want the request of before", got, err)
	}
}

// Neither a start nor a reload waits for who is to read a pipe. They may come later.
func TestAPipeThatNobodyReadsIsNotWaitedFor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	logs := &accessLogs{log: slog.New(slog.NewTextHandler(&log, nil))}
	opened := make(chan *proxy.AccessLog, 1)
	go func() { opened <- logs.open(&config.AccessLog{File: path}) }()
	var l *proxy.AccessLog
	select {
	case l = <-opened:
	case <-time.After(5 * time.Second):
		t.Fatal("it waits for a reader: nothing is served meanwhile, and SIGTERM is not heard")
	}
	if l == nil {
		t.Fatalf("it is not opened, though somebody may read it later; logged %s", log.String())
	}
	write := func(line string) {
		_, _ = l.Out.Write([]byte(line))
		logs.flush()
	}
	write("lost\n")
	if !strings.Contains(log.String(), "cannot be written") {
		t.Errorf("want it told that the log is lost, logged %s", log.String())
	}
	reader, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	write("line\n")
	line := make([]byte, 16)
	if n, err := reader.Read(line); string(line[:n]) != "line\n" {
		t.Errorf("the reader who came later has %q, %v", line[:n], err)
	}
	if !strings.Contains(log.String(), "bytes=5") {
		t.Errorf("want it told how much was lost, logged %s", log.String())
	}
	logs.current.Load().close()
}

// What rotates logs renames the file and has the configuration read again: from
// then on lines go to a new one.
func TestAccessLogIsOpenedAnewOnceItWasRenamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	logs := &accessLogs{log: slog.New(slog.DiscardHandler)}
	cfg := &config.AccessLog{File: path}
	say := func(line string) {
		t.Helper()
		_, _ = logs.open(cfg).Out.Write([]byte(line + "\n"))
		logs.flush()
	}
	say("one")
	first := logs.current.Load().file.file.Load()
	say("two") // a reload that finds all as it was
	if logs.current.Load().file.file.Load() != first {
		t.Error("opened anew though it was there")
	}
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	say("three")
	for name, want := range map[string]string{path + ".1": "one\ntwo\n", path: "three\n"} {
		if got, err := os.ReadFile(name); string(got) != want || err != nil {
			t.Errorf("%s has %q, %v; want %q", filepath.Base(name), got, err, want)
		}
	}
	if err := first.Close(); err == nil {
		t.Error("the renamed file was still open")
	}
}
