package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"portside/cmd/portside/admin"
)

func TestRunFollowsEtcd(t *testing.T) {
	endpoint, c := startEtcd(t)
	a, _ := echo(t)
	b, _ := echo(t)
	put(t, c, "service/orders/a", a)
	put(t, c, "service/orders/b", `{"Op":0,"Addr":"`+b+`","Metadata":null}`)
	put(t, c, "service/ordersx/c", "127.0.0.1:1")
	put(t, c, "service/orders/bad", "!!")
	local := freeAddress(t)
	p := runPortside(t, endpoint, "orders="+local)
	eventually(t, "two backends never appeared", func() bool { return len(p.service("orders").Backends) == 2 })
	got := map[string]int{}
	for range 20 {
		answer, err := who(local)
		if err != nil {
			t.Fatal(err)
		}
		got[answer]++
	}
	if got[a] != 10 || got[b] != 10 {
		t.Fatalf("answers by %v, want ten of each", got)
	}
	s := p.service("orders")
	if len(s.Discovery.Skipped) != 1 || s.Discovery.Skipped[0].Key != "service/orders/bad" || s.Discovery.Bad == 0 {
		t.Fatalf("discovery says %+v, want the one bad key with its reason", s.Discovery)
	}
	remove(t, c, "service/orders/a")
	eventually(t, "a deleted backend stayed", func() bool { return len(p.service("orders").Backends) == 1 })
	for range 10 {
		if answer, err := who(local); answer != b || err != nil {
			t.Fatalf("%q, %v answered after the other was deleted", answer, err)
		}
	}
	p.signal(syscall.SIGTERM)
	if code := p.wait(10 * time.Second); code != 0 {
		t.Fatalf("exit code %d after a clean drain, want 0", code)
	}
}

func TestStatusHasTheFieldsOfTheContract(t *testing.T) {
	a, _ := echo(t)
	p := runPortside(t, "", "orders=127.0.0.1:0,endpoints="+a)
	eventually(t, "its backend never appeared", func() bool { return len(p.service("orders").Backends) == 1 })
	resp, err := http.Get("http://" + p.admin + "/api/v1/services")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var all []map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&all); err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{"name", "listen", "protocol", "balance", "discovery", "backends"} {
		if _, ok := all[0][field]; !ok {
			t.Errorf("a service has no %s: %v", field, all[0])
		}
	}
	for _, field := range []string{"source", "state", "revision", "age_seconds"} {
		if _, ok := all[0]["discovery"].(map[string]any)[field]; !ok {
			t.Errorf("discovery has no %s", field)
		}
	}
	for _, field := range []string{"address", "keys", "state", "reason", "since", "weight", "zone", "in_flight", "requests_total", "failures_total", "latency_ms"} {
		if _, ok := all[0]["backends"].([]any)[0].(map[string]any)[field]; !ok {
			t.Errorf("a backend has no %s", field)
		}
	}
	metrics, err := http.Get("http://" + p.admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer metrics.Body.Close()
	text, _ := io.ReadAll(metrics.Body)
	for _, name := range []string{
		"requests_total", "connections_active", "connections_total", "bytes_total", "backend_state", "backend_in_flight",
		"retries_total", "retries_denied_total", "discovery_synced", "discovery_age_seconds", "discovery_revision",
		"discovery_bad_records_total", "build_info",
	} {
		if !strings.Contains(string(text), "\nportside_"+name+"{") {
			t.Errorf("no metric portside_%s", name)
		}
	}
}

