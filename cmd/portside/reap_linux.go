package main

import (
	"bytes"
	"context"
	"os"
	"strconv"
	"syscall"
	"time"
)

// reap takes the exit codes of processes that nobody waits for, which become the
// first process's children when their parents die, until ctx ends. It does
// nothing unless we are the first process, as in a container.
//
// What we started ourselves is waited for at once, so only what has been dead for
// a while is taken.
func reap(ctx context.Context) error {
	if os.Getpid() != 1 {
		return nil
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	before := map[int]bool{}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		now := map[int]bool{}
		for _, pid := range deadChildren(os.Getpid()) {
			if before[pid] {
				_, _ = syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
				continue
			}
			now[pid] = true
		}
		before = now
	}
}

// deadChildren are parent's children that have ended and were not waited for.
func deadChildren(parent int) (pids []int) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue
		}
		// pid (comm) state ppid …; comm may hold anything, parentheses too.
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		if len(fields) > 1 && string(fields[0]) == "Z" && string(fields[1]) == strconv.Itoa(parent) {
			pids = append(pids, pid)
		}
	}
	return pids
}
