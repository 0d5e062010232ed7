package main

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// setup is what a proxy is to do; each peer makes a configuration of it.
type setup struct {
	Listen   string
	Backends []string // host:port
	Protocol string   // http, grpc or tcp
	Balance  string   // in portside's words; empty is round robin
	Bulk     bool     // long streams: splice where there is a switch for it
	Etcd     string   // URL; portside finds its backends there instead
	Admin    string   // portside's admin address, profiles included; empty: none
}

// descriptors is how many files a child may open.
func descriptors() uint64 {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 1024
	}
	return uint64(l.Cur)
}

// writeConfig puts text into dir and reports its path.
func writeConfig(dir, name, text string) (string, error) {
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return "", fmt.Errorf("write configuration: %w", err)
	}
	return path, nil
}
