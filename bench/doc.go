// Command bench measures portside from outside, through its sockets, beside its
// peers, on the same work, in turn.
//
//	go run ./bench                      # everything; half an hour
//	go run ./bench -quick               # a minute's answer
//	go run ./bench -run 'tcp/' -rounds 9 -seconds 3
//	go run ./bench -profile -run 'http/keepalive/64'
//
// # What is measured
//
// The generator, the proxies and the backends share one machine, so the time on
// the clock belongs to all of them. The primary figure is therefore the proxy's
// own processor time, user and system, of its whole process group, for a request
// or for a gigabyte. Throughput and latency are what a client saw; beside them
// stands what the generator itself spent, and the work done with no proxy at all.
//
// Proxies are started together, wait idle, and are measured one after the other in
// rounds, each round beginning with another one, so that a drift of the machine's
// speed affects all alike. A ratio is computed within a round, where the machine was
// the same, and the median over the rounds is reported. The headline is portside ÷ the
// better of HAProxy and nginx in that round. The spread after ± is half the range over
// the rounds, in percent of the median. Where it is as wide as the difference, there is
// no difference to report.
//
// Latency comes from closed loops, which wait for each answer and so hide stalls,
// and from open loops (http/rate, slow/…): requests leave on schedule whatever has
// become of those before, and latency counts from the intended time.
//
// # Who is measured
//
// HAProxy (nbthread 2), nginx (two workers), Caddy, and "go": net/http/httputil's
// reverse proxy with a buffer pool and a tuned transport, or io.Copy both ways for
// TCP, in a process of its own. A peer that is not on PATH is left out, and one that
// fails at a workload is left out of the rest of it; the report says so. nginx can
// proxy TCP only with its stream module; BENCH_NGINX_STREAM names the file if nginx
// itself does not find it. All keep connections to their backends, write no access
// log, and add X-Forwarded-For. portside runs with its defaults but for its guard,
// which would take churn for an accident and is off. "direct" is the first backend
// with no proxy before it.
//
// # What stays behind
//
// Results go to bench/out: results.json with every round, report.md, and a plot a
// workload. Ctrl-C ends every process that was started and removes what was
// written elsewhere. It runs on Linux: it reads /proc.
package main
