package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/naming/endpoints"
	naming "go.etcd.io/etcd/client/v3/naming/resolver"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"portside/cmd/portside/config"
	"portside/discovery/record"
)

// value is what etcd has under key; empty when it has nothing.
func value(t *testing.T, c *clientv3.Client, key string) string {
	t.Helper()
	resp, err := c.Get(context.Background(), key)
	if err != nil {
		t.Fatal(err)
	}
	if len(resp.Kvs) == 0 {
		return ""
	}
	return string(resp.Kvs[0].Value)
}

func register(t *testing.T, endpoint string, args ...string) *proc {
	t.Helper()
	return start(t, "portside", nil, append([]string{"register", "--etcd", endpoint}, args...)...)
}

func TestRegisterKeepsAndLeaves(t *testing.T) {
	endpoint, c := startEtcd(t)
	a, stop := echo(t)
	key := "service/orders/" + a
	p := register(t, endpoint, "orders", a, "--ttl", "2s", "--leave-delay", "0s")
	eventually(t, "never registered", func() bool { return value(t, c, key) == a })

	remove(t, c, key)
	eventually(t, "not registered again after its key was deleted", func() bool { return value(t, c, key) == a })

	stop()
	eventually(t, "still registered though its check fails", func() bool { return value(t, c, key) == "" })
	ln, err := net.Listen("tcp", a)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	eventually(t, "not registered again though its check passes", func() bool { return value(t, c, key) == a })

	p.signal(syscall.SIGTERM)
	if code := p.wait(10 * time.Second); code != 0 {
		t.Fatalf("exit code %d, want 0", code)
	}
	if v := value(t, c, key); v != "" {
		t.Fatalf("etcd still has %q after it left", v)
	}
}

func TestRegisterKilledIsGoneWithItsLease(t *testing.T) {
	endpoint, c := startEtcd(t)
	a, _ := echo(t)
	key := "service/orders/" + a
	p := register(t, endpoint, "orders", a, "--ttl", "2s")
	eventually(t, "never registered", func() bool { return value(t, c, key) != "" })
	p.signal(syscall.SIGKILL)
	began := time.Now()
	eventually(t, "a killed one's key stays", func() bool { return value(t, c, key) == "" })
	if took := time.Since(began); took > 4*time.Second {
		t.Fatalf("gone after %s, want the TTL + 2 s at most", took)
	}
}

// The order of leaving: the record says so, then goes; leave_delay later the
// command is told; portside exits with its code.
func TestRegisterCommandLeavesInOrder(t *testing.T) {
	endpoint, c := startEtcd(t)
	a, _ := echo(t)
	key, told := "service/orders/"+a, filepath.Join(t.TempDir(), "told")
	script := fmt.Sprintf(`trap 'date +%%s%%N > %s; exit 7' TERM; while :; do sleep 0.02; done`, told)
	p := register(t, endpoint, "orders", a, "--format", "etcd", "--leave-delay", "500ms", "--", "sh", "-c", script)
	eventually(t, "never registered", func() bool { return value(t, c, key) != "" })

	events := c.Watch(t.Context(), key)
	p.signal(syscall.SIGTERM)
	var marked, gone time.Time
	for gone.IsZero() {
		select {
		case resp := <-events:
			for _, e := range resp.Events {
				if e.Type == clientv3.EventTypeDelete {
					gone = time.Now()
				} else if strings.Contains(string(e.Kv.Value), "draining") {
					marked = time.Now()
				}
			}
		case <-time.After(10 * time.Second):
			t.Fatal("it never left")
		}
	}
	if code := p.wait(10 * time.Second); code != 7 {
		t.Fatalf("exit code %d, want the command's own, 7", code)
	}
	text, err := os.ReadFile(told)
	if err != nil {
		t.Fatal(err)
	}
	ns, _ := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	signalled := time.Unix(0, ns)
	if marked.IsZero() || !marked.Before(gone) {
		t.Errorf("marked at %v, gone at %v, want the mark first", marked, gone)
	}
	if d := signalled.Sub(gone); d < 400*time.Millisecond || d > 3*time.Second {
		t.Errorf("the command was told %s after the record was gone, want leave-delay, 500 ms", d)
	}
}

