package etcd

import (
	"context"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"portside/discovery"
)

// A cluster is three members, each a process of its own, that talk to each
// other through a network of ours.
type cluster struct {
	members [3]*process

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
	var networks [3]string
	for i := range c.members {
		listen := freeURL(t)
		network := httptest.NewServer(c.between(i, listen))
		t.Cleanup(network.Close)
		networks[i] = network.URL
		initial = append(initial, fmt.Sprintf("m%d=%s", i, network.URL))
		c.members[i] = newProcess(t, map[string]any{
			"name": fmt.Sprintf("m%d", i), "listen-peer-urls": listen.String(), "initial-advertise-peer-urls": network.URL,
			"heartbeat-interval": 50, "election-timeout": 500,
		})
	}
	var starts sync.WaitGroup
	for _, m := range c.members {
		m.config["initial-cluster"] = strings.Join(initial, ",")
		starts.Go(func() {
			if !m.tryStart() {
				t.Error("a member does not start")
			}
		})
	}
	starts.Wait()
	if t.Failed() {
		t.FailNow()
	}
	c.learn(t, networks)
	return c
}

// ownHost is an address of this machine; on Linux, one where nobody else takes a port
// that is given up for a while. Whoever did would meet the clients of who had it.
func ownHost() string {
	if runtime.GOOS != "linux" {
		return "127.0.0.1"
	}
	return fmt.Sprintf("127.84.%d.%d", rand.IntN(256), 1+rand.IntN(254))
}

// freeURL is one that a member can listen on in a moment.
func freeURL(t *testing.T) *url.URL {
	t.Helper()
	l, err := net.Listen("tcp", ownHost()+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return &url.URL{Scheme: "http", Host: l.Addr().String()}
}

// learn asks who is who.
func (c *cluster) learn(t *testing.T, networks [3]string) {
	t.Helper()
	op := operatorOn(t, c.url(0))
	r, err := op.MemberList(op.ctx())
	if err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range r.Members {
		c.ids[fmt.Sprintf("%x", m.ID)] = slices.Index(networks[:], m.PeerURLs[0])
	}
}

// leader is the member that leads now, or -1.
func (c *cluster) leader(op operator) int {
	for _, m := range c.members {
		ctx, cancel := context.WithTimeout(op.ctx(), time.Second)
		st, err := op.Status(ctx, m.url)
		cancel()
		if err == nil && st.Leader != 0 {
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.ids[fmt.Sprintf("%x", st.Leader)]
		}
	}
	return -1
}

func (c *cluster) url(i int) string { return c.members[i].url }

// between is the network in front of member to. Members say who they are.
func (c *cluster) between(to int, listen *url.URL) http.Handler {
	proxy := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(listen) },
		FlushInterval: -1,
		ErrorLog:      log.New(io.Discard, "", 0),
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
	c, f := startCluster(t), newFleet(t)
	op := newOperator(t, configOf(c.url(1), c.url(2)))
	stays, goes, comes := f.serve(), f.serve(), f.serve()
	op.put("s/stays", stays)
	op.put("s/goes", goes)
	only := f.ride(run(t, quickly(c.url(0))), "s")
	both := f.ride(run(t, quickly(c.url(0), c.url(1))), "s")
	only.converges(soon, stays, goes)
	both.converges(soon, stays, goes)
	only.keep(stays)
	both.keep(stays)

	c.cut(0)
	op.delAtLast("s/goes")
	both.converges(atLast, stays) // by way of the other member
	both.state(discovery.Synced)
	only.state(discovery.Stale)
	only.reason("etcd has no leader")
	only.converges(soon, stays, goes) // the last known

	t.Run("a start without quorum", func(t *testing.T) {
		cold := f.drive(run(t, quickly(c.url(0))), "s", 2)
		cold.converges(atLast, stays, goes) // old, and better than none
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
		cold.converges(atLast, stays)
		cold.state(discovery.Synced)
		empty.becomes()
	})
	only.converges(atLast, stays)
	only.state(discovery.Synced)
	op.put("s/comes", comes)
	only.converges(soon, stays, comes)
	both.converges(soon, stays, comes)
}

// delAtLast deletes once there is a leader who lets it.
func (o operator) delAtLast(key string) {
	o.Helper()
	within(o, 15*time.Second, func() string {
		ctx, cancel := context.WithTimeout(o.ctx(), time.Second)
		defer cancel()
		if _, err := o.Client.Delete(ctx, key); err != nil {
			return err.Error()
		}
		return ""
	})
}

func TestLeaderChanges(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("three members take some seconds")
	}
	c, f := startCluster(t), newFleet(t)
	op := newOperator(t, configOf(c.url(0), c.url(1), c.url(2)))
	stays, goes, comes, last := f.serve(), f.serve(), f.serve(), f.serve()
	op.put("s/stays", stays)
	op.put("s/goes", goes)
	v := f.ride(run(t, quickly(c.url(0), c.url(1), c.url(2))), "s")
	one := f.drive(run(t, quickly(c.url(0))), "s", 2)
	v.converges(soon, stays, goes)
	one.converges(soon, stays, goes)
	v.keep(stays)
	one.keep(stays)

	c.handOver(op) // in good order
	op.put("s/comes", comes)
	v.converges(soon, stays, goes, comes)
	one.converges(soon, stays, goes, comes)

	was := c.leader(op)
	c.members[was].freeze() // in no order
	op.delAtLast("s/goes")
	v.converges(atLast, stays, comes)
	c.members[was].thaw()
	one.converges(atLast, stays, comes)

	was = c.leader(op)
	c.members[was].kill()
	within(t, 15*time.Second, func() string {
		if l := c.leader(op); l < 0 || l == was {
			return fmt.Sprintf("%d leads, want another than %d", l, was)
		}
		return ""
	})
	c.members[was].start()
	op.put("s/last", last)
	v.converges(atLast, stays, comes, last)
	one.converges(atLast, stays, comes, last)
	v.state(discovery.Synced)
	one.state(discovery.Synced)
}

// handOver has the leader make another member leader.
func (c *cluster) handOver(op operator) {
	op.Helper()
	was := c.leader(op)
	lead := operatorOn(op, c.url(was))
	c.mu.Lock()
	var next uint64
	for id, i := range c.ids {
		if i != was {
			fmt.Sscanf(id, "%x", &next)
		}
	}
	c.mu.Unlock()
	if _, err := lead.MoveLeader(lead.ctx(), next); err != nil {
		op.Fatalf("hand over: %v", err)
	}
}
