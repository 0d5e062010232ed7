package main

import (
	"runtime"
	"testing"
	"time"
)

// direct runs a load against backends of that role, with nothing between.
func measureDirect(t *testing.T, role string, start func(addr string) load) sample {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("measures on Linux only")
	}
	p, addrs, err := startRole(role, "-count", "1")
	if err != nil {
		t.Fatal(err)
	}
	defer p.stop()
	s, err := measure(t.Context(), subject{addr: addrs[0], backend: p}, start(addrs[0]), window{warm: 100 * time.Millisecond, length: 400 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if s[faults.name] != 0 {
		t.Errorf("%v requests failed with nothing between client and backend, want none", s[faults.name])
	}
	return s
}

func TestEachLoadRunsDirect(t *testing.T) {
	for name, c := range map[string]struct {
		role  string
		start func(addr string) load
	}{
		"keepalive": {"http", func(a string) load { return keepAlive(4, get("")).start(a) }},
		"post":      {"http", func(a string) load { return keepAlive(4, post(4<<10)).start(a) }},
		"newconn":   {"http", func(a string) load { return newConnection(4, get("Connection: close\r\n")).start(a) }},
		"rate":      {"http", func(a string) load { return openLoop{conns: 4, perSec: 200, request: get("")}.start(a) }},
		"pingpong":  {"echo", func(a string) load { return pingPong(4, 100).start(a) }},
		"calls":     {"grpc", func(a string) load { return calls(2, 3).start(a) }},
		"connect":   {"echo", func(a string) load { return connectClose(4, 100).start(a) }},
	} {
		t.Run(name, func(t *testing.T) {
			s := measureDirect(t, c.role, c.start)
			if s[rate.name] < 10 || s[backendOp.name] <= 0 || s[p50.name] <= 0 || s[p50.name] > s[p999.name] {
				t.Errorf("figures are %v: want some requests, their cost to the backend, and ordered percentiles", s)
			}
		})
	}
}

func TestBulkRunsDirectEachWay(t *testing.T) {
	for _, way := range []byte{bulkDown, bulkUp, bulkBoth} {
		s := measureDirect(t, "bulk", func(a string) load { return stream(2, way).start(a) })
		if s[volume.name] < 1 {
			t.Errorf("way %q moved %v MB/s over loopback, want more than 1", way, s[volume.name])
		}
	}
}

func TestStoppedProcessLeavesNoGroup(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("reads /proc")
	}
	p, _, err := startRole("echo")
	if err != nil {
		t.Fatal(err)
	}
	if got := group(p.pid()); len(got) != 1 {
		t.Errorf("the group of a running backend is %v, want one process", got)
	}
	p.stop()
	if got := group(p.pid()); len(got) != 0 {
		t.Errorf("processes %v outlive their stop", got)
	}
}