// A command that is dead has nobody to spare: its record goes at once, and no
// leave_delay is waited for.
func TestRegisterCommandsEnd(t *testing.T) {
	endpoint, c := startEtcd(t)
	a, _ := echo(t)
	for name, w := range map[string]struct {
		script string
		code   int
	}{
		"exits by itself": {"sleep 0.5; exit 3", 3},
		"by a signal":     {"sleep 0.5; kill -KILL $$", 128 + 9},
	} {
		t.Run(name, func(t *testing.T) {
			key := "service/" + strings.ReplaceAll(name, " ", "-") + "/" + a
			p := register(t, endpoint, strings.ReplaceAll(name, " ", "-"), a, "--leave-delay", "1m", "--", "sh", "-c", w.script)
			eventually(t, "never registered", func() bool { return value(t, c, key) != "" })
			if code := p.wait(10 * time.Second); code != w.code {
				t.Fatalf("exit code %d, want %d", code, w.code)
			}
			if value(t, c, key) != "" {
				t.Fatal("still registered though its command is dead")
			}
		})
	}
	p := register(t, endpoint, "nothing", a, "--", "/does/not/exist")
	if code := p.wait(10 * time.Second); code != 127 {
		t.Fatalf("exit code %d for a command that is not there, want 127 as of a shell", code)
	}
}

func TestOtherSignalsReachTheCommand(t *testing.T) {
	endpoint, c := startEtcd(t)
	a, _ := echo(t)
	p := register(t, endpoint, "orders", a, "--leave-delay", "0s", "--", "sh", "-c", `trap 'exit 9' USR1; while :; do sleep 0.02; done`)
	eventually(t, "never registered", func() bool { return value(t, c, "service/orders/"+a) != "" })
	p.signal(syscall.SIGUSR1)
	if code := p.wait(10 * time.Second); code != 9 {
		t.Fatalf("exit code %d, want 9: the command's answer to the signal that was passed on", code)
	}
}

func TestRunCommandFindsItsPortsUp(t *testing.T) {
	endpoint, c := startEtcd(t)
	a, _ := echo(t)
	put(t, c, "service/orders/a", a)
	local := freeAddress(t)
	host, port, _ := net.SplitHostPort(local)
	script := fmt.Sprintf(`exec 3<>/dev/tcp/%s/%s && read line <&3 && test "$line" = %s && exit 5`, host, port, a)
	p := start(t, "portside", nil, "run", "--admin", "", "--etcd", endpoint, "orders="+local, "--", "bash", "-c", script)
	if code := p.wait(20 * time.Second); code != 5 {
		t.Fatalf("exit code %d, want 5: the command found its backend at once, and portside ended with it", code)
	}
}

// What --format etcd writes is read by etcd's own client: by its manager, and by
// a gRPC client that balances over it.
// A gRPC server of Kratos: another name in the record than the registration's own,
// which is for two of one service.
func TestKratosRecordSaysWhatKratosLooksFor(t *testing.T) {
	cfg, err := load(config.Options{Args: nil, Path: "-", Formats: record.Words(), Written: formatNames(record.Writable()), Stdin: strings.NewReader(`
register:
  greeter-grpc: {address: 10.0.0.5:9000, format: kratos, key: /microservices/greeter/1, service: greeter, protocol: grpc, version: v2}
`)})
	if err != nil {
		t.Fatal(err)
	}
	r, err := recordOf(cfg.Register[0])
	want := `{"id":"10.0.0.5:9000","name":"greeter","version":"v2","metadata":null,"endpoints":["grpc://10.0.0.5:9000"]}`
	if err != nil || r.Value != want || r.Key != "/microservices/greeter/1" {
		t.Fatalf("%+v, %v; want %s", r, err, want)
	}
}

