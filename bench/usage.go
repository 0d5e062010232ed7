package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// usage is the processor time that a process group has used so far.
type usage struct {
	cpu          time.Duration
	user, system float64 // in ticks; only their shares mean something
}

// usageOf sums over the group. A nil process used nothing.
func usageOf(p *process) (u usage, err error) {
	if p == nil {
		return usage{}, nil
	}
	for _, pid := range group(p.pid()) {
		cpu, err := cpuTime(pid)
		if err != nil {
			return u, fmt.Errorf("processor time of %d: %w", pid, err)
		}
		u.cpu += cpu
		fields, err := stat(pid)
		if err != nil {
			return u, err
		}
		u.user += number(fields[11])
		u.system += number(fields[12])
	}
	return u, nil
}

// holding is what a process group holds at a moment.
type holding struct {
	rss, pss float64 // KiB
	fds      float64
}

func holdingOf(p *process) (h holding, err error) {
	if p == nil {
		return holding{}, errors.New("no process")
	}
	for _, pid := range group(p.pid()) {
		dir := fmt.Sprintf("/proc/%d", pid)
		rollup, err := os.ReadFile(dir + "/smaps_rollup")
		if err != nil {
			return h, err
		}
		fds, err := os.ReadDir(dir + "/fd")
		if err != nil {
			return h, err
		}
		h.fds += float64(len(fds))
		h.rss += labelled(rollup, "Rss:")
		h.pss += labelled(rollup, "Pss:")
	}
	return h, nil
}

// group are the processes of a group: workers, whoever their parent is by now.
func group(leader int) (pids []int) {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		pid, _ := strconv.Atoi(filepath.Base(dir))
		if fields, err := stat(pid); err == nil && number(fields[2]) == float64(leader) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// stat are the fields of /proc/PID/stat from the third, the state, on.
func stat(pid int) ([][]byte, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil, err
	}
	fields := bytes.Fields(data[bytes.LastIndexByte(data, ')')+1:])
	if len(fields) < 20 {
		return nil, fmt.Errorf("/proc/%d/stat is short", pid)
	}
	return fields, nil
}

func number(b []byte) float64 {
	f, _ := strconv.ParseFloat(string(b), 64)
	return f
}

func labelled(text []byte, label string) float64 {
	for line := range bytes.Lines(text) {
		if rest, ok := bytes.CutPrefix(line, []byte(label)); ok {
			return number(bytes.Fields(rest)[0])
		}
	}
	return 0
}
