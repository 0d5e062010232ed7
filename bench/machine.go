package main

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// machine is where and when something was measured.
type machine struct {
	Time     time.Time `json:"time"`
	CPU      string    `json:"cpu"`
	Cores    int       `json:"cores"`
	Kernel   string    `json:"kernel"`
	TCP      string    `json:"tcp"` // its congestion control, which bulk depends on
	Go       string    `json:"go"`
	Commit   string    `json:"commit"`
	Load     string    `json:"load_average"`
	Versions []string  `json:"versions"`
}

func describe() machine {
	m := machine{
		Time: time.Now().UTC().Truncate(time.Second), CPU: cpuModel(), Cores: runtime.NumCPU(),
		Kernel: strings.TrimSpace(text("/proc/sys/kernel/osrelease")), Go: runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH,
		TCP:  strings.TrimSpace(text("/proc/sys/net/ipv4/tcp_congestion_control")),
		Load: strings.TrimSpace(text("/proc/loadavg")),
	}
	if out, err := exec.Command("git", "describe", "--always", "--dirty").Output(); err == nil {
		m.Commit = string(bytes.TrimSpace(out))
	}
	return m
}

func text(path string) string {
	data, _ := os.ReadFile(path)
	return string(data)
}

func cpuModel() string {
	lines := bufio.NewScanner(strings.NewReader(text("/proc/cpuinfo")))
	for lines.Scan() {
		if name, ok := strings.CutPrefix(lines.Text(), "model name"); ok {
			return strings.TrimLeft(name, "\t: ")
		}
	}
	return runtime.GOARCH
}
