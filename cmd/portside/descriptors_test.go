package main

import (
	"fmt"
	"log/slog"
	"strings"
	"syscall"
	"testing"

	"portside/cmd/portside/config"
)

func TestAStartThatRunsOutOfDescriptorsSaysSoOnce(t *testing.T) {
	var args []string
	for i := range 200 {
		args = append(args, fmt.Sprintf("s%d=0,endpoints=10.0.0.1:80", i))
	}
	cfg, err := load(config.Options{Search: []string{}, Args: args, Env: func(string) (string, bool) { return "", false }})
	if err != nil {
		t.Fatal(err)
	}
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &was); err != nil {
		t.Skip(err)
	}
	few := was
	few.Cur = 100
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &few); err != nil {
		t.Skip(err)
	}
	p, err := newProcess(cfg, slog.New(slog.DiscardHandler))
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	if err == nil {
		p.closeListeners()
		t.Fatal("200 services were bound with 100 descriptors")
	}
	if lines := strings.Count(err.Error(), "\n") + 1; lines != 2 || !strings.Contains(err.Error(), "ulimit -n") {
		t.Errorf("a start without descriptors says %d lines, want the first service that has none, and what to do: %v", lines, err)
	}
}