func TestEtcdFormatIsReadByEtcdsOwnClient(t *testing.T) {
	endpoint, c := startEtcd(t)
	var addresses [2]string
	var served [2]atomic.Int64
	for i := range addresses {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		srv := grpc.NewServer(grpc.UnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, h grpc.UnaryHandler) (any, error) {
			served[i].Add(1)
			return h(ctx, req)
		}))
		healthpb.RegisterHealthServer(srv, health.NewServer())
		go func() { _ = srv.Serve(ln) }()
		t.Cleanup(srv.Stop)
		addresses[i] = ln.Addr().String()
		register(t, endpoint, "test/hello", addresses[i], "--key", "test/hello/"+addresses[i], "--format", "etcd", "--weight", "2")
	}
	m, err := endpoints.NewManager(c, "test/hello")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "etcd's own manager does not see both", func() bool {
		all, err := m.List(t.Context())
		return err == nil && len(all) == 2 && all["test/hello/"+addresses[0]].Addr == addresses[0]
	})
	builder, err := naming.NewBuilder(c)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient("etcd:///test/hello", grpc.WithResolvers(builder),
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultServiceConfig(`{"loadBalancingConfig":[{"round_robin":{}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	before := [2]int64{served[0].Load(), served[1].Load()}
	eventually(t, "a gRPC client does not reach both through etcd's resolver", func() bool {
		if _, err := healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{}, grpc.WaitForReady(true)); err != nil {
			t.Fatal(err)
		}
		return served[0].Load() > before[0] && served[1].Load() > before[1]
	})
}

// Three registered servers are restarted one after another, in order, under
// traffic through a portside that follows them: nothing fails, and none is asked
// anything after it was told to end.
func TestRollingRestartOfRegisteredServersFailsNothing(t *testing.T) {
	endpoint, _ := startEtcd(t)
	local := freeAddress(t)
	p := runPortside(t, endpoint, "orders="+local+",protocol=http")
	var servers [3]*registered
	for i := range servers {
		servers[i] = newRegistered(t, endpoint)
	}
	eventually(t, "three servers never appeared", func() bool { return len(p.service("orders").Backends) == 3 })

	ctx, cancel := context.WithCancel(t.Context())
	var traffic sync.WaitGroup
	var sent atomic.Int64
	for range 4 {
		traffic.Go(func() {
			client := &http.Client{Transport: &http.Transport{}, Timeout: 10 * time.Second}
			defer client.CloseIdleConnections()
			for ctx.Err() == nil {
				resp, err := client.Get("http://" + local)
				sent.Add(1)
				if err != nil {
					t.Errorf("request failed: %v", err)
				} else {
					if resp.StatusCode != 200 {
						t.Errorf("answer %d %s", resp.StatusCode, resp.Header.Get("X-Portside-Error"))
					}
					_ = resp.Body.Close()
				}
				time.Sleep(8 * time.Millisecond)
			}
		})
	}
	for i := range servers {
		servers[i].restart(t, endpoint)
		eventually(t, "a restarted server never came back", func() bool {
			n := 0
			for _, b := range p.service("orders").Backends {
				if b.State == "active" {
					n++
				}
			}
			return n == 3
		})
	}
	cancel()
	traffic.Wait()
	if s := p.service("orders"); s.Traffic.Retries > 0 {
		t.Logf("%d requests, %d second tries", sent.Load(), s.Traffic.Retries)
	}
}

// registered is a server that portside registers.
type registered struct {
	address string
	srv     *http.Server
	proc    *proc
	wg      sync.WaitGroup
}

func newRegistered(t *testing.T, endpoint string) *registered {
	r := &registered{address: ownHost() + ":0"}
	r.start(t, endpoint)
	t.Cleanup(func() { _ = r.srv.Close(); r.wg.Wait() })
	return r
}

func (r *registered) start(t *testing.T, endpoint string) {
	t.Helper()
	ln, err := net.Listen("tcp", r.address)
	if err != nil {
		t.Fatal(err)
	}
	r.address = ln.Addr().String()
	r.srv = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) })}
	srv := r.srv
	r.wg.Go(func() { _ = srv.Serve(ln) })
	r.proc = register(t, endpoint, "orders", r.address, "--leave-delay", "300ms", "--ttl", "5s")
}

// restart has the registration leave, then ends the server, then starts both.
func (r *registered) restart(t *testing.T, endpoint string) {
	t.Helper()
	r.proc.signal(syscall.SIGTERM)
	if code := r.proc.wait(10 * time.Second); code != 0 {
		t.Fatalf("portside register: exit code %d", code)
	}
	_ = r.srv.Close()
	r.wg.Wait()
	r.start(t, endpoint)
}
