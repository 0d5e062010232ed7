package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"portside/cmd/portside/config"
)

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