// An outage is seen in the requests that are counted, not only in what is missing.
func TestWhatPortsideAnswersIsCounted(t *testing.T) {
	local := freeAddress(t)
	p := runPortside(t, "", "orders="+local+",protocol=http,endpoints="+refusing(t))
	for range 3 {
		resp, err := http.Get("http://" + local)
		if err != nil || resp.StatusCode != 502 {
			t.Fatal(resp, err)
		}
		_ = resp.Body.Close()
	}
	metrics, err := http.Get("http://" + p.admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer metrics.Body.Close()
	text, _ := io.ReadAll(metrics.Body)
	for _, want := range []string{
		`portside_requests_total{backend="",code="5xx",service="orders"} 3`,
		`portside_requests_total{backend="",code="4xx",service="orders"} 0`,
	} {
		if !strings.Contains(string(text), "\n"+want+"\n") {
			t.Errorf("no %s", want)
		}
	}
}

// A reader that knows OpenMetrics asks for it, and refuses a whole page for one name that
// two families have.
func TestNoMetricIsDescribedTwice(t *testing.T) {
	p := runPortside(t, "", "orders=127.0.0.1:0,protocol=http,endpoints=127.0.0.1:1")
	for _, accept := range []string{"", "application/openmetrics-text; version=1.0.0", "application/openmetrics-text"} {
		described := map[string]bool{}
		for line := range strings.SplitSeq(p.metrics(accept), "\n") {
			if words := strings.Fields(line); len(words) > 2 && words[1] == "TYPE" {
				if described[words[2]] {
					t.Errorf("to %q %s has two types", accept, words[2])
				}
				described[words[2]] = true
			}
		}
		if !described["portside_build_info"] {
			t.Errorf("to %q portside_build_info has no type", accept)
		}
	}
}

// What is not counted yet is zero, not missing: else its first increase is none.
func TestABackendsAnswersAreCountedFromZero(t *testing.T) {
	p := runPortside(t, "", "orders=127.0.0.1:0,protocol=http,endpoints=127.0.0.1:1", "ledger=127.0.0.1:0,endpoints=127.0.0.1:1")
	eventually(t, "a backend never appeared", func() bool {
		return len(p.service("orders").Backends) == 1 && len(p.service("ledger").Backends) == 1
	})
	text := p.metrics("")
	for _, series := range []string{
		`code="2xx",service="orders"`, `code="4xx",service="orders"`, `code="5xx",service="orders"`, `code="tcp",service="ledger"`,
	} {
		if want := `portside_requests_total{backend="127.0.0.1:1",` + series + "} 0"; !strings.Contains(text, "\n"+want+"\n") {
			t.Errorf("no %s", want)
		}
	}
}

// metrics is what p answers at /metrics to whoever accepts that.
func (p *portside) metrics(accept string) string {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, "http://"+p.admin+"/metrics", nil)
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Accept", accept)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(text)
}

func TestPutToRouted(t *testing.T) {
	endpoint, c := startEtcd(t)
	local := freeAddress(t)
	p := runPortside(t, endpoint, "orders="+local+",guard=off")
	eventually(t, "never synced", func() bool { return p.service("orders").Discovery.State == "synced" })
	var took, gone []time.Duration
	for i := range 200 {
		a, _ := echo(t)
		key := fmt.Sprintf("service/orders/%d", i)
		began := time.Now()
		put(t, c, key, a)
		for {
			if answer, _ := who(local); answer == a {
				break
			}
			if time.Since(began) > 10*time.Second {
				t.Fatal("never routed")
			}
		}
		took = append(took, time.Since(began))
		began = time.Now()
		remove(t, c, key)
		for {
			if _, err := who(local); err != nil {
				break
			}
		}
		gone = append(gone, time.Since(began))
	}
	slices.Sort(took)
	slices.Sort(gone)
	t.Logf("put → routed p50 %s, p99 %s; delete → refused p50 %s, p99 %s", took[100], took[197], gone[100], gone[197])
	if took[100] > 100*time.Millisecond || gone[100] > 100*time.Millisecond {
		t.Error("the median is over 100 ms: changes are polled or held up somewhere")
	}
}

func TestPortTakenNamesServiceAndPort(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	p := start(t, "portside", nil, "run", "--admin", "", "orders="+ln.Addr().String()+",endpoints=127.0.0.1:1", "other="+freeAddress(t)+",endpoints=127.0.0.1:1")
	if code := p.wait(10 * time.Second); code != 1 {
		t.Fatalf("exit code %d, want 1", code)
	}
	if out := p.out.String(); !strings.Contains(out, "service orders") || !strings.Contains(out, ln.Addr().String()) || !strings.Contains(out, "in use") {
		t.Fatalf("it said %q, want the service and the port that is taken", out)
	}
}

