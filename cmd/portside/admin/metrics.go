package admin

import (
	"net/http"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"portside/discovery"
	"portside/pool"
)

// Process is what is measured of portside itself rather than of a service.
type Process struct {
	Reloads, ReloadFailures uint64
	LastReloadOK            bool
}

// Metrics renders snapshots in Prometheus' text format. Nothing is pushed, so the
// series of what is gone are gone too. version labels build_info.
func Metrics(version string, services func() []Service, registrations func() []Registration, process func() Process) http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(
		&collector{version, services, registrations, process},
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	// Not OpenMetrics, even if a client prefers it: there the name of a counter's family has
	// no _total, so that the Go collector's gauge go_memstats_alloc_bytes and its counter
	// go_memstats_alloc_bytes_total share one, which strict readers refuse (OpenMetrics 1.0,
	// MetricFamily).
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{})
}

type collector struct {
	version       string
	services      func() []Service
	registrations func() []Registration
	process       func() Process
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("portside_"+name, help, labels, nil)
}

// descs are the metrics, each under the name of what it measures.
type descs struct {
	buildInfo, reloads, reloadFailures, lastReload                   *prometheus.Desc
	requests, connections, connectionsActive, bytes, retries, denied *prometheus.Desc
	failed, failOpen, state, inFlight, failures, latency, ejections  *prometheus.Desc
	synced, age, revision, resyncs, bad, drift, registered, losses   *prometheus.Desc
}

func describe() descs {
	return descs{
		buildInfo:         desc("build_info", "Always 1; labels say what was built.", "version", "go"),
		reloads:           desc("config_reloads_total", "Configurations applied since the start."),
		reloadFailures:    desc("config_reload_failures_total", "Configurations refused since the start."),
		lastReload:        desc("config_last_reload_successful", "1 if the last configuration offered was applied."),
		requests:          desc("requests_total", "HTTP requests, or TCP connections, by backend and class of answer; backend is empty where portside answered itself, or the client left first (4xx).", "service", "backend", "code"),
		connections:       desc("connections_total", "Clients' connections accepted.", "service"),
		connectionsActive: desc("connections_active", "Clients' connections open.", "service"),
		bytes:             desc("bytes_total", "Bytes moved.", "service", "direction"),
		retries:           desc("retries_total", "Second tries, on another backend.", "service"),
		denied:            desc("retries_denied_total", "Second tries that the budget refused.", "service"),
		failed:            desc("failed_total", "Connections or requests that no backend could serve.", "service"),
		failOpen:          desc("fail_open", "1 while every backend left in rotation is failing.", "service"),
		state:             desc("backend_state", "1 for the state a backend is in, 0 for the others.", "service", "backend", "state"),
		inFlight:          desc("backend_in_flight", "Requests or connections a backend is working on.", "service", "backend"),
		failures:          desc("backend_failures_total", "Failures that count against a backend.", "service", "backend"),
		latency:           desc("backend_latency_seconds", "Time to a backend's first byte, moving average.", "service", "backend"),
		ejections:         desc("ejections_total", "Backends set aside, by reason.", "service", "reason"),
		synced:            desc("discovery_synced", "1 while the endpoints are proven current.", "service"),
		age:               desc("discovery_age_seconds", "Time since the endpoints were last proven current; -1: never.", "service"),
		revision:          desc("discovery_revision", "Registry revision the endpoints are true for.", "service"),
		resyncs:           desc("discovery_resyncs_total", "Lists taken again, by reason.", "service", "reason"),
		bad:               desc("discovery_bad_records_total", "Records that could not be read.", "service"),
		drift:             desc("discovery_drift_corrected_total", "Endpoints that only a periodic audit put right.", "service"),
		registered:        desc("registered", "1 while the registration is in the registry.", "service", "key"),
		losses:            desc("registration_losses_total", "Times a standing registration was found gone.", "service", "key"),
	}
}

// Describe sends nothing: which series there are depends on the services, and
// checking that they are consistent is left to Collect (an unchecked collector).
func (c *collector) Describe(chan<- *prometheus.Desc) {}

func (c *collector) Collect(ch chan<- prometheus.Metric) {
	d := describe()
	put := func(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, kind, v, labels...)
	}
	const counter, gauge = prometheus.CounterValue, prometheus.GaugeValue

	goVersion := ""
	if info, ok := debug.ReadBuildInfo(); ok {
		goVersion = info.GoVersion
	}
	put(d.buildInfo, gauge, 1, c.version, goVersion)
	p := c.process()
	put(d.reloads, counter, float64(p.Reloads))
	put(d.reloadFailures, counter, float64(p.ReloadFailures))
	put(d.lastReload, gauge, truth(p.LastReloadOK))

	for _, s := range c.services() {
		put(d.connections, counter, float64(s.Traffic.Connections), s.Name)
		put(d.connectionsActive, gauge, float64(s.Traffic.Active), s.Name)
		put(d.bytes, counter, float64(s.Traffic.ToBackend), s.Name, "to_backend")
		put(d.bytes, counter, float64(s.Traffic.ToClient), s.Name, "to_client")
		put(d.retries, counter, float64(s.Traffic.Retries), s.Name)
		put(d.denied, counter, float64(s.Traffic.RetriesDenied), s.Name)
		put(d.failed, counter, float64(s.Traffic.Failed), s.Name)
		put(d.failOpen, gauge, truth(s.FailOpen), s.Name)
		put(d.synced, gauge, truth(s.Discovery.State == discovery.Synced), s.Name)
		put(d.age, gauge, s.Discovery.Age, s.Name)
		put(d.revision, gauge, float64(s.Discovery.Revision), s.Name)
		put(d.bad, counter, float64(s.Discovery.Bad), s.Name)
		put(d.drift, counter, float64(s.Discovery.Drift), s.Name)
		for reason, n := range s.Discovery.Resyncs {
			put(d.resyncs, counter, float64(n), s.Name, reason)
		}
		for class, n := range s.Answered {
			put(d.requests, counter, float64(n), s.Name, "", class)
		}
		for reason, n := range s.Ejections {
			put(d.ejections, counter, float64(n), s.Name, reason)
		}
		for _, b := range s.Backends {
			put(d.inFlight, gauge, float64(b.InFlight), s.Name, b.Address)
			put(d.failures, counter, float64(b.Failures), s.Name, b.Address)
			put(d.latency, gauge, b.Latency/1000, s.Name, b.Address)
			for _, state := range []pool.State{pool.Active, pool.Ejected, pool.Draining, pool.Suspect} {
				put(d.state, gauge, truth(b.State == state), s.Name, b.Address, string(state))
			}
			if b.Classes == nil {
				put(d.requests, counter, float64(b.Requests), s.Name, b.Address, s.Protocol)
			}
			for class, n := range b.Classes {
				put(d.requests, counter, float64(n), s.Name, b.Address, class)
			}
		}
		s.Duration.collect(ch, s.Name)
	}
	for _, r := range c.registrations() {
		put(d.registered, gauge, truth(r.Registered), r.Name, r.Key)
		put(d.losses, counter, float64(r.Losses), r.Name, r.Key)
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// Histogram is a snapshot of request durations: how many took at most each of
// the bounds, in seconds.
type Histogram struct {
	Count  uint64
	Sum    float64
	Bucket map[float64]uint64
}

func (h *Histogram) collect(ch chan<- prometheus.Metric, service string) {
	if h == nil {
		return
	}
	d := desc("request_duration_seconds", "From a request's head to its response's end.", "service")
	ch <- prometheus.MustNewConstHistogram(d, h.Count, h.Sum, h.Bucket, service)
}
