package pool

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	simAll  = flag.Bool("sim", false, "print the whole tables of TestSimulation, not the smoke run alone")
	simOnly = flag.String("sim.only", "", "print those tables alone whose titles contain this")
	simSeed = flag.Uint64("sim.seed", 1, "the seed of arrivals and service times")
)

var policies = []Balance{RoundRobin, LeastConn, EWMA, Random, Hash}

// herd is 100 servers of four workers, every tenth three times slower, so that an
// even share is more than those can serve.
func herd(balance Balance, clients int) scenario {
	s := scenario{
		name:    fmt.Sprintf("%d clients", clients),
		clients: clients, servers: make([]server, 100), workers: 4,
		service: 10 * time.Millisecond, load: 0.75, requests: 200_000,
		pool: Config{Balance: balance},
	}
	for i := range 10 {
		s.servers[i*10].slow = 3
	}
	return s
}

// failing is the same with all equally fast, and every tenth failing this part of
// its requests at once.
func failing(balance Balance, part float64, eject bool) scenario {
	s := herd(balance, 20)
	s.name = fmt.Sprintf("%.0f%% errors, ejection %v", part*100, eject)
	s.load = 0.6
	for i := range 10 {
		s.servers[i*10].slow = 1
		s.servers[i*10].fails = part
	}
	if !eject {
		s.pool.Eject.Consecutive = -1
	}
	return s
}

// busy is s with one client and little to spare, when the failing are the idlest.
func busy(s scenario) scenario {
	s.name += ", busy"
	s.clients, s.load = 1, 0.85
	return s
}

// everywhere is one answer in fifty an error, whoever gives it.
func everywhere(balance Balance, clients int) scenario {
	s := failing(balance, 0, true)
	s.name = fmt.Sprintf("2%% errors everywhere, %d clients", clients)
	s.clients, s.load = clients, 0.75
	for i := range s.servers {
		s.servers[i].fails = 0.02
	}
	return s
}

// refusing is failing by refusals, which are tried elsewhere.
func refusing(balance Balance, part float64) scenario {
	s := failing(balance, part, true)
	s.name = fmt.Sprintf("%.0f%% refused and retried", part*100)
	s.retries = true
	for i := range 10 {
		s.servers[i*10].refuse = true
	}
	return s
}

// newcomers is ten that join 90 after two seconds and are five times slower at
// first, coming to speed within two seconds.
func newcomers(balance Balance, clients int) scenario {
	s := herd(balance, clients)
	s.name = fmt.Sprintf("newcomers, %d clients", clients)
	s.load = 0.6
	for i := range 10 {
		n := &s.servers[i*10]
		n.slow, n.joins = 1, 2*time.Second
		n.cold = func(age time.Duration) float64 { return max(1, 5-4*age.Seconds()/2) }
	}
	return s
}

// recovering is 20 servers of which two stumble, ten times slower for a second,
// and are well again for the minute that is left. The work before, and ten seconds
// after, is not told of: an even share of what is told is 10 %.
func recovering(balance Balance, clients int) scenario {
	s := herd(balance, clients)
	s.name = fmt.Sprintf("after a stumble, %d clients", clients)
	s.load, s.requests, s.servers = 0.6, 300_000, make([]server, 20)
	s.from = 13 * time.Second
	for i := range 2 {
		n := &s.servers[i*10]
		n.watched = true
		n.cold = func(age time.Duration) float64 {
			if age > 2*time.Second && age < 3*time.Second {
				return 10
			}
			return 1
		}
	}
	return s
}

// TestSimulation compares the policies. With -sim it prints whole tables (a minute
// or so); without, a small world holds the policies that watch to what they are
// for: to spare clients the slow.
func TestSimulation(t *testing.T) {
	if !*simAll {
		smoke(t)
		return
	}
	for _, table := range []struct {
		title  string
		worlds func(Balance) []scenario
	}{
		{"10 of 100 servers 3× slow, load 0.75", func(b Balance) []scenario {
			return []scenario{herd(b, 1), herd(b, 20), herd(b, 500)}
		}},
		{"10 of 100 servers fail at once, load 0.6, 20 clients", func(b Balance) []scenario {
			return []scenario{busy(failing(b, 0.3, false)), busy(failing(b, 0.3, true)), busy(failing(b, 1, true)), everywhere(b, 20), everywhere(b, 500), failing(b, 1, false), failing(b, 1, true), failing(b, 0.3, false), failing(b, 0.3, true), refusing(b, 1), refusing(b, 0.3)}
		}},
		{"10 cold servers join 90, load 0.6", func(b Balance) []scenario {
			return []scenario{newcomers(b, 1), newcomers(b, 20), newcomers(b, 500)}
		}},
		{"2 of 20 servers stumble for a second, load 0.6, from ten seconds later on", func(b Balance) []scenario {
			return []scenario{recovering(b, 1), recovering(b, 20)}
		}},
	} {
		if !strings.Contains(table.title, *simOnly) {
			continue
		}
		out := fmt.Sprintf("\n%s\n%-32s %-12s %9s %9s %9s %8s %7s %8s %9s %6s\n", table.title,
			"", "policy", "p50 ms", "p99 ms", "p99.9 ms", "errors", "spread", "to them", "p99 there", "peak")
		rows := map[string]string{}
		var names []string
		for _, b := range policies {
			for _, s := range table.worlds(b) {
				if rows[s.name] == "" {
					names = append(names, s.name)
				}
				rows[s.name] += row(simulate(t, s, *simSeed))
			}
		}
		for _, n := range names {
			out += rows[n]
		}
		t.Log(out)
	}
}

// row is a world's line. The marked are the slow, failing or new servers: their
// part of all attempts, p99 on them, and the longest queue of one.
func row(w *world) string {
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	var late []time.Duration
	peak := 0
	for _, s := range w.order {
		if s.marked() {
			late = append(late, s.late...)
			peak = max(peak, s.peak)
		}
	}
	slices.Sort(late)
	attempts := 0
	for _, s := range w.order {
		attempts += s.served
	}
	r := &w.result
	return fmt.Sprintf("%-32s %-12s %9.1f %9.1f %9.1f %7.2f%% %7.2f %7.2f%% %9.1f %6d\n", w.name, w.pool.Balance,
		ms(r.quantile(0.5)), ms(r.quantile(0.99)), ms(r.quantile(0.999)), 100*float64(r.errors)/float64(r.total),
		w.spread(), 100*float64(r.marked)/float64(attempts), ms(quantile(late, 0.99)), peak)
}

// smoke is the promise in small: random's p99 grows with time, as the slow are
// given more than they can serve.
func smoke(t *testing.T) {
	p99 := map[Balance]time.Duration{}
	for _, b := range []Balance{Random, EWMA, LeastConn} {
		s := herd(b, 1)
		s.servers, s.requests = s.servers[:20], 15_000
		w := simulate(t, s, *simSeed)
		if w.result.total != s.requests || w.result.errors > 0 {
			t.Fatalf("%s: %d requests ended, %d with an error, want %d and none", b, w.result.total, w.result.errors, s.requests)
		}
		p99[b] = w.result.quantile(0.99)
	}
	for _, b := range []Balance{EWMA, LeastConn} {
		if p99[b] > p99[Random]/2 {
			t.Errorf("%s has a p99 of %s, random %s with two of 20 servers slow: want at most half", b, p99[b], p99[Random])
		}
	}
}