func TestFaultsHaveTheirPlaceAndExitCode2(t *testing.T) {
	file := filepath.Join(t.TempDir(), "portside.yaml")
	if err := os.WriteFile(file, []byte("services:\n  orders:\n    listen: 7001\n    ballance: rr\n  ledger: {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"check", "run"} {
		p := start(t, "portside", nil, verb, "-c", file)
		if code := p.wait(10 * time.Second); code != 2 {
			t.Fatalf("%s: exit code %d, want 2", verb, code)
		}
		if out := p.out.String(); !strings.Contains(out, file+":4:5") || !strings.Contains(out, "ledger") {
			t.Fatalf("%s said %q, want both faults with line and column", verb, out)
		}
	}
	p := start(t, "portside", nil, "register", "orders", "10.0.0.5:80", "--format", "go-zero", "--zone", "z")
	if code := p.wait(10 * time.Second); code != 2 || !strings.Contains(p.out.String(), "zone") {
		t.Errorf("a zone where go-zero's format has no room: exit code %d, %q, want 2 and what does not fit", code, p.out)
	}
	for _, args := range [][]string{{"bogus"}, {"run", "--bogus"}, {"run"}, {"status", "a", "b"}, {"check", "-c", "/does/not/exist"}} {
		p := start(t, "portside", []string{"PORTSIDE_CONFIG="}, args...)
		if code := p.wait(10 * time.Second); code != 2 {
			t.Errorf("portside %v: exit code %d, want 2: %s", args, code, p.out)
		}
	}
}

func TestSignals(t *testing.T) {
	a, _ := echo(t)
	hold := func(t *testing.T, address string) net.Conn {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		if _, err := c.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		return c
	}
	t.Run("work that is cut is exit code 1", func(t *testing.T) {
		local := freeAddress(t)
		p := runPortside(t, "", "--drain-timeout", "100ms", "orders="+local+",endpoints="+a)
		hold(t, local)
		p.signal(syscall.SIGTERM)
		if code := p.wait(10 * time.Second); code != 1 {
			t.Fatalf("exit code %d, want 1", code)
		}
	})
	t.Run("work that ends is exit code 0", func(t *testing.T) {
		local := freeAddress(t)
		p := runPortside(t, "", "orders="+local+",endpoints="+a)
		c := hold(t, local)
		p.signal(syscall.SIGINT)
		eventually(t, "still accepting", func() bool { _, err := who(local); return err != nil })
		_ = c.Close()
		if code := p.wait(10 * time.Second); code != 0 {
			t.Fatalf("exit code %d, want 0", code)
		}
	})
	t.Run("a second signal is now", func(t *testing.T) {
		local := freeAddress(t)
		p := runPortside(t, "", "orders="+local+",endpoints="+a)
		hold(t, local)
		p.signal(syscall.SIGTERM)
		eventually(t, "still accepting", func() bool { _, err := who(local); return err != nil })
		p.signal(syscall.SIGTERM)
		if code := p.wait(5 * time.Second); code != 128+15 {
			t.Fatalf("exit code %d, want 143", code)
		}
	})
	t.Run("it accepts for drain.delay, no longer ready", func(t *testing.T) {
		local := freeAddress(t)
		p := runPortside(t, "", "--drain-delay", "1s", "orders="+local+",endpoints="+a)
		p.signal(syscall.SIGTERM)
		eventually(t, "still ready", func() bool {
			resp, err := http.Get("http://" + p.admin + "/readyz")
			if err != nil {
				return false
			}
			_ = resp.Body.Close()
			return resp.StatusCode == http.StatusServiceUnavailable
		})
		if _, err := who(local); err != nil {
			t.Fatalf("a client was turned away within drain.delay: %v", err)
		}
		if code := p.wait(10 * time.Second); code != 0 {
			t.Fatalf("exit code %d, want 0", code)
		}
	})
}

// etcd is killed under traffic, stays away, and comes back: clients notice
// nothing, operators everything.
func TestEtcdKilledUnderTraffic(t *testing.T) {
	dir, url := t.TempDir(), "http://"+freeAddress(t)
	server := start(t, "etcd", nil, dir, url)
	c := etcdClient(t, url)
	a, _ := echo(t)
	b, _ := echo(t)
	put(t, c, "service/orders/a", a)
	put(t, c, "service/orders/b", b)
	local := freeAddress(t)
	p := runPortside(t, url, "orders="+local)
	eventually(t, "never synced", func() bool { return len(p.service("orders").Backends) == 2 })

	ctx, cancel := context.WithCancel(t.Context())
	var traffic sync.WaitGroup
	traffic.Go(func() {
		for ctx.Err() == nil {
			if _, err := who(local); err != nil {
				t.Errorf("a client failed: %v", err)
			}
			time.Sleep(5 * time.Millisecond)
		}
	})
	server.signal(syscall.SIGKILL)
	server.wait(5 * time.Second)
	eventually(t, "never stale", func() bool { return p.service("orders").Discovery.State == "stale" })
	if reason := p.service("orders").Discovery.Reason; reason == "" {
		t.Error("stale without a reason")
	}
	start(t, "etcd", nil, dir, url)
	eventually(t, "never synced again", func() bool { return p.service("orders").Discovery.State == "synced" })
	d, _ := echo(t)
	put(t, c, "service/orders/d", d)
	eventually(t, "a key put after the outage never arrived", func() bool { return len(p.service("orders").Backends) == 3 })
	cancel()
	traffic.Wait()
	if out := p.out.String(); strings.Count(out, "stale") > 3 {
		t.Errorf("the log speaks of stale %d times, want one line", strings.Count(out, "stale"))
	}
}

func TestStartWithoutEtcd(t *testing.T) {
	dir, url, state := t.TempDir(), "http://"+freeAddress(t), t.TempDir()
	a, _ := echo(t)
	local := freeAddress(t)
	args := []string{"--state-dir", state, "orders=" + local}

	p := runPortside(t, url, args...)
	if _, err := who(local); err == nil {
		t.Fatal("a client was served with no endpoint known")
	}
	resp, err := http.Get("http://" + p.admin + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable {
		t.Fatalf("readyz answers %d before the first list, want 503", resp.StatusCode)
	}
	server := start(t, "etcd", nil, dir, url)
	c := etcdClient(t, url)
	put(t, c, "service/orders/a", a)
	eventually(t, "never recovered", func() bool { answer, _ := who(local); return answer == a })
	eventually(t, "nothing was saved", func() bool { _, err := os.Stat(filepath.Join(state, "orders.json")); return err == nil })
	p.signal(syscall.SIGTERM)
	p.wait(10 * time.Second)
	server.signal(syscall.SIGKILL)
	server.wait(5 * time.Second)

	p = runPortside(t, url, args...)
	if answer, err := who(local); answer != a || err != nil {
		t.Fatalf("%q, %v from a start without etcd, want the saved endpoint", answer, err)
	}
	if d := p.service("orders").Discovery; d.State != "stale" || d.Snapshot == nil || d.Reason == "" {
		t.Fatalf("discovery says %+v, want stale with the snapshot's age and the reason", d)
	}
}

func TestFiveThousandKeys(t *testing.T) {
	endpoint, c := startEtcd(t)
	a, _ := echo(t)
	for i := 0; i < 5000; i += 100 {
		var ops []clientv3.Op
		for k := range 100 {
			ops = append(ops, clientv3.OpPut(fmt.Sprintf("service/orders/%d", i+k), fmt.Sprintf("127.1.%d.%d:9", (i+k)>>8, (i+k)&255)))
		}
		if _, err := c.Txn(t.Context()).Then(ops...).Commit(); err != nil {
			t.Fatal(err)
		}
	}
	put(t, c, "service/orders/live", a)
	local := freeAddress(t)
	began := time.Now()
	p := runPortside(t, endpoint, "orders="+local+",retry.attempts=1")
	eventually(t, "5,001 endpoints never arrived", func() bool { return len(p.service("orders").Backends) == 5001 })
	took := time.Since(began)
	t.Logf("5,001 endpoints routable %s after the start", took)
	if took > 30*time.Second {
		t.Errorf("5,001 endpoints took %s", took)
	}
}

func TestReloadUnderTraffic(t *testing.T) {
	file := filepath.Join(t.TempDir(), "portside.yaml")
	a, _ := echo(t)
	b, _ := echo(t)
	kept, changed, removed, added := freeAddress(t), freeAddress(t), freeAddress(t), freeAddress(t)
	write := func(text string) {
		t.Helper()
		tmp := file + ".new"
		if err := os.WriteFile(tmp, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(tmp, file); err != nil {
			t.Fatal(err)
		}
	}
	svc := func(name, listen, more string) string {
		return fmt.Sprintf("  %s: {listen: %s, endpoints: [%s, %s]%s}\n", name, listen, a, b, more)
	}
	write("services:\n" + svc("kept", kept, "") + svc("changed", changed, "") + svc("removed", removed, ""))
	p := runPortside(t, "", "-c", file)

	long, err := net.Dial("tcp", kept)
	if err != nil {
		t.Fatal(err)
	}
	defer long.Close()
	ctx, cancel := context.WithCancel(t.Context())
	var traffic sync.WaitGroup
	for _, address := range []string{kept, changed} {
		traffic.Go(func() {
			for ctx.Err() == nil {
				if _, err := who(address); err != nil {
					t.Errorf("a client of %s failed: %v", address, err)
				}
				time.Sleep(4 * time.Millisecond)
			}
		})
	}
	write("services:\n" + svc("kept", kept, "") + svc("changed", changed, ", balance: least_conn") + svc("added", added, ""))
	eventually(t, "the new service never answered", func() bool { _, err := who(added); return err == nil })
	eventually(t, "the removed service still answers", func() bool { _, err := who(removed); return err != nil })
	eventually(t, "the policy never changed", func() bool { return p.service("changed").Balance == "least_conn" })
	if p.service("changed").Backends[0].Requests == 0 {
		t.Error("the changed service forgot its counts")
	}

	write("services:\n  kept: {listen: 1, bogus: 2}\n")
	eventually(t, "a bad file was not reported", func() bool { return strings.Contains(p.out.String(), "not applied") })
	resp, err := http.Post("http://"+p.admin+"/api/v1/reload", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if resp.StatusCode == http.StatusOK || !strings.Contains(string(body), ":2:") {
		t.Errorf("POST reload of a bad file answers %d %s, want the fault with its line", resp.StatusCode, body)
	}
	if _, err := who(kept); err != nil {
		t.Errorf("a bad file changed what runs: %v", err)
	}
	// A rename of a service keeps its port bound all the while.
	write("services:\n" + svc("kept", kept, "") + svc("renamed", changed, "") + svc("added", added, ""))
	eventually(t, "the renamed service never appeared", func() bool { return p.service("renamed").Name == "renamed" })
	cancel()
	traffic.Wait()
	if _, err := io.WriteString(long, "still here\n"); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 512)
	_ = long.SetReadDeadline(time.Now().Add(5 * time.Second))
	for text := ""; !strings.Contains(text, "still here"); {
		n, err := long.Read(buf)
		if err != nil {
			t.Fatalf("the long-lived connection of an untouched service: %v", err)
		}
		text += string(buf[:n])
	}
}

func TestDemo(t *testing.T) {
	port, adm := freeAddressOn(t, "127.0.0.1"), freeAddress(t)
	p := start(t, "portside", nil, "demo", "--port", port[strings.LastIndexByte(port, ':')+1:], "--admin", adm)
	got := map[string]bool{}
	eventually(t, "three backends never answered", func() bool {
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}
		resp, err := client.Get("http://" + port)
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		got[string(body)] = true
		return len(got) == 3
	})
	resp, err := http.Get("http://" + adm + "/api/v1/registrations")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var rs []admin.Registration
	if err := json.NewDecoder(resp.Body).Decode(&rs); err != nil || len(rs) != 3 {
		t.Fatalf("%v, %v, want three registrations", rs, err)
	}
	if out := p.out.String(); !strings.Contains(out, "curl "+port) {
		t.Errorf("it does not say what to try: %s", out)
	}
	p.signal(syscall.SIGINT)
	if code := p.wait(15 * time.Second); code != 0 {
		t.Fatalf("exit code %d after Ctrl-C, want 0", code)
	}
}
