package etcd

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"

	"portside/discovery"
)

// A cluster is three members that talk to each other through a network of ours.
type cluster struct {
	members [3]*embed.Etcd

	mu    sync.Mutex
	alone map[int]bool               // members cut off from the others
	calls map[*http.Request]peerCall // between members, under way
	ids   map[string]int             // member ID → index
}

type peerCall struct {
	from   string // a member's ID
	to     int
	cancel context.CancelFunc
}

func startCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{alone: map[int]bool{}, calls: map[*http.Request]peerCall{}, ids: map[string]int{}}
	var initial []string
	var cfgs [3]*embed.Config
	for i := range cfgs {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listen := &url.URL{Scheme: "http", Host: l.Addr().String()}
		l.Close()
		network := httptest.NewServer(c.between(i, listen))
		t.Cleanup(network.Close)
		advertise, _ := url.Parse(network.URL)
		cfg := embed.NewConfig()
		cfg.Name, cfg.Dir = fmt.Sprintf("m%d", i), t.TempDir()
		cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = []url.URL{*listen}, []url.URL{*advertise}
		cfg.ListenClientUrls = []url.URL{{Scheme: "http", Host: "127.0.0.1:0"}}
		cfg.AdvertiseClientUrls = cfg.ListenClientUrls
		cfg.TickMs, cfg.ElectionMs, cfg.UnsafeNoFsync = 50, 500, true
		cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
		initial = append(initial, cfg.Name+"="+network.URL)
		cfgs[i] = cfg
	}
	var starts sync.WaitGroup
	for i, cfg := range cfgs {
		cfg.InitialCluster = strings.Join(initial, ",")
		starts.Go(func() {
			e, err := embed.StartEtcd(cfg)
			if err != nil {
				t.Errorf("start member %d: %v", i, err)
				return
			}
			c.members[i] = e
			c.mu.Lock()
			c.ids[e.Server.MemberID().String()] = i
			c.mu.Unlock()
		})
	}
	starts.Wait()
	t.Cleanup(func() {
		c.cut() // nothing keeps a member from closing
		for _, m := range c.members {
			if m != nil {
				m.Close()
			}
		}
	})
	for i, m := range c.members {
		if m == nil {
			t.FailNow()
		}
		select {
		case <-m.Server.ReadyNotify():
		case <-time.After(20 * time.Second):
			t.Fatalf("member %d is not ready", i)
		}
	}
	return c
}

func (c *cluster) url(i int) string { return "http://" + c.members[i].Clients[0].Addr().String() }

// between is the network in front of member to. Members say who they are.
func (c *cluster) between(to int, listen *url.URL) http.Handler {
	proxy := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(listen) },
		FlushInterval: -1,
		ErrorHandler:  func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		call := peerCall{r.Header.Get("X-Server-From"), to, cancel}
		c.mu.Lock()
		barred := c.bars(call)
		c.calls[r] = call
		c.mu.Unlock()
		if barred {
			cancel()
		}
		defer func() {
			c.mu.Lock()
			delete(c.calls, r)
			c.mu.Unlock()
		}()
		proxy.ServeHTTP(w, r.WithContext(ctx))
	})
}

// cut cuts members off from all others, and joins the others again.
func (c *cluster) cut(members ...int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.alone)
	for _, m := range members {
		c.alone[m] = true
	}
	for _, call := range c.calls {
		if c.bars(call) {
			call.cancel()
		}
	}
}

// bars reports whether a call crosses a cut. Who asks without an ID is no peer.
func (c *cluster) bars(call peerCall) bool {
	from, known := c.ids[call.from]
	return known && from != call.to && (c.alone[from] || c.alone[call.to])
}

func TestAMemberCutOffFromItsPeers(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("three members take some seconds")
	}
	c := startCluster(t)
	op := newOperator(t, configOf(c.url(1), c.url(2)))
	op.put("s/stays", "10.0.0.1:80")
	op.put("s/goes", "10.0.0.2:80")
	only := follow(t, run(t, quickly(c.url(0))), "s")
	both := follow(t, run(t, quickly(c.url(0), c.url(1))), "s")
	only.becomes("10.0.0.1:80", "10.0.0.2:80")
	both.becomes("10.0.0.1:80", "10.0.0.2:80")
	only.keep("10.0.0.1:80")
	both.keep("10.0.0.1:80")

	c.cut(0)
	within(t, 15*time.Second, func() string { // perhaps the leader is cut off, and another elected
		if _, err := op.Client.Delete(op.ctx(), "s/goes"); err != nil {
			return err.Error()
		}
		return ""
	})
	both.becomes("10.0.0.1:80") // by way of the other member
	both.state(discovery.Synced)
	only.state(discovery.Stale)
	only.reason("etcd has no leader")

	t.Run("a start without quorum", func(t *testing.T) {
		cold := follow(t, run(t, quickly(c.url(0))), "s")
		cold.becomes("10.0.0.1:80", "10.0.0.2:80") // old, and better than none
		st := cold.state(discovery.Stale)
		if !st.Proven.IsZero() || !strings.Contains(st.Reason, "no leader") {
			t.Errorf("proven %v, reason %q: one member's own view proves nothing", st.Proven, st.Reason)
		}
		empty := follow(t, run(t, quickly(c.url(0))), "nothing")
		time.Sleep(time.Second)
		if n := empty.count(); n != 0 {
			t.Errorf("%d updates for a prefix of which a lone member knows nothing, want none: that is no proof", n)
		}
		c.cut()
		cold.becomes("10.0.0.1:80")
		cold.state(discovery.Synced)
		empty.becomes()
	})
	only.becomes("10.0.0.1:80")
	only.state(discovery.Synced)
	op.put("s/comes", "10.0.0.3:80")
	only.becomes("10.0.0.1:80", "10.0.0.3:80")
	both.becomes("10.0.0.1:80", "10.0.0.3:80")
}
