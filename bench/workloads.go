package main

import "fmt"

var (
	perRequest = []figure{cpuOp, rate, p50, p99, p999, inUser, pss, fds, backendOp, generatorOp, faults}
	perGB      = []figure{cpuGB, volume, inUser, pss, fds, generatorGB, faults}
)

// workloads are all of them, in the order of their running.
func workloads(o options) (all []workload) {
	all = append(all, httpWorkloads()...)
	all = append(all, rateWorkload())
	all = append(all, grpcWorkloads()...)
	all = append(all, tcpWorkloads()...)
	all = append(all, idleWorkloads()...)
	all = append(all, slowWorkloads(o.rate)...)
	all = append(all, startWorkload(), routedWorkload())
	return append(all, churnWorkloads()...)
}

var threeHTTP = role("http", "-count", "3")

func httpWorkloads() (all []workload) {
	add := func(name, says string, backends func() (*process, []string, error), l loop) {
		all = append(all, workload{
			name: "http/" + name, says: says, protocol: "http",
			figures: perRequest, backends: backends, run: measured(l),
		})
	}
	for _, n := range []int{1, 64, 512} {
		add(fmt.Sprintf("keepalive/%d", n), fmt.Sprintf("small GET on %d kept connections", n), threeHTTP, keepAlive(n, get("")))
	}
	add("post4k/64", "POST of 4 KiB on 64 kept connections", threeHTTP, keepAlive(64, post(4<<10)))
	add("body64k/64", "GET of 64 KiB on 64 kept connections", role("http", "-count", "3", "-size", "65536"), keepAlive(64, get("")))
	add("newconn/32", "small GET, a new client connection for each, 32 at a time", threeHTTP,
		newConnection(32, get("Connection: close\r\n")))
	return all
}

func grpcWorkloads() (all []workload) {
	for _, w := range []struct{ conns, streams int }{{1, 1}, {1, 64}, {16, 4}} {
		all = append(all, workload{
			name:     fmt.Sprintf("grpc/unary/%dx%d", w.conns, w.streams),
			says:     fmt.Sprintf("unary gRPC calls, %d connections with %d at a time on each", w.conns, w.streams),
			figures:  perRequest,
			protocol: "grpc", backends: role("grpc", "-count", "3"), run: measured(calls(w.conns, w.streams)),
		})
	}
	return all
}

func tcpWorkloads() (all []workload) {
	for _, n := range []int{1, 64} {
		all = append(all, workload{
			name: fmt.Sprintf("tcp/pingpong/%d", n), says: fmt.Sprintf("100 bytes there and back on %d connections", n),
			figures: perRequest, protocol: "tcp", backends: role("echo", "-count", "3"), run: measured(pingPong(n, 100)),
		})
	}
	for _, w := range []struct {
		name, says string
		way        byte
	}{
		{"down", "from the backend", bulkDown}, {"up", "to the backend", bulkUp}, {"both", "both ways at once", bulkBoth},
	} {
		all = append(all, workload{
			name: "tcp/bulk/" + w.name, says: "as fast as it goes " + w.says + ", 4 connections",
			figures: perGB, protocol: "tcp", bulk: true, backends: role("bulk", "-count", "3"), run: measured(stream(4, w.way)),
		})
	}
	return append(all, workload{
		name: "tcp/connect/32", says: "connect, 100 bytes there and back, close, 32 at a time",
		figures: perRequest, protocol: "tcp", backends: role("echo", "-count", "3"), run: measured(connectClose(32, 100)),
	})
}
